import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The same examples every time, however slow the machine: what fails is the change's own doing.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real images and weights; a test that asks for it is skipped without it."""
    default = Path(__file__).parents[2] / "shared" / "assets"
    folder = Path(os.environ.get("MOBILENETS_ASSETS", default))
    if not folder.is_dir():
        pytest.skip(f"no assets folder at {folder}; set MOBILENETS_ASSETS")
    return folder


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Small networks on a busy machine: threads that wait for each other only cost time."""
    torch.set_num_threads(1)
