"""What training scripts save around and beside a network: read, or named."""

import collections
import datetime
import pathlib
import sys
import zipfile

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from mobilenets.errors import WeightsError
from mobilenets.inference import open_model, predict
from mobilenets.tasks.registry import task_of
from mobilenets.weights import identify, load, read
from mobilenets.weights.containers.pickle import read_pickle
from tests.some import some

from .peers import assert_same, randomise
from .test_ports import FlatV1, FlatV2


def network(classes=2, seed=0):
    return randomise(torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=classes), seed)


def ema_of(model):
    """As torchvision's references save it: an AveragedModel, with its counter."""
    state = {f"module.{k}": v for k, v in model.state_dict().items()}
    return {"n_averaged": torch.tensor(7), **state}


def mmengine(average, plain):
    """The hook swaps the two, and counts its steps."""
    other = {f"module.{k}": v for k, v in plain.state_dict().items()}
    steps = {"steps": torch.tensor(9)}
    return {"state_dict": average.state_dict(), "ema_state_dict": other | steps}


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (
            lambda a, p: {"state_dict": p.state_dict(), "state_dict_ema": a.state_dict()},
            "state_dict_ema is taken, not state_dict: the average over the steps",
        ),
        (
            lambda a, p: {"model": p.state_dict(), "model_ema": ema_of(a), "epoch": 3},
            "model_ema is taken, not model: the average over the steps",
        ),
        (mmengine, "state_dict is taken, not ema_state_dict: the average, as mmengine swaps them"),
        (
            lambda a, p: {
                "state_dict": {
                    **{f"model.{k}": v for k, v in p.state_dict().items()},
                    **{f"ema.module.{k}": v for k, v in a.state_dict().items()},
                }
            },
            r"of several networks in the file ema\.module\.\* is read, not model\.\*",
        ),
        (
            lambda a, p: {
                **{f"teacher.{k}": v for k, v in p.state_dict().items()},
                **{f"student.{k}": v for k, v in a.state_dict().items()},
            },
            r"student\.\* is read, not teacher\.\*",
        ),
    ],
)
def test_of_several_networks_the_average_is_read_and_said(tmp_path, make, note):
    average, plain = network(), network(seed=1)
    torch.save(make(average, plain), tmp_path / "w.pth")
    assert_same(tmp_path / "w.pth", average)
    said = []
    load(tmp_path / "w.pth", say=said.append)
    assert len(said) == 1
    with pytest.raises(AssertionError, match=note):
        raise AssertionError(said[0])


def test_timm_takes_the_same(tmp_path):
    from timm.models import load_checkpoint

    average, plain = network(), network(seed=1)
    state = {"state_dict": plain.state_dict(), "state_dict_ema": average.state_dict()}
    torch.save(state | {"metric": np.float64(0.5), "arch": "x"}, tmp_path / "w.pth.tar")
    torch.save({"state_dict": plain.state_dict(), "state_dict_ema": None}, tmp_path / "none.pth")
    for name in ("w.pth.tar", "none.pth"):
        peer = torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=2)
        if name == "w.pth.tar":  # timm refuses the scalar of numpy, which scripts do save
            torch.save(state, tmp_path / "plain.pth.tar")
        load_checkpoint(peer, str(tmp_path / ("plain.pth.tar" if name[0] == "w" else name)))
        assert_same(tmp_path / name, peer.eval())


@pytest.mark.parametrize(
    ("beside", "labels"),
    [
        ({"meta": {"CLASSES": ("cat", "dog")}}, ("cat", "dog")),
        ({"meta": {"dataset_meta": {"classes": ["cat", "dog"]}}}, ("cat", "dog")),
        ({"class_to_idx": {"dog": 1, "cat": 0}}, ("cat", "dog")),
        ({"idx_to_class": {1: "dog", 0: "cat"}}, ("cat", "dog")),
        ({"idx_to_class": {"1": "dog", "0": "cat"}}, ("cat", "dog")),
        ({"classes": ["cat", "dog"]}, ("cat", "dog")),
        ({"classes": 2}, ()),
        ({"classes": ["cat", "cat"]}, ()),
        ({"class_to_idx": {"dog": 1, "cat": 2}}, ()),
        ({"meta": 3, "labels": torch.zeros(2)}, ()),
    ],
)
def test_names_of_classes_in_a_checkpoint_are_the_labels(tmp_path, beside, labels):
    torch.save({"state_dict": network().state_dict(), **beside}, tmp_path / "w.pth")
    assert identify(tmp_path / "w.pth").labels == labels


