"""What tests of published files on the command line share."""

from pathlib import Path

from tests.quick import quick_export


def export_published(weights: Path, path: Path, **options: object) -> Path:
    """A published file, read and written as ONNX."""
    from mobilenets.export import export_onnx
    from mobilenets.weights import load

    with quick_export():
        export_onnx(load(weights), path, **options)
    return path


def check_other_classes(ran, name: str) -> None:
    """A model was refused data of other classes, of which `name` is one, in one line."""
    assert ran.status == 1
    assert name in ran.err
    assert len(ran.err.strip().splitlines()) <= 3  # notes, and the error
    assert "Traceback" not in ran.err
