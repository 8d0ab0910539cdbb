"""Some of the damaged files that `python -m tests.fuzz.run` reads by the hundred thousand."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SECONDS = 60
ROOT = Path(__file__).parents[2]


@pytest.mark.every
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a file is read in a forked process")
def test_damaged_files_end_in_the_documented_errors(tmp_path):
    """Any of them can be replayed: failures.txt names each by its subject and its number."""
    command = [sys.executable, "-m", "tests.fuzz.run", "--light", "--workers", "1"]
    command += ["--files", "1500", "--seconds", str(SECONDS), "--state", str(tmp_path)]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    failures = tmp_path / "failures.txt"
    told = failures.read_text().split("=== ")[1:] if failures.exists() else []
    wrong = [one for one in told if ", but " not in one]  # a busy machine is slow
    assert not wrong, "\n".join(wrong)
    counts = Counter(json.loads((tmp_path / "worker-0-of-1.json").read_text())["counts"])
    outcomes = Counter(key.rpartition(" ")[2] for key in counts.elements())
    assert outcomes["read"] > 5
    assert outcomes["refused"] > 5
