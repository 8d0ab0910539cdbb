import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
import transformers as hf
from PIL import Image

from mobilenets.card import TORCHVISION, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.inference import open_model, predict
from mobilenets.runtime.labels import VOC
from mobilenets.tasks.registry import task_of
from mobilenets.weights import identify, load
from tests.some import some

from .peers import assert_same, randomise


@pytest.mark.parametrize(
    ("width", "size", "classes", "suffix"),
    some(
        [
            (0.35, (97, 97), 7, "pth"),
            (1.0, (225, 193), 1000, "safetensors"),
            (0.25, (64, 64), 1000, "pth"),
            (1.4, (65, 97), 10, "safetensors"),
        ],
        (0, 2),
    ),
)
def test_torchvision(tmp_path, width, size, classes, suffix):
    peer = randomise(torchvision.models.mobilenet_v2(width_mult=width, num_classes=classes))
    path = tmp_path / f"weights.{suffix}"
    save = torch.save if suffix == "pth" else safetensors.torch.save_file
    save(peer.state_dict(), path)
    card = assert_same(path, peer, size).card
    assert card.architecture == "mobilenet_v2"
    assert card.arguments == {
        "width": width,
        "classes": classes,
        "padding": "symmetric",
        "norm_eps": 1e-5,
    }
    assert len(card.labels) == (1000 if classes == 1000 else 0)


def test_torchvision_preprocessing_is_its_own(tmp_path):
    weights = torchvision.models.MobileNet_V2_Weights
    peer = torchvision.models.mobilenet_v2(width_mult=0.1)
    for entry in (weights.IMAGENET1K_V1, weights.IMAGENET1K_V2):
        path = tmp_path / entry.url.rsplit("/", 1)[1]
        torch.save(peer.state_dict(), path)
        found, transforms = identify(path).preprocessing, entry.transforms()
        assert list(found.mean) == transforms.mean
        assert list(found.std) == transforms.std
        assert round(min(found.size) / found.crop_fraction) == transforms.resize_size[0]
        assert found.size == (transforms.crop_size[0],) * 2
        assert found.interpolation == transforms.interpolation.value


TIMM = {
    "mobilenetv1_100": (97, 97),
    "mobilenetv1_125": (64, 96),
    "mobilenetv2_035": (225, 193),
    "mobilenetv2_050": (97, 97),
    "mobilenetv2_100": (96, 65),
    "mobilenetv2_140": (97, 97),
}


@pytest.mark.parametrize(("name", "size"), some(list(TIMM.items()), (0, 2)))
def test_timm_from_the_file_alone(tmp_path, name, size):
    peer = randomise(timm.create_model(name, pretrained=False))
    safetensors.torch.save_file(peer.state_dict(), tmp_path / "any.safetensors")
    card = assert_same(tmp_path / "any.safetensors", peer, size).card
    assert card.arguments["width"] == int(name[-3:]) / 100
    config = timm.get_pretrained_cfg(name).to_dict()
    assert card.preprocessing == Preprocessing(
        resize="torchvision",
        size=(224, 224),
        crop_fraction=224 / int(224 / config["crop_pct"]),
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
    )
    assert card.labels[0] == "tench"


def test_timm_folder_of_the_hub_with_its_config(tmp_path):
    peer = randomise(
        timm.create_model(
            "mobilenetv2_050", num_classes=3, pad_type="same", bn_eps=1e-3, output_stride=16
        )
    )
    timm.models.save_for_hf(
        peer,
        tmp_path,
        model_config={"label_names": ["ant", "bee", "wasp"]},
        data_config={
            "input_size": (3, 96, 96),
            "mean": (0.4, 0.5, 0.6),
            "interpolation": "bilinear",
            "crop_pct": 0.9,
        },
        safe_serialization=True,
    )
    config = json.loads((tmp_path / "config.json").read_text())
    config["model_args"] = {"pad_type": "same", "bn_eps": 1e-3, "output_stride": 16}
    (tmp_path / "config.json").write_text(json.dumps(config))
    card = assert_same(tmp_path, peer, (97, 65)).card
    assert card.labels == ("ant", "bee", "wasp")
    assert card.arguments["padding"] == "same"
    assert card.arguments["output_stride"] == 16
    assert card.preprocessing == Preprocessing(
        resize="torchvision",
        size=(96, 96),
        crop_fraction=96 / 106,
        mean=(0.4, 0.5, 0.6),
        std=TORCHVISION.std,
    )


