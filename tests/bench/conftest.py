import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import mobilenets
from tests.bench.stand_ins import write_pool


@pytest.fixture(autouse=True)
def reachable(monkeypatch) -> None:
    """Workers find the stand-ins wherever the tests are started."""
    places = [Path(__file__).parents[2], Path(mobilenets.__file__).parents[1]]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, places)))


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