def test_names_of_another_number_of_classes_are_left_out_and_said(tmp_path):
    state = {"state_dict": network().state_dict(), "classes": ["a", "b", "c"]}
    torch.save(state, tmp_path / "w.pth")
    assert read(tmp_path / "w.pth").notes == ["its 3 names of classes do not fit its 2 outputs"]


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        ({"class_to_idx": {"dog": 1, "cat": 2}}, "'class_to_idx' are left aside: their numbers"),
        ({"classes": ["cat", "cat"]}, "'classes' are left aside: two are the same"),
        ({"meta": {"CLASSES": ["cat", 7]}}, "'meta.CLASSES' are left aside: some are no text"),
    ],
)
def test_names_that_cannot_be_used_are_said(tmp_path, beside, why):
    torch.save({"state_dict": network().state_dict(), **beside}, tmp_path / "w.pth")
    (note,) = read(tmp_path / "w.pth").notes
    assert why in note


def test_objects_of_libraries_beside_the_weights_are_not_needed(tmp_path):
    peer = network()
    beside = {
        "best": np.float64(0.5),
        "curve": np.arange(3.0),
        "where": pathlib.PurePosixPath("a/b"),
        "when": datetime.datetime(2024, 1, 1),
        "counts": collections.defaultdict(list, {"a": [1]}),
    }
    torch.save({"state_dict": peer.state_dict(), **beside}, tmp_path / "w.pth")
    assert_same(tmp_path / "w.pth", peer)


def head(*layers):
    """A MobileNetV2 with another head, as people put one on; 1280 channels come in."""
    model = torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=2)
    model.classifier = layers[0] if len(layers) == 1 else nn.Sequential(*layers)
    return randomise(model)


def extra(model, **tensors):
    return {**model.state_dict(), **tensors}


WHOLE = {
    "a plain Linear": (lambda m: head(nn.Linear(1280, 3)), {}),
    "no bias": (lambda m: head(nn.Linear(1280, 3, bias=False)), {}),
    "a criterion's": (lambda m: m, {"criterion.weight": torch.ones(2)}),
    "centres": (lambda m: m, {"loss.centers": torch.ones(2, 1280)}),
    "an optimizer's": (lambda m: m, {"optim.momentum": torch.ones(7)}),
}


@pytest.mark.parametrize("suffix", some(["pth", "safetensors"]))
@pytest.mark.parametrize("name", WHOLE)
def test_extra_weights_are_named_and_the_network_is_whole(tmp_path, name, suffix):
    make, tensors = WHOLE[name]
    peer = make(network())
    path = tmp_path / f"w.{suffix}"
    save = torch.save if suffix == "pth" else safetensors.torch.save_file
    save(extra(peer, **tensors), path)
    assert_same(path, peer)
    notes = [f"left out of the file is {one}" for one in tensors]
    assert read(path).notes == notes


PARTIAL = {
    "two dense layers": (nn.Dropout(), nn.Linear(1280, 8), nn.ReLU(), nn.Linear(8, 2)),
    "fastai": (nn.BatchNorm1d(1280), nn.Linear(1280, 8), nn.ReLU(), nn.Linear(8, 2)),
    "a norm before": (nn.BatchNorm1d(1280), nn.Linear(1280, 2)),
    "other channels": (nn.Linear(1281, 2),),
}


