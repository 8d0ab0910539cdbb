"""Search in many vectors: by which engine, how exact, and that a graph is its index's own."""

import json

import numpy as np
import pytest

from mobilenets.errors import InputError
from mobilenets.index import graph as module
from mobilenets.index.file import Index
from mobilenets.index.graph import graph_files, open_search
from mobilenets.index.search import search


def index_of(count, dimensions=16, seed=0):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(count, dimensions)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = np.arange(count, dtype=np.int64)
    names = tuple(f"{i}.jpg" for i in range(count))
    probes = np.zeros((3, dimensions), np.float32)
    return Index("", "m.onnx", {"model": "x"}, names, vectors, numbers, numbers, probes)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(module, "MANY", 500)
    monkeypatch.setattr(module, "ADDED", 300)


def test_few_vectors_are_searched_exactly(few, tmp_path):
    index = index_of(500)
    found = open_search(index, tmp_path / "x.embeddings", None)
    assert found.how == "numpy, exact, 500 vectors"
    query = index.vectors[7]
    assert found.nearest(query, 5) == search(index, query, 5)
    assert not list(tmp_path.iterdir())


def test_many_are_searched_by_a_graph_that_says_how_often_it_is_right(few, tmp_path):
    index, seen = index_of(1000), []
    file = tmp_path / "x.embeddings"
    found = open_search(index, file, None, seen.append)
    assert sum(seen) == 1000
    share = float(found.how.split()[-1].rstrip("%")) / 100
    assert 0.9 < share <= 1
    right = 0
    for i in range(0, 1000, 20):
        query = index.vectors[i] + 0.1 * index.vectors[i - 1]
        near, exact = found.nearest(query, 10), search(index, query, 10)
        cosines = [one.cosine for one in near]
        assert cosines == sorted(cosines, reverse=True)
        for one in near:  # those of the vectors as they are, not of the graph's halves
            assert one.cosine == pytest.approx(float(index.vectors[one.image] @ query), abs=1e-6)
        right += len({one.image for one in near} & {one.image for one in exact})
    assert right / 500 > 0.9
    exactly = open_search(index, file, "numpy")
    assert exactly.how.startswith("numpy, exact")


def test_a_graph_is_built_once_and_again_for_other_vectors(few, tmp_path, monkeypatch):
    file, built = tmp_path / "x.embeddings", []
    build = module._build
    monkeypatch.setattr(module, "_build", lambda *given: built.append(1) or build(*given))
    index = index_of(600)
    for other in (index, index):
        open_search(other, file, "usearch")
    assert len(built) == 1
    changed = index_of(600, seed=1)
    changed.times[3] += 1
    found = open_search(changed, file, "usearch")
    assert len(built) == 2
    assert found.nearest(changed.vectors[3], 1)[0].image == 3
    path, beside = graph_files(file)
    path.write_bytes(path.read_bytes()[:100])
    open_search(changed, file, "usearch")
    beside.write_text("{}")
    open_search(changed, file, "usearch")
    assert len(built) == 4
    assert json.loads(beside.read_text())["sampled"] == module.SAMPLED


def test_the_share_that_is_right_falls_where_the_graph_is_wrong(few, tmp_path, monkeypatch):
    index = index_of(600)
    wrong = index_of(600, seed=1)
    build = module._build
    monkeypatch.setattr(module, "_build", lambda of, progress: build(wrong, progress))
    how = open_search(index, tmp_path / "x.embeddings", "usearch").how
    assert float(how.split()[-1].rstrip("%")) < 20


def test_without_usearch_it_is_numpy_and_says_what_is_missing(few, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    index = index_of(600)
    found = open_search(index, tmp_path / "x", None)
    assert found.how.startswith("numpy, exact, 600 vectors; pip install")
    assert "[usearch]" in found.how
    with pytest.raises(InputError, match="usearch is not installed"):
        open_search(index, tmp_path / "x", "usearch")