def test_timm_tf_variant_has_tensorflow_padding_and_epsilon(tmp_path):
    peer = randomise(timm.create_model("mobilenetv2_035", pad_type="same", bn_eps=1e-3))
    torch.save(peer.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "tf_mobilenetv2_035"}))
    assert_same(tmp_path, peer, (97, 130))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mobilenetv1_100h", "mobilenetv1_100h"),
        ("mobilenetv2_110d", "22 blocks where MobileNetV2 has 17"),
        ("mobilenetv2_120d", r"2\d blocks where MobileNetV2 has 17"),
        ("tf_mobilenetv3_small_075", "not a MobileNet V1 or V2"),
        ("mnasnet_050", "kernel|must be|no width"),
    ],
)
def test_timm_variants_that_the_papers_do_not_have_are_refused(tmp_path, name, reason):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(timm.create_model(name, num_classes=2).state_dict(), path)
    with pytest.raises(WeightsError, match=reason) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_timm_arguments_that_change_the_function_are_refused(tmp_path):
    peer = timm.create_model("mobilenetv2_035", num_classes=2)
    safetensors.torch.save_file(peer.state_dict(), tmp_path / "model.safetensors")
    for extra in ({"act_layer": "silu"}, {"aa_layer": "blur"}, {"global_pool": "max"}):
        config = {"architecture": "mobilenetv2_035", "model_args": extra}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(WeightsError, match=next(iter(extra))):
            load(tmp_path)


def save_hf(peer, folder, **preprocessor):
    peer.save_pretrained(folder)
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"depth_multiplier": 0.25, "num_labels": 1001}, (97, 97)),
        ({"depth_multiplier": 0.3, "num_labels": 4, "tf_padding": False}, (225, 193)),
        ({"depth_multiplier": 0.5, "num_labels": 4, "layer_norm_eps": 1e-5}, (64, 97)),
    ],
)
def test_huggingface_v1(tmp_path, options, size):
    peer = randomise(hf.MobileNetV1ForImageClassification(hf.MobileNetV1Config(**options)))
    save_hf(peer, tmp_path)
    card = assert_same(tmp_path, lambda x: peer(x).logits, size).card
    assert card.architecture == "mobilenet_v1"
    assert card.arguments["width"] == options["depth_multiplier"]
    if options["num_labels"] == 1001:
        assert card.labels[:2] == ("background", "tench")


@pytest.mark.parametrize(
    ("options", "size"),
    some(
        [
            ({"depth_multiplier": 0.35, "num_labels": 1001, "image_size": 96}, (97, 97)),
            ({"depth_multiplier": 0.5, "num_labels": 4, "tf_padding": False}, (129, 97)),
            ({"depth_multiplier": 0.5, "num_labels": 4, "finegrained_output": False}, (33, 65)),
            ({"depth_multiplier": 0.5, "num_labels": 4, "expand_ratio": 4}, (33, 65)),
            ({"depth_multiplier": 0.35, "num_labels": 4, "output_stride": 8}, (65, 97)),
            ({"depth_multiplier": 0.75, "num_labels": 4, "tf_padding": False}, (225, 193)),
            ({"depth_multiplier": 1.4, "num_labels": 4}, (64, 97)),
        ],
        range(5),
    ),
)
def test_huggingface_v2(tmp_path, options, size):
    peer = randomise(hf.MobileNetV2ForImageClassification(hf.MobileNetV2Config(**options)))
    save_hf(peer, tmp_path)
    card = assert_same(tmp_path, lambda x: peer(x).logits, size).card
    assert card.arguments["width"] == options["depth_multiplier"]
    side = options.get("image_size", 224)
    assert card.preprocessing == Preprocessing(size=(side, side), crop_fraction=side / (side + 32))


