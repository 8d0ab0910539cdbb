"""Every script of `bench/` can be started."""

from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[2] / "bench").glob("*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_imports(script, name):
    assert script(name).__doc__
