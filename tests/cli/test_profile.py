"""The command as a person runs it, in a process of its own where that matters."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import mobilenets.cli
from mobilenets.card import KEY, ModelCard
from mobilenets.cost import profile
from mobilenets.cost.graph import profile_onnx
from tests.cost.test_graph import conv_only


def run(*arguments: object):
    words = ["profile", *map(str, arguments)]
    return CliRunner().invoke(
        mobilenets.cli.app, words, env={"COLUMNS": "80"}, catch_exceptions=False
    )


def answer(*arguments: object):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def fails(monkeypatch, capsys, *arguments: object) -> tuple[int, str]:
    """Exit status and the one line of the whole program."""
    monkeypatch.setattr(sys, "argv", ["mobilenets", "profile", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        mobilenets.cli.main()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.strip().splitlines()) == 1
    return caught.value.code, printed.err


def test_the_issues_example():
    found = answer("mobilenet_v2", "--width", 0.35, "--resolution", 96, "--classes", 1001)
    assert round(found["madds"] / 1e6, 1) == 11.9
    assert round(found["parameters"]["conv_fc"] / 1e6, 3) == 1.664
    assert found["resolution"] == [96, 96]
    assert "layers" not in found


@pytest.mark.parametrize(
    ("words", "name", "knobs"),
    [
        (["--output-stride", "16"], "mobilenet_v2", {"output_stride": 16}),
        (["--padding", "keras"], "mobilenet_v2", {"padding": "keras"}),
        (["--early-strides", "1,2"], "mobilenet_v2", {"early_strides": (1, 2)}),
        (["--no-separable", "--shallow"], "mobilenet_v1", {"separable": False, "shallow": True}),
        (["--expansion", "3", "--shortcut", "none"], "mobilenet_v2", {"expansion": 3}),
        (["--no-linear-bottleneck"], "mobilenet_v2", {"linear_bottleneck": False}),
        (["--no-finegrained", "--width", "0.5"], "mobilenet_v2", {"finegrained": False}),
        (["--head-kernel", "1", "--classes", "3"], "ssd_mobilenet_v2", {"head_kernel": 1}),
        ([], "ssdlite_mobilenet_v2", {"resolution": 320}),
        (["--divisor", "1", "--width", "0.5"], "deeplabv3_mobilenet_v2", {"divisor": 1}),
        (
            ["--aspp", "--classes", "3", "--output-stride", "8", "--resolution", "513"],
            "deeplabv3_mobilenet_v1",
            {"aspp": True, "output_stride": 8},
        ),
        (["--multi-scale"], "deeplabv3_mobilenet_v2", {"multi_scale": True}),
        (["--bytes-per-element", "1"], "mobilenet_v2", {"bytes_per_element": 1}),
        (["--resolution", "65x130"], "mobilenet_v2", {"resolution": (65, 130)}),
    ],
)
def test_every_option_reaches_the_library(words, name, knobs):
    if "--width" in words:
        knobs = {**knobs, "width": 0.5}
    if "--classes" in words:
        knobs = {**knobs, "classes": 3}
    if "--shortcut" in words:
        knobs = {**knobs, "shortcut": "none"}
    expected = profile(name, **knobs).to_dict(layers=True)
    assert answer(name, *words, "--layers") == json.loads(json.dumps(expected))


def test_several_are_rows_of_one_table():
    words = ["mobilenet_v2", "mobilenet_v1", "--width", "0.35,1.0", "--resolution", "96,65x130"]
    rows = answer(*words)
    expected = [
        profile(name, width=width, resolution=size).to_dict()
        for name in ("mobilenet_v2", "mobilenet_v1")
        for width in (0.35, 1.0)
        for size in ((96, 96), (65, 130))
    ]
    assert rows == json.loads(json.dumps(expected))
    text = run(*words).stdout
    assert max(len(line) for line in text.splitlines()) <= 80
    for row in rows:
        megabytes = f"{row['file_bytes']['float32'] / 1e6:.2f}"
        lines = [line for line in text.splitlines() if row["name"] in line]
        assert any(f"{row['arguments']['width']:g}" in line and megabytes in line for line in lines)


@pytest.mark.assets
@pytest.mark.parametrize(
    ("file", "form"),
    [
        ("mobilenet_v2_1.0_224_quant", "int8"),
        ("mobilenet_v1_0.25_96_vww_float", "float32"),
        ("deeplabv3_mobilenet_v2_0.5_257", "float32"),
    ],
)
def test_a_files_size_is_as_computed(assets, file, form):
    """To a few percent: the graph and the labels come on top."""
    path = assets / "weights" / f"{file}.tflite"
    size = path.stat().st_size
    assert 0.93 * size < answer(path)["file_bytes"][form] < 1.005 * size


def test_a_person_gets_tables_with_units():
    text = run("mobilenet_v2", "--layers").stdout
    assert "300.77 M" in text
    assert "6.02 MB" in text
    assert "blocks.13.depthwise" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_a_person_sees_atrous_rates_and_what_was_summed():
    words = ["--aspp", "--output-stride", "8", "--layers", "--resolution", "65"]
    text = run("deeplabv3_mobilenet_v1", *words).stdout
    assert "depthwise r4\t" in text
    assert "conv3x3 r36\t" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    text = run("deeplabv3_mobilenet_v2", "--multi-scale", "--output-stride", "8").stdout
    assert "513 x 513, at six scales, each also mirrored" in text
    assert "152334.64 M" in text


def test_an_onnx_file_and_its_resolution(tmp_path):
    path = conv_only(tmp_path / "a.onnx", shape=("n", 3, "h", "w"))
    expected = profile_onnx(path, resolution=(10, 12)).to_dict()
    assert answer(path, "--resolution", "10x12") == json.loads(json.dumps(expected))


def test_our_own_onnx_says_its_name(tmp_path):
    card = ModelCard("mobilenet_v2", {"width": 0.5})
    path = conv_only(tmp_path / "a.onnx", metadata={KEY: card.to_json()})
    assert answer(path, "--resolution", 8)["name"] == "mobilenet_v2"


def test_a_published_name_needs_no_download():
    found = answer("mobilenet_v2_0.35_96.google")
    assert found["arguments"]["width"] == 0.35
    assert found["madds"] == profile("mobilenet_v2", width=0.35, resolution=96).madds


def test_a_published_segmentation_network_has_its_own_stride_and_channels():
    found = answer("deeplabv3_mobilenet_v2_0.5_257.tensorflow", "--multi-scale")
    knobs = {"width": 0.5, "divisor": 1, "output_stride": 8, "resolution": 257}
    expected = profile("deeplabv3_mobilenet_v2", **knobs, multi_scale=True)
    assert found == json.loads(json.dumps(expected.to_dict()))


@pytest.mark.assets
@pytest.mark.parametrize(
    ("file", "madds", "classes"),
    [
        ("mobilenet_v1_0.25_128_quant", 13.6, 1001),
        ("mobilenet_v2_1.0_224_quant", 300.8, 1001),
        ("deeplabv3_mobilenet_v2_0.5_pascal_quant", 867.5, 21),
    ],
)
def test_a_weights_file_says_everything_itself(assets, file, madds, classes):
    found = answer(assets / "weights" / f"{file}.tflite")
    assert round(found["madds"] / 1e6, 1) == madds
    assert found["arguments"]["classes"] == classes


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["mobilnet_v2"], 2, "got 'mobilnet_v2'; did you mean 'mobilenet_v2'?"),
        (["mobilenet_v1", "--expansion", 3], 2, "a knob of mobilenet_v1 must be one of"),
        (["mobilenet_v2", "--output-stride", 12], 2, "output_stride must be 8, 16 or 32, got 12"),
        (["mobilenet_v2", "--width", -1], 2, "width must be a number above 0"),
        (["mobilenet_v2", "--width", "1,x"], 2, "--width must be numbers such as"),
        (["mobilenet_v2", "--width", "0.5,1", "--layers"], 2, "--layers is for one network"),
        (["ssdlite_mobilenet_v2", "--head-kernel", 1], 2, "a knob of ssdlite_mobilenet_v2 must be"),
        (["ssd_mobilenet_v2", "--head-kernel", 2], 2, "head_kernel must be 1 or 3, got 2"),
        (["ssd300_vgg16", "--resolution", 200], 2, "resolution must be about 300 for ssd300_vgg16"),
        (["mobilenet_v2", "--resolution", "12x"], 2, "--resolution must be a whole number or two"),
        (["mobilenet_v2", "--resolution", 0], 2, "resolution must be a positive integer"),
        (["mobilenet_v2", "--early-strides", "1,3"], 2, "early_strides must be two of 1 or 2"),
        (["ssd_mobilenet_v2", "--aspp"], 2, "a knob of ssd_mobilenet_v2 must be one of"),
        (["mobilenet_v2", "--multi-scale"], 2, "multi_scale is for networks to segment"),
        (["nowhere/model.onnx"], 1, "nowhere/model.onnx: no such file"),
        (["model.safetensors"], 1, "model.safetensors: no such file"),
    ],
)
def test_mistakes_are_one_line(monkeypatch, capsys, arguments, status, said):
    code, line = fails(monkeypatch, capsys, *arguments)
    assert (code, said in line) == (status, True), line


def test_a_damaged_file_and_knobs_for_a_file_are_mistakes(monkeypatch, capsys, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"nothing of the kind")
    code, line = fails(monkeypatch, capsys, path)
    assert code == 1
    assert "bad.onnx: not an ONNX file" in line
    code, line = fails(monkeypatch, capsys, conv_only(path), "--width", 2)
    assert code == 2
    assert "width is for a network's name" in line


@pytest.mark.parametrize("command", [["profile", "mobilenet_v2"], ["models", "--pretrained"]])
def test_torch_is_never_tried(command):
    script = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchvision', 'timm'):\n"
        "            raise AssertionError(f'tried {name}')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"sys.argv = ['mobilenets', *{command!r}, '--json']\n"
        "from mobilenets.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_help_has_an_example():
    assert "mobilenets profile mobilenet_v2 --width 0.35" in run("--help").stdout
