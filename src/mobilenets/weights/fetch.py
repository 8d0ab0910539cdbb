"""Fetch a published file once: resumed, verified, cached, safe for two processes at a time.

Verified means: as long as the server said; with the sha256 that is published (torchvision prints
its first digits, Hugging Face sends it with the file); recognised as the network it claims to be.
Google publishes no hash: there the sha256 of the first fetch is kept beside the file and holds
from then on. A file put there by hand is taken, and held to the hash as well.
"""

import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from mobilenets.errors import InputError, WeightsError
from mobilenets.files import replace_file
from mobilenets.weights.published import Published

CHUNK = 1 << 16
TIMEOUT = 30  # seconds without a byte
ATTEMPTS = 3


def cache_folder() -> Path:
    """$MOBILENETS_CACHE, or `mobilenets` in the platform's folder for caches."""
    if chosen := os.environ.get("MOBILENETS_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mobilenets"


def fetch(published: Published, *, check: Callable[[Path], None]) -> Path:
    """The file of a published checkpoint on this disk, fetched if it is not there yet.

    `check` raises where a file is not what it claims. Raises InputError where the network or
    the server fails, naming the address and where to put the file by hand; WeightsError for a
    file that is not as published.
    """
    from filelock import FileLock

    folder = _place(published).parent
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        for url in published.beside:
            if not (folder / _file_name(url)).is_file():
                _fetch_file(url, folder / _file_name(url), None)
        path = _place(published)
        if path.is_file():
            if _pin(path) is None:  # put there by hand
                check(path)
            _verify(path, _pin(path), published.sha256)
        else:
            _fetch_file(published.url, path, published.sha256, check)
    return path


def is_fetched(published: Published) -> bool:
    """Whether its file is on this disk, fetched before or part of the package."""
    return published.packaged is not None or _place(published).is_file()


def _place(published: Published) -> Path:
    """Where its file is kept."""
    return cache_folder() / published.name / _file_name(published.url)


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[1]


def _fetch_file(
    url: str, path: Path, sha256: str | None, check: Callable[[Path], None] | None = None
) -> None:
    """Download beside `path`, verify, then move into place."""
    part = path.with_name(path.name + ".part")
    try:
        for attempt in range(ATTEMPTS):
            try:
                announced = _download(url, part)
                break
            except http.client.IncompleteRead:
                if attempt == ATTEMPTS - 1:
                    raise
    except (OSError, http.client.HTTPException) as error:
        raise InputError(
            f"cannot fetch {url} ({_reason(error)}); try again, or put the file at {path} by hand"
        ) from error
    try:
        _verify(part, _pin(path), sha256, announced)
        if check is not None:
            check(part)
    except InputError:
        part.unlink()
        raise
    digest = _sha256(part)
    part.replace(path)
    # After its file: whoever is stopped in between leaves a file that nothing holds to a hash, as
    # one put there by hand, and never a hash without its file.
    _keep_pin(path, digest)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, http.client.IncompleteRead):
        return "the connection broke off; what came is kept"
    return str(getattr(error, "reason", error)) or type(error).__name__


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Remembers the sha256 that Hugging Face sends with its redirect; never leaves https."""

    announced: str | None = None

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(f"redirected to {newurl}, which is not https")
        self.announced = self.announced or _linked_hash(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _linked_hash(headers: Any) -> str | None:
    tag = (headers.get("X-Linked-ETag") or "").strip('"')
    return tag if re.fullmatch(r"[0-9a-f]{64}", tag) else None


def _download(url: str, part: Path) -> str | None:
    """Complete `part`, from where it ends if the server can; the hash the server announces."""
    tag_path = part.with_name(part.name + ".etag")
    start = part.stat().st_size if part.is_file() else 0
    tag = tag_path.read_text(encoding="utf-8") if tag_path.is_file() else ""
    request = urllib.request.Request(url, headers={"User-Agent": "mobilenets"})
    if start and tag:  # without a tag nothing says that it is still the same file
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", tag)
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects)
    try:
        response = opener.open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # asked for bytes beyond the end: begin again
            raise
        part.unlink()
        tag_path.unlink(missing_ok=True)
        return _download(url, part)
    with response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise OSError("the server resumed at another place than asked")
        tag_path.write_text(_strong(response.headers.get("ETag")), encoding="utf-8")
        _save(response, part, start if resumed else 0)
    tag_path.unlink()
    return redirects.announced or _linked_hash(response.headers)


def _strong(tag: str | None) -> str:
    """An ETag that If-Range accepts; a weak one does not promise the same bytes."""
    return "" if not tag or tag.startswith("W/") else tag


def _save(response: http.client.HTTPResponse, part: Path, start: int) -> None:
    """Append the answer to the first `start` bytes of `part`, and show how far it is."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(stderr=True)
    name, seen = part.name.removesuffix(".part"), console.is_terminal
    if not seen:
        size = f", {total / 1e6:.1f} MB" if total else ""
        console.print(f"fetching {name}{size}", highlight=False, markup=False, soft_wrap=True)
    bar = Progress(*columns, TransferSpeedColumn(), console=console, disable=not seen)
    with bar, part.open("r+b" if start else "wb") as file:
        task = bar.add_task(name, total=total, completed=start)
        file.seek(start)
        while block := response.read(CHUNK):
            file.write(block)
            bar.advance(task, len(block))
        done = file.tell()
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _pin_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _pin(path: Path) -> str | None:
    """The hash of the first fetch, if there was one and it is whole."""
    pin = _pin_path(path)
    text = pin.read_text(encoding="ascii", errors="replace").strip() if pin.is_file() else ""
    return text if re.fullmatch(r"[0-9a-f]{64}", text) else None


def _keep_pin(path: Path, digest: str) -> None:
    replace_file(_pin_path(path), lambda pin: pin.write_text(f"{digest}\n", encoding="ascii"))


def _verify(path: Path, *hashes: str | None) -> None:
    """Raise WeightsError unless the file's sha256 begins with each of the hashes that are known."""
    found = _sha256(path)
    for expected in hashes:
        if expected and not found.startswith(expected):
            raise WeightsError(
                f"{path}: sha256 must be {expected}, got {found[: max(len(expected), 8)]}; not the "
                "file that was published, or damaged on the way"
            )
