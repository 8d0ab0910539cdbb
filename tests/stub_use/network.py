"""The torch module: (N, 3, H, W) -> the level (N, 1), and what it was before its sigmoid."""

from torch import nn

from mobilenets.card import ModelCard, Output, Preprocessing, set_card
from mobilenets.models.modules.bodies import module_of
from tests.stub_use.architecture import NETWORKS

OUTPUTS = (Output("level", "level", "(N, 1)"), Output("raw", "logit", "(N, 1)"))


class Gauge(nn.Module):
    card = None

    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.level = backbone, nn.Linear(backbone.channels, 1)

    def forward(self, x):
        raw = self.level(self.backbone(x).mean((2, 3)))
        return raw.sigmoid(), raw


def gauge(**knobs):
    body, _ = NETWORKS["gauge_mobilenet_v1"].settle(knobs)
    return Gauge(module_of(body))


def build(name, labels, arguments):
    model = NETWORKS[name].build(**arguments)
    set_card(model, ModelCard(name, arguments, "gauge", (), Preprocessing(), OUTPUTS))
    return model


def adapt(name, loaded, labels, arguments):
    return loaded, ""


def deploy(model):
    return model.eval()
