"""What a run is called."""

from pathlib import Path

import pytest

from mobilenets.training.runs.naming import run_name


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("photos", "photos"),
        ("photos/", "photos"),
        ("photos/data", "photos"),
        ("photos/Images/train", "photos"),
        ("photos/dataset/data.yaml", "photos"),
        ("photos/labels.csv", "photos"),
        ("photos/birds.csv", "birds"),
        ("photos/annotations/instances_train2017.json", "photos"),
        ("photos/train/_annotations.coco.json", "photos"),
        ("photos/v1.5", "v1.5"),
        ("photos/data/..", "photos"),
        ("data/train", "train"),  # nothing says more
        ("photos/my data (new)", "my-data-new"),
        ("shapes", "shapes"),
    ],
)
def test_a_run_is_called_as_its_data(tmp_path, monkeypatch, data, name):
    home = tmp_path / "anna"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.chdir(home)
    path = Path(data)
    if data != "shapes":
        folder = path if "." not in path.name or path.name in ("..", "v1.5") else path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if folder != path:
            path.touch()
    assert run_name(data) == name
    if path.is_dir():
        monkeypatch.chdir(path)
        assert run_name(".") == name
