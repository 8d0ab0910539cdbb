"""What tests of published files on the command line share."""

from pathlib import Path

import pytest

from mobilenets.export import export_onnx
from mobilenets.weights import load
from tests.quick import quick_export


def published(name: str, **options: object) -> tuple[object, object]:
    """Fixtures of a module: a published file, and the same read and written as ONNX."""

    @pytest.fixture(scope="module")
    def weights(assets: Path) -> Path:
        return assets / "weights" / name

    @pytest.fixture(scope="module")
    def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("exported") / "model.onnx"
        with quick_export():
            export_onnx(load(weights), path, **options)
        return path

    return weights, exported


def check_other_classes(ran, name: str) -> None:
    """A model was refused data of other classes, of which `name` is one, in one line."""
    assert ran.status == 1
    assert name in ran.err
    assert len(ran.err.strip().splitlines()) <= 3  # notes, and the error
    assert "Traceback" not in ran.err
