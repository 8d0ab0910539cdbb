import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mobilenets.engine.front.read import read_graph
from tests.engine.nets import mobilenet

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def texts(script) -> ModuleType:
    return script("llvm_text")


def test_it_takes_the_38_a_detector_and_a_segmenter(texts):
    names = texts.networks()
    assert len(names) == 40
    assert names["mobilenet_v2_1.4_224"] == ("mobilenet_v2", 224, {"width": 1.4})
    assert names["ssdlite_mobilenet_v2_320"][1] == 320
    assert names["deeplabv3_mobilenet_v2_513"][1] == 513


def test_a_text_that_changed_or_is_missing_is_named_and_the_status_is_1(
    texts, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(texts, "networks", lambda: {"small": ("mobilenet_v1", 32, {})})
    monkeypatch.setattr(sys, "argv", ["", "-o", str(tmp_path / "a"), "--models", str(tmp_path)])
    (tmp_path / "small.onnx").write_bytes(mobilenet("mobilenet_v1", 0.25, 32, blocks=1))
    monkeypatch.setattr(texts, "read_graph", lambda path: read_graph(path, shape=(1, 3, 32, 32)))
    texts.main()
    before = json.loads((tmp_path / "a").read_text())
    kinds = {(name.split()[1], name.split()[2]) for name in before}
    assert kinds == {(t, n) for t in ("avx512", "avx2", "sse", "neon") for n in "12"}
    assert len(set(before.values())) == len(before)
    for change, said, status in (
        ({}, "8 texts compared, 0 differ", 0),
        ({"small sse 1": "0"}, "differs: small sse 1", 1),
        ({"other sse 1": "0"}, "only before: other sse 1", 1),
    ):
        (tmp_path / "b").write_text(json.dumps({**before, **change}))
        argv = ["", "--against", str(tmp_path / "b"), "--models", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit) as left:
            texts.main()
        assert left.value.code == status
        assert said in capsys.readouterr().out
