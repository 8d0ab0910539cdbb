from pathlib import Path

import pytest

from tests.bench.stand_ins import write_pool


@pytest.fixture(autouse=True)
def reachable(monkeypatch) -> None:
    """Workers find the stand-ins wherever the tests are started."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def pool(tmp_path) -> Path:
    return write_pool(tmp_path / "pool.onnx", ("N", 3, 8, 8))
