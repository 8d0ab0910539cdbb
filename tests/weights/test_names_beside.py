"""Names of classes that lie in a file beside somebody's weights."""

import io
import json
from functools import cache

import pytest
import torch
import torchvision

from mobilenets.weights import identify, load, look
from tests.weights.peers import randomise


@cache
def weights() -> bytes:
    """A file of a network of two classes without names."""
    model = torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=2)
    file = io.BytesIO()
    torch.save(randomise(model).state_dict(), file)
    return file.getvalue()


def put(folder, **files):
    """These weights, and files beside."""
    (folder / "w.pth").write_bytes(weights())
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("_json", ".json").replace("_txt", ".txt")).write_text(text)
    return folder / "w.pth"


@pytest.mark.parametrize(
    "files",
    [
        {"labels_txt": "cat\ndog\n"},
        {"labels_txt": "\ufeff0 cat\r\n1 dog\r\n"},
        {"config_json": {"id2label": {"1": "dog", "0": "cat"}}},
        {"config_json": {"architecture": "resnet18", "label_names": ["cat", "dog"]}},
        {"class_indices_json": {"0": "cat", "1": "dog"}},
        {"class_to_idx_json": {"dog": 1, "cat": 0}},
        {"classes_txt": "background\ncat\ndog"},
        {"labels_txt": "a\nb\nc", "classes_txt": "cat\ndog"},
    ],
)
def test_names_beside_are_the_labels(tmp_path, files):
    path = put(tmp_path, **files)
    card = identify(path)
    assert card.labels == ("cat", "dog")
    assert "beside it says" in card.source
    assert load(path).card == card


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"labels_txt": "a\nb\nc"}, ["labels.txt beside it has 3 names for 2 outputs, left aside"]),
        ({"config_json": "{"}, ["config.json beside it cannot be read"]),
        ({"config_json": {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}}, []),
        ({"config_json": {"classes": 2, "names": 7}}, []),
        ({"labels_txt": ""}, []),
    ],
)
def test_names_that_do_not_fit_are_said(tmp_path, files, said):
    found = look(put(tmp_path, **files)).content
    assert found.card.labels == ()
    assert found.notes == said


def test_the_file_itself_says_more(tmp_path):
    path = put(tmp_path, labels_txt="x\ny")
    state = {"state_dict": torch.load(path), "classes": ["cat", "dog"]}
    torch.save(state, path)
    assert identify(path).labels == ("cat", "dog")
