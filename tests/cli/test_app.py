"""What all commands share: help, completion."""

import os
import subprocess
import sys

import pytest

from mobilenets.cli import COMMANDS


@pytest.mark.parametrize("words", [(), *((name,) for name in COMMANDS), ("data", "check")])
def test_h_is_help_everywhere(call, words):
    long, short = call(*words, "--help"), call(*words, "-h")
    assert (short.status, short.out) == (0, long.out)
    assert "Usage" in short.out
    assert "-h" in short.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mobilenets ex", {"export"}),
        ("mobilenets export --fo", {"--force"}),
        ("mobilenets data ch", {"check"}),
    ],
)
def test_the_shell_completes(line, expected):
    """As the script that `--install-completion` installs asks for it."""
    asked = {"_MOBILENETS_COMPLETE": "complete_bash", "COMP_WORDS": line}
    asked["COMP_CWORD"] = str(len(line.split()) - 1)
    program = "import sys; sys.argv[0] = 'mobilenets'; from mobilenets.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert expected <= set(done.stdout.split()), done.stderr


def test_the_script_for_completion_is_shown(call):
    """And names the program as it is called."""
    assert "_MOBILENETS_COMPLETE=complete_bash" in call("--show-completion", "bash").out
