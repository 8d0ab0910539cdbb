"""What compiled code depends on besides the network: who made it, and the processor."""

import hashlib
import platform
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_ENGINE = Path(__file__).parents[1]
"""The whole package: editing any room of it makes old cache entries useless."""


@lru_cache
def maker() -> str:
    """A digest of LLVM's version and of this package's own source."""
    digest = hashlib.blake2b(_llvm())
    for path in sorted(_ENGINE.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _llvm() -> bytes:
    """What tells llvmlite's version, without importing it or the machinery of distributions."""
    found = find_spec("llvmlite")
    try:
        return (
            Path(found.origin if found and found.origin else "")
            .with_name("_version.py")
            .read_bytes()
        )
    except (OSError, ValueError):
        from importlib.metadata import version

        return version("llvmlite").encode()


@lru_cache
def processor() -> str:
    """The system, the kind of processor and all that it says it can do, without asking LLVM."""
    facts = [platform.system(), platform.machine()]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
        facts.append(platform.processor())  # starts a program under Linux
    wanted = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    facts += sorted({line for line in lines if line.startswith(wanted)})
    return "\n".join(facts)
