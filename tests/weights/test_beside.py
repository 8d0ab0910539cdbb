"""What hubs and we write into JSON: of a value that is wrong, the error names file and key."""

import json

import pytest
import safetensors.torch
import timm

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError
from mobilenets.weights import identify


def put(content, path, value):
    """The same with another value at a path of keys."""
    key, *rest = path
    return {**content, key: put(content.get(key, {}), rest, value) if rest else value}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A folder of timm's, without its config."""
    folder = tmp_path_factory.mktemp("hub")
    model = timm.create_model("mobilenetv2_035", num_classes=2)
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("model_args", "x", "an object"),
        ("model_args.bn_eps", [1], "a number above 0"),
        ("model_args.pad_type", "reflect", "one of same, symmetric"),
        ("model_args.act_layer", [], "one of relu6, relu, leaky_relu"),
        ("model_args.global_pool", "max", "one of avg, fast"),
        ("pretrained_cfg", [1], "an object"),
        ("pretrained_cfg.input_size", [3, 96], "colours, height and width, in whole numbers"),
        ("pretrained_cfg.mean", 0.5, "three numbers"),
        ("pretrained_cfg.std", [1, 1, 0], "three numbers above 0"),
        ("pretrained_cfg.crop_pct", 7, "a number above 0, 1 at most"),
        ("pretrained_cfg.crop_mode", "top", "one of center, squash, border"),
        ("label_names", {"a": 1}, "a list of names, or names by number"),
    ],
)
def test_timm_names_the_key(hub, path, value, allowed):
    config = put({"architecture": "mobilenetv2_035"}, path.split("."), value)
    (hub / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError) as caught:
        identify(hub)
    assert f"config.json: {path} must be {allowed}, got {value!r}" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("labels", 3, "a list of names"),
        ("outputs", ["x"], "a list of objects"),
        ("preprocessing", [], "an object"),
        ("preprocessing.size", 3, "two integers from 1 to 8192"),
        ("preprocessing.mean", None, "three numbers"),
        ("preprocessing.std", [1, 1, 0], "three numbers above 0"),
        ("preprocessing.crop_fraction", "x", "in (0, 1]"),
        ("trained_on", "x", "an object"),
    ],
)
def test_a_card_names_the_key(path, value, allowed):
    card = put(json.loads(ModelCard("mobilenet_v2").to_json()), path.split("."), value)
    with pytest.raises(WeightsError) as caught:
        ModelCard.from_json(json.dumps(card), "w.safetensors")
    assert f"{path.rpartition('.')[2]} must be {allowed}, got" in str(caught.value)