def test_huggingface_labels_and_preprocessor_travel(tmp_path):
    config = hf.MobileNetV2Config(depth_multiplier=0.35, id2label={0: "cat", 1: "dog"})
    save_hf(
        randomise(hf.MobileNetV2ForImageClassification(config)),
        tmp_path,
        crop_size={"height": 160, "width": 160},
        size={"shortest_edge": 192},
        resample=3,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    card = load(tmp_path).card
    assert card.labels == ("cat", "dog")
    assert card.preprocessing == Preprocessing(
        size=(160, 160),
        crop_fraction=160 / 192,
        interpolation="bicubic",
        mean=TORCHVISION.mean,
        std=TORCHVISION.std,
    )


@pytest.mark.parametrize(
    ("labels", "problem", "meaning"),
    [
        (3, None, "logits"),
        (3, "single_label_classification", "logits"),
        (3, "multi_label_classification", "independent logits"),
        (1, None, "independent logits"),
    ],
)
def test_huggingface_scores_are_what_its_pipeline_makes_of_them(tmp_path, labels, problem, meaning):
    names = {i: f"class {i}" for i in range(labels)}
    config = hf.MobileNetV2Config(depth_multiplier=0.35, id2label=names, problem_type=problem)
    peer = randomise(hf.MobileNetV2ForImageClassification(config))
    save_hf(peer, tmp_path, size={"shortest_edge": 256}, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    session = open_model(tmp_path)
    assert session.card.output.meaning == meaning
    noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (answer,) = predict(session, [tmp_path / "a.png"], task_of(session.card))
    processor = hf.MobileNetV2ImageProcessor(
        size={"height": 224, "width": 224}, do_center_crop=False
    )
    asked = hf.pipeline("image-classification", model=peer, image_processor=processor)
    theirs = {one["label"]: one["score"] for one in asked(str(tmp_path / "a.png"))}
    ours = {one.label: one.score for one in answer.decoded if one.label in theirs}
    assert ours == pytest.approx(theirs, abs=0.02)


def test_huggingface_regression_is_no_classifier(tmp_path):
    config = hf.MobileNetV2Config(depth_multiplier=0.35, num_labels=1, problem_type="regression")
    save_hf(hf.MobileNetV2ForImageClassification(config), tmp_path)
    with pytest.raises(WeightsError, match="problem_type is regression: its 1 outputs are numbers"):
        load(tmp_path)


def test_huggingface_without_config_reads_as_googles(tmp_path):
    config = hf.MobileNetV1Config(depth_multiplier=0.25, num_labels=1001)
    peer = randomise(hf.MobileNetV1ForImageClassification(config))
    torch.save(peer.state_dict(), tmp_path / "w.bin")
    assert_same(tmp_path / "w.bin", lambda x: peer(x).logits)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"first_layer_is_expansion": False}, "first_layer_is_expansion"),
        ({"depth_multiplier": 0.25}, "transformers has none"),
        ({"hidden_act": "silu"}, "hidden_act must be relu6"),
    ],
)
def test_huggingface_variants_that_we_cannot_express_are_refused(tmp_path, options, reason):
    config = hf.MobileNetV2Config(**{"depth_multiplier": 0.35, "num_labels": 2, **options})
    save_hf(hf.MobileNetV2ForImageClassification(config), tmp_path)
    with pytest.raises(WeightsError, match=reason):
        load(tmp_path)


@pytest.mark.parametrize(
    ("options", "size", "expected"),
    [
        (
            {"num_labels": 21, "output_stride": 8, "image_size": 513},
            (65, 97),
            {"classes": 21, "output_stride": 8},
        ),
        (
            {"depth_multiplier": 0.35, "num_labels": 5, "output_stride": 16, "tf_padding": False},
            (129, 129),
            {"width": 0.35, "classes": 5, "output_stride": 16, "padding": "symmetric"},
        ),
        (
            {
                "depth_multiplier": 0.5,
                "depth_divisible_by": 1,
                "num_labels": 2,
                "finegrained_output": False,
                "layer_norm_eps": 0.01,
                "classifier_dropout_prob": 0.5,
                "semantic_loss_ignore_index": 0,
            },
            (130, 97),
            {"width": 0.5, "divisor": 1, "classes": 2, "output_stride": 32, "norm_eps": 0.01},
        ),
    ],
)
def test_huggingface_segmentation(tmp_path, options, size, expected):
    peer = randomise(hf.MobileNetV2ForSemanticSegmentation(hf.MobileNetV2Config(**options)))
    with torch.no_grad():
        peer.segmentation_head.classifier.convolution.bias.normal_()
    save_hf(peer, tmp_path)
    ours = load(tmp_path)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        theirs, found = peer(x).logits, ours.coarse(x)
        assert ours(x).shape == (2, options["num_labels"], *size)
    assert found.shape == theirs.shape
    assert (found - theirs).abs().max() < 1e-4 * theirs.abs().max()
    assert theirs.std(dim=0).max() > 1e-3
    card = ours.card
    assert (card.architecture, card.task) == ("deeplabv3_mobilenet_v2", "segment")
    defaults = {"width": 1.0, "aspp": False, "padding": "same", "norm_eps": 1e-3}
    assert card.arguments == {**defaults, **expected}
    assert card.labels == (VOC if options["num_labels"] == 21 else ())
    side = options.get("image_size", 224)
    assert card.preprocessing.size == (side, side)
    assert card.preprocessing.resize == ("pad" if side >= 513 else "squash")
    assert identify(tmp_path) == card