@pytest.mark.parametrize(
    "name",
    some([*PARTIAL, "none", "features", "margin", "bare margin", "two"], (0, 1, 3, 4, 6, 8)),
)
def test_of_another_head_the_backbone_is_read_and_the_rest_named(tmp_path, name):
    layers = PARTIAL.get(name, (nn.Linear(1280, 2),))
    peer = head(*layers)
    state = peer.state_dict()
    if name in ("none", "features"):
        state = {k: v for k, v in state.items() if not k.startswith("classifier")}
    if name == "features":
        state = {k.removeprefix("features."): v for k, v in state.items()}
        state = {f"encoder.{k}" if k[0].isdigit() else k: v for k, v in state.items()}
        state = {k.replace("encoder.", "features."): v for k, v in state.items()}
    if name == "margin":
        state["arc.weight"] = torch.ones(9, 2)  # behind the dense layer
    if name == "bare margin":
        del state["classifier.bias"]
        state["product.weight"] = state.pop("classifier.weight")
    if name == "two":
        state |= {"age.weight": torch.ones(4, 1280), "age.bias": torch.ones(4)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"its backbone is read .*--from") as caught:
        load(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    said = []
    body = load(tmp_path / "w.pth", partial=True, say=said.append)
    assert "the backbone alone is taken" in said[0]
    x = torch.randn(1, 3, 65, 97)
    with torch.inference_mode():
        assert (body(x) - peer.features(x)).abs().max() < 1e-4


def test_a_tensor_among_the_bodys_is_never_left_out(tmp_path):
    state = network().state_dict()
    torch.save(extra(network(), **{"features.3.se.weight": torch.ones(3)}), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"features\.3\.se\.weight has no place"):
        load(tmp_path / "w.pth", partial=True)
    state["features.3.se.fc.weight"] = torch.ones(3, 4)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"features\.3\.se\.fc\.weight has no place"):
        load(tmp_path / "w.pth", partial=True)


def test_biases_before_norms_are_taken_off_their_means(tmp_path):
    peer = FlatV1("features", act=nn.ReLU)
    for module in [m for m in peer.modules() if isinstance(m, nn.Conv2d)]:
        module.bias = nn.Parameter(torch.randn(module.out_channels))
    torch.save(randomise(peer).state_dict(), tmp_path / "w.pth")
    assert_same(tmp_path / "w.pth", peer)


@pytest.mark.parametrize("source", ["torchvision", "tonylins", "marvis"])
def test_one_output_is_a_score_by_itself(tmp_path, source):
    """The right value: sigmoid of the peer's own output, and two labels."""
    from PIL import Image

    peers = {"torchvision": lambda: network(1), "tonylins": lambda: FlatV2("tonylins", classes=1)}
    peer = peers.get(source, lambda: FlatV1(classes=1))()
    path = tmp_path / "w.pth"
    torch.save(randomise(peer).state_dict(), path)
    session = open_model(path)
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (answer,) = predict(session, [tmp_path / "a.png"], task_of(session.card))
    seen = {one.label: one.score for one in answer.decoded}
    from mobilenets.runtime.preprocess import preprocess

    x = torch.from_numpy(preprocess(Image.fromarray(noise), session.card.preprocessing))[None]
    with torch.inference_mode():
        expected = torch.sigmoid(peer(x)).item()
    assert seen == pytest.approx({"0": 1 - expected, "1": expected}, abs=1e-4)


def test_a_pickle_that_inflates_is_refused_before_it_does(tmp_path, monkeypatch):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        with archive.open("a/data/0", "w", force_zip64=True) as part:
            for _ in range(64):
                part.write(bytes(1 << 20))
    with pytest.raises(WeightsError, match="its parts claim 67108868 bytes, more than"):
        load(path)
    # And before torch is loaded, which takes more memory than all that may be refused.
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(WeightsError, match="its parts claim 67108868 bytes, more than"):
        read_pickle(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(3, 4).to_sparse(), r"stored as torch\.sparse_coo of float32"),
        (torch.zeros(3, device="meta"), "stored as no numbers at all"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.int8), "holds int8 numbers"),
        (torch.zeros(2, 1, 3, 3, dtype=torch.complex64), "holds complex64 numbers"),
    ],
)
def test_tensors_of_another_kind_are_named(tmp_path, value, message):
    torch.save(extra(network(), **{"features.2.conv.0.0.weight": value}), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=rf"features\.2\.conv\.0\.0\.weight .*{message}"):
        load(tmp_path / "w.pth")


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_numbers_of_another_kind_in_safetensors_are_named(tmp_path, dtype):
    name = "features.2.conv.0.0.weight"
    value = torch.zeros(2, 1, 3, 3).to(dtype)
    safetensors.torch.save_file(extra(network(), **{name: value}), tmp_path / "w.safetensors")
    kind = {torch.int8: "I8"}.get(dtype, "F8_E4M3")
    for function in (load, identify):
        with pytest.raises(WeightsError, match=rf"{name} holds {kind} numbers"):
            function(tmp_path / "w.safetensors")
