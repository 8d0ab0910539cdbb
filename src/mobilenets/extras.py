"""What brings a part that is not installed, in words that fit how this package was installed."""

import os
from pathlib import Path

NAME = "mobilenets"
RUNTIME = ("onnxruntime",)
"""What people can install by itself; all else comes with `train`."""
EXTRAS = {"pytorch_metric_learning": "metric", "pyarrow": "parquet", "usearch": "usearch"}
"""What comes with an extra of its own."""
SIZE = "6.0 GB; 1.4 GB with the torch that is for processors alone: docs/install.md"


def missing(module: str) -> str:
    """`torch is not installed; pip install '.[train]' brings it`, and how large it is."""
    if module in RUNTIME:
        return f"{module} is not installed; pip install {module} brings it"
    if module in EXTRAS:
        return f"{module} is not installed; {command(EXTRAS[module])} brings it"
    return f"{module} is not installed; {command('train')} brings it ({SIZE})"


def command(extra: str) -> str:
    """The `pip install` of an extra: from the clone, the file or the address that ours came from.

    From a package index where nothing says otherwise.
    """
    from shlex import quote

    source = _source()
    if "+" in source:  # a repository
        return f"pip install {quote(f'{NAME}[{extra}] @ {source}')}"
    return f"pip install {quote(f'{source or NAME}[{extra}]')}"


def _source() -> str:
    """The folder, file or repository that this package was installed from; '' for an index."""
    import json
    from importlib import metadata
    from urllib.parse import unquote, urlsplit

    clone = Path(__file__).parents[2]
    if (clone / "pyproject.toml").is_file():  # run from a clone, installed or not
        return _shown(clone)
    try:
        told = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
        address, repository = str(told.get("url", "")), told.get("vcs_info")
    except (metadata.PackageNotFoundError, ValueError, AttributeError):
        return ""
    if repository:
        return f"{repository['vcs']}+{address}@{repository['commit_id']}"
    parts = urlsplit(address)
    path = Path(unquote(parts.path))
    return _shown(path) if parts.scheme == "file" and path.exists() else ""


def _shown(path: Path) -> str:
    """A path as one would type it here; it never looks like a name of a package."""
    try:
        inside = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    if inside == ".":
        return inside
    return str(path) if inside.startswith("..") else f".{os.sep}{inside}"