@pytest.fixture(scope="module")
def roads(tmp_path_factory):
    """A folder of Hugging Face's, with a segmentation network and its preprocessor."""
    folder = tmp_path_factory.mktemp("roads")
    config = hf.MobileNetV2Config(depth_multiplier=0.35, id2label={0: "void", 1: "road"})
    save_hf(hf.MobileNetV2ForSemanticSegmentation(config), folder, resample=2)
    return folder


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("config", "model_type", "resnet", "model_type must be mobilenet_v1 or mobilenet_v2, got"),
        ("config", "hidden_act", "swish", "hidden_act must be relu6 or relu, got 'swish'"),
        ("config", "layer_norm_eps", "abc", "layer_norm_eps must be a positive number, got 'abc'"),
        ("config", "output_stride", 7, "output_stride must be 8, 16 or 32, got 7"),
        ("config", "id2label", {"0": "a"}, "id2label has 1 names for 2 classes"),
        ("config", "id2label", ["a", "b"], "id2label must be names by number"),
        ("config", "image_size", "224", "image_size must be pixels, or"),
        ("config", "image_size", [3, 65, 65], "image_size must be pixels, or"),
        ("preprocessor_config", "resample", 5, "resample must be one of 0, 1, 2, 3, got 5"),
        ("preprocessor_config", "image_mean", ["a"] * 3, "image_mean must be three numbers"),
        ("preprocessor_config", "image_std", [1, 0, 1], "image_std must be three numbers above 0"),
        ("preprocessor_config", "size", "x", "size must be an object, got 'x'"),
        ("preprocessor_config", "size", {"height": 9, "width": []}, "size.width must be pixels"),
        ("preprocessor_config", "do_rescale", None, "do_rescale must be true, got None"),
        ("preprocessor_config", "rescale_factor", 1, "rescale_factor must be 1 / 255, got 1"),
    ],
)
def test_what_lies_beside_huggingfaces_weights_is_checked(
    roads, tmp_path, file, key, value, message
):
    folder = shutil.copytree(roads, tmp_path / "roads")
    path = folder / f"{file}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(WeightsError, match=rf"{file}\.json: .*{message}"):
        load(folder)


def test_huggingface_segmentation_is_never_cropped(tmp_path):
    """Their processor crops the centre, and the pixels around it would have no class."""
    config = hf.MobileNetV2Config(depth_multiplier=0.35, id2label={0: "void", 1: "road"})
    save_hf(
        hf.MobileNetV2ForSemanticSegmentation(config),
        tmp_path,
        crop_size={"height": 513, "width": 513},
        size={"shortest_edge": 545},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    card = identify(tmp_path)
    assert card.preprocessing == Preprocessing(size=(513, 513), resize="pad")
    assert card.labels == ("void", "road")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("segmentation_head.conv_pool.normalization.bias", "there is no tensor segmentation_head"),
        ("segmentation_head.conv_extra.weight", "conv_extra.weight has no place in a MobileNet"),
    ],
)
def test_a_segmentation_head_that_is_not_theirs_is_refused(tmp_path, name, message):
    config = hf.MobileNetV2Config(depth_multiplier=0.35, num_labels=2)
    state = hf.MobileNetV2ForSemanticSegmentation(config).state_dict()
    if name in state:
        del state[name]
    else:
        state[name] = torch.zeros(3)
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=message):
        load(tmp_path)


def test_a_backbone_without_classifier_is_refused(tmp_path):
    config = hf.MobileNetV2Config(depth_multiplier=0.35)
    peer = randomise(hf.MobileNetV2ForImageClassification(config)).mobilenet_v2
    save_hf(peer, tmp_path)
    with pytest.raises(WeightsError, match="it has no classifier on its backbone"):
        load(tmp_path)
    body = load(tmp_path, partial=True)
    x = torch.randn(1, 3, 65, 97)
    with torch.inference_mode():
        expected, found = peer(x).last_hidden_state, body(x)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    ("dtype", "suffix"),
    some(
        [
            (torch.float16, "pth"),
            (torch.bfloat16, "safetensors"),
            (torch.float64, "pth"),
            (torch.float16, "safetensors"),
            (torch.bfloat16, "pth"),
            (torch.float64, "safetensors"),
        ],
        range(3),
    ),
)
def test_other_precisions_become_float32(tmp_path, dtype, suffix):
    peer = randomise(torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=2)).to(dtype)
    path = tmp_path / f"w.{suffix}"
    save = torch.save if suffix == "pth" else safetensors.torch.save_file
    save(peer.state_dict(), path)
    assert_same(path, peer.float(), (33, 33))


def test_safetensors_of_others_are_identified_without_torch(tmp_path):
    peer = torchvision.models.mobilenet_v2(width_mult=0.35, num_classes=3)
    safetensors.torch.save_file(peer.state_dict(), tmp_path / "w.safetensors")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from mobilenets.weights import identify; print(identify(sys.argv[1]).arguments['width'])"
    )
    command = [sys.executable, "-c", code, tmp_path / "w.safetensors"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"0.35\n"
