import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.bench.stand_ins import write_pool


@pytest.fixture(autouse=True)
def reachable(monkeypatch) -> None:
    """Workers find the stand-ins wherever the tests are started."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


@pytest.fixture
def pool(tmp_path) -> Path:
    return write_pool(tmp_path / "pool.onnx", ("N", 3, 8, 8))


@pytest.fixture
def script(monkeypatch) -> Callable[[str], ModuleType]:
    """Imports a script of `bench/` by its name, as if it was started there."""
    folder = Path(__file__).parents[2] / "bench"
    monkeypatch.syspath_prepend(str(folder))

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
