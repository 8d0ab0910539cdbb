"""What features know of labelled data, beside scikit-learn."""

import json

import numpy as np
import pytest
from tests.small import of_shapes

from mobilenets.data.shapes import Shapes
from mobilenets.index.frozen import Features, linear_classes, nearest_classes
from mobilenets.weights.sources.own import save


def parts(seed: int = 0) -> tuple[Features, Features]:
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, 120)
    vectors = random.normal(size=(120, 6)) + 0.8 * np.eye(6)[labels]
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return Features(vectors[:80], labels[:80], []), Features(vectors[80:], labels[80:], [])


@pytest.mark.parametrize("step", [7, 1024])
def test_the_nearest_vote_as_scikit_learns_do(monkeypatch, step):
    from sklearn.neighbors import KNeighborsClassifier

    monkeypatch.setattr("mobilenets.index.frozen.STEP", step)
    train, tested = parts()
    peer = KNeighborsClassifier(
        20, metric="cosine", weights=lambda distances: np.exp((1 - distances) / 0.07)
    ).fit(train.vectors, train.labels)
    expected = peer.predict(tested.vectors)
    np.testing.assert_array_equal(nearest_classes(train, tested.vectors, 4), expected)


def test_a_line_is_scikit_learns_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    train, tested = parts(1)
    found = linear_classes(train, tested.vectors, 4)
    peers = [
        LogisticRegression(C=c, max_iter=2000).fit(train.vectors, train.labels)
        for c in (0.5, 1, 5, 10, 50, 100, 1e3, 1e4)
    ]
    agree = max((peer.predict(tested.vectors) == found).mean() for peer in peers)
    assert agree >= 0.95


def test_eval_measures_features_of_any_weights(call, tmp_path):
    save(of_shapes(48, width=0.35), tmp_path / "m.safetensors")
    for i in range(32):
        picture = tmp_path / "photos" / Shapes(60).classes[i % 8] / f"{i}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Shapes(60).image(i).save(picture)
    words = ("eval", tmp_path / "m.safetensors", tmp_path / "photos", "--probe")
    ran = call(*words, "knn,linear", "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert {"knn", "linear"} < found.keys()
    assert (found["learned_from"], found["images"], found["layer"]) == (24, 8, "last")
    assert "knn" in call(*words, "knn").out
    wrong = call(*words, "nearest")
    assert (wrong.status, "probe must be knn, linear or both" in wrong.err) == (2, True)
