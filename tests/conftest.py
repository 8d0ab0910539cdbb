import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# One thread for BLAS and OpenMP, here and in processes that tests start: several that wait for each
# other on a busy machine take seventy times the processor's time of one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import settings

from mobilenets.cli import main
from mobilenets.weights.sources.own import save
from tests.small import of_shapes

# The same examples every time, however slow the machine: what fails is the change's own doing.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


ASSETS = Path(os.environ.get("MOBILENETS_ASSETS", Path(__file__).parents[2] / "shared" / "assets"))
skipped: list[str] = []
"""Tests of real images and weights that were skipped although those are there."""


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real images and weights; a test that asks for it is skipped without it."""
    if not ASSETS.is_dir():
        pytest.skip(f"no assets folder at {ASSETS}; set MOBILENETS_ASSETS")
    return ASSETS


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "assets" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.assets)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and "assets" in report.keywords and not hasattr(report, "wasxfail"):
        skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With the assets there, a test that needs them and was skipped is a failure of the run."""
    if skipped and ASSETS.is_dir() and not hasattr(session.config, "workerinput"):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line(f"skipped although {ASSETS} is there: {', '.join(skipped)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Of torch, whatever the variable above is set to: small networks gain nothing from more."""
    torch.set_num_threads(1)


@pytest.fixture
def no_curves(monkeypatch) -> None:
    """Runs end without their pictures, which take longer to draw than two small epochs."""
    monkeypatch.setattr("mobilenets.training.runs.report.Reporter.pictures", lambda *what: None)


class Ran(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def call(capsys, monkeypatch) -> Callable[..., Ran]:
    """Runs the command line in this process."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["mobilenets", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """An untrained network for the built-in shapes."""
    path = tmp_path_factory.mktemp("checkpoint") / "shapes.safetensors"
    save(of_shapes(32), path)
    return path
