"""The command that brings a missing part, by how the package was installed."""

import json
import shlex
from importlib import metadata
from pathlib import Path

import pytest

from mobilenets import extras


@pytest.fixture
def package(monkeypatch, tmp_path):
    """As if the package lay in site-packages, with this `direct_url.json`."""

    def install(told: object) -> None:
        class Distribution:
            def read_text(self, name: str) -> str | None:
                return None if told is None else json.dumps(told)

        monkeypatch.setattr(extras, "__file__", str(tmp_path / "site" / "mobilenets" / "extras.py"))
        monkeypatch.setattr(metadata, "distribution", lambda name: Distribution())

    return install


def test_in_a_clone_it_is_the_clone(monkeypatch, tmp_path):
    clone = Path(extras.__file__).parents[2]
    monkeypatch.chdir(clone)
    assert extras.command("train") == "pip install '.[train]'"
    monkeypatch.chdir(clone / "src")
    assert extras.command("train") == f"pip install {shlex.quote(f'{clone}[train]')}"
    monkeypatch.chdir(clone.parent)
    assert extras.command("train") == f"pip install './{clone.name}[train]'"


def test_from_an_index_it_is_the_name(package):
    package(None)
    assert extras.command("train") == "pip install 'mobilenets[train]'"


def test_from_a_file_or_a_folder_it_is_that(package, tmp_path, monkeypatch):
    wheel = tmp_path / "a wheel.whl"
    wheel.touch()
    monkeypatch.chdir("/")
    package({"url": wheel.as_uri(), "archive_info": {}})
    *start, given = shlex.split(extras.command("train"))
    assert start == ["pip", "install"]
    assert Path(given.removesuffix("[train]")).samefile(wheel)
    wheel.unlink()  # gone: what it was called helps nobody
    assert extras.command("train") == "pip install 'mobilenets[train]'"


def test_from_a_repository_it_is_its_commit(package):
    package({"url": "https://host/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}})
    wanted = "mobilenets[train] @ git+https://host/x.git@abc"
    assert shlex.split(extras.command("train")) == ["pip", "install", wanted]


def test_what_people_install_by_itself_is_its_own_name():
    assert extras.missing("onnxruntime").endswith("pip install onnxruntime brings it")
    assert "GB" in extras.missing("torch")
