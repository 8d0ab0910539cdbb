"""An entry of the cache is of the files that were read, whatever becomes of them meanwhile."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from mobilenets.engine import Source, compile  # noqa: A004
from mobilenets.engine.run import compiler
from mobilenets.errors import WeightsError
from mobilenets.inference import open_session
from mobilenets.runtime.backends import Engine, OnnxRuntime
from tests.engine.graphs import array, ints, model, node, onnx_runtime

X = 8 * array(2, 3, 4, 5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engine"


def write(path: Path, proto: onnx.ModelProto, *, beside: bool) -> Path:
    """The file; with its constants in another one, whatever their size."""
    path.parent.mkdir(exist_ok=True)
    (path.parent / "weights.bin").unlink(missing_ok=True)  # onnx would write behind its end
    side = {"location": "weights.bin", "size_threshold": 0, "convert_attribute": True}
    onnx.save(
        onnx.load_from_string(proto.SerializeToString()), path, save_as_external_data=beside, **side
    )
    return path


def clip(limit: float) -> onnx.ModelProto:
    nodes = [node("Clip", "x low high", "y")]
    return model(nodes, ("n", 3, 4, 5), {"low": np.float32(0), "high": np.float32(limit)})


def of_ints(kind: str) -> list[onnx.ModelProto]:
    """Two files that differ in whole numbers only, which are in no node's arrays."""
    rows = {
        "Pad": (ints(0, 0, 1, 0, 0, 0, 0, 1), ints(0, 0, 0, 1, 0, 0, 1, 0)),
        "Reshape": (ints(-1, 12, 5), ints(-1, 5, 12)),
        "Slice": (ints(0), ints(1)),
    }[kind]
    more = " stop axis" if kind == "Slice" else ""
    fixed = {"stop": ints(3), "axis": ints(3)} if more else {}
    one = node(kind, f"x a{more}", "y")
    return [model([one], ("n", 3, 4, 5), {"a": row, **fixed}) for row in rows]


FILES = {"Clip": lambda: [clip(6), clip(3)]} | {
    kind: lambda kind=kind: of_ints(kind) for kind in ("Pad", "Reshape", "Slice")
}


@pytest.mark.parametrize("kind", FILES)
def test_what_a_file_beside_says_belongs_to_the_key(tmp_path, kind):
    protos = FILES[kind]()
    paths = [
        write(tmp_path / name / "m.onnx", proto, beside=True)
        for name, proto in zip("ab", protos, strict=True)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for path, proto in zip(paths, protos, strict=True):
        for cached in (False, True):
            with compile(path, threads=1) as net:
                assert net.report()["cached"] is cached
                np.testing.assert_array_equal(net(X), onnx_runtime(proto.SerializeToString(), X)[0])


@pytest.mark.parametrize("beside", [False, True])
def test_a_file_rewritten_in_between_is_not_kept_under_the_old_ones_key(
    tmp_path, monkeypatch, beside
):
    path = write(tmp_path / "m.onnx", clip(6), beside=beside)
    facts = compiler.processor

    def rewrite() -> str:
        """Between reading for the key and compiling."""
        write(path, clip(3), beside=beside)
        return facts()

    monkeypatch.setattr(compiler, "processor", rewrite)
    with compile(path, threads=1) as net:
        assert net(X).max() == 6
    monkeypatch.setattr(compiler, "processor", facts)
    with compile(path, threads=1) as net:
        assert net(X).max() == 3
    write(path, clip(6), beside=beside)
    with compile(path, threads=1) as net:
        assert (net(X).max(), net.report()["cached"]) == (6, True)


def free_sides(limit: float) -> onnx.ModelProto:
    proto = clip(limit)
    for dim in proto.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "side"
    return proto


def test_another_size_is_of_the_same_file(tmp_path):
    path = write(tmp_path / "m.onnx", free_sides(6), beside=False)
    engine = Engine(Source.open(path), (None, 3, None, None), 1)
    assert engine(X)[0].max() == 6
    write(path, free_sides(3), beside=False)
    assert engine(X[:, :, :3])[0].max() == 6


def test_another_size_with_other_weights_beside_is_refused(tmp_path):
    path = write(tmp_path / "m.onnx", free_sides(6), beside=True)
    engine = Engine(Source.open(path), (None, 3, None, None), 1)
    assert engine(X)[0].max() == 6
    write(path, free_sides(3), beside=True)
    with pytest.raises(WeightsError, match=r"m\.onnx: .*weights\.bin was changed while"):
        engine(X[:, :, :3])


def test_onnx_runtime_gets_the_file_that_was_read(tmp_path):
    path = write(tmp_path / "m.onnx", clip(6), beside=False)
    source = Source.open(path)
    write(path, clip(3), beside=False)
    assert OnnxRuntime(source, (None, 3, 4, 5), 1)(X)[0].max() == 6
    path = write(tmp_path / "b" / "m.onnx", clip(6), beside=True)
    source = Source.open(path)
    path.write_bytes(path.read_bytes() + b"\0\0")
    with pytest.raises(WeightsError, match=r"changed while it was opened|refuses it"):
        OnnxRuntime(source, (None, 3, 4, 5), 1)


def test_a_session_reads_its_file_once(tmp_path, monkeypatch):
    nodes = [node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0), node("MatMul", "m w", "y")]
    path = write(
        tmp_path / "m.onnx", model(nodes, ("n", 3, 4, 5), {"w": array(3, 4)}), beside=False
    )
    reads = []
    whole = Path.read_bytes

    def counted(file: Path) -> bytes:
        reads.append(file)
        return whole(file)

    monkeypatch.setattr(Path, "read_bytes", counted)
    open_session(path, threads=1)
    assert reads.count(path) == 1


COMPILE = """
import sys, mobilenets, numpy as np
with mobilenets.compile(sys.argv[1], threads=1) as net:
    print(float(net(np.full((1, 3, 4, 5), 9, np.float32)).max()))
"""


def test_processes_that_compile_at_once_share_one_entry(tmp_path, cache):
    path = write(tmp_path / "m.onnx", clip(6), beside=True)
    ones = [
        subprocess.Popen([sys.executable, "-c", COMPILE, path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [one.communicate()[0].strip() for one in ones] == ["6.0"] * 3
    assert [file.suffix for file in cache.iterdir()] == [".net"]


def test_every_byte_of_a_large_file_counts():
    """It is read in parts at once; their order and their ends are part of what is kept of it."""
    whole = np.random.default_rng(0).bytes((1 << 20) + 3)
    digests = {Source("a", whole).content, Source("a", whole[:-1]).content}
    for place in (0, 1 << 18, (1 << 18) + 1, (1 << 19) + 7, len(whole) - 1):
        other = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        digests.add(Source("a", other).content)
    digests.add(Source("a", whole[1 << 18 :] + whole[: 1 << 18]).content)
    assert len(digests) == 8
    assert Source("b", bytes(bytearray(whole))).content in digests
