import hashlib
import http.server
import importlib
import json
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision

from mobilenets.data.shapes import CLASSES
from mobilenets.errors import InputError, WeightsError
from mobilenets.runtime.preprocess import preprocess
from mobilenets.weights import identify, load, read
from mobilenets.weights.fetch import cache_folder
from mobilenets.weights.infer import expected_shapes
from mobilenets.weights.published import PUBLISHED, Published

# The list, held to what the peer libraries say of themselves.


def test_google_published_16_and_22():
    google = [p for p in PUBLISHED.values() if p.name.endswith(".google")]
    kinds = [(p.architecture, p.width, p.resolution) for p in google]
    assert len(set(kinds)) == len(google)
    assert [k[0] for k in kinds].count("mobilenet_v1") == 16
    assert [k[0] for k in kinds].count("mobilenet_v2") == 22
    for p in google:
        assert p.name == f"{p.architecture}_{p.width:g}_{p.resolution}.google".replace(
            "_1_", "_1.0_"
        )
    assert PUBLISHED["mobilenet_v2_1.0_224.google"].top1 == 0.718
    assert PUBLISHED["mobilenet_v1_0.25_128.google"].top1 == 0.415


ASK_KERAS = """
import json, sys
import keras

def get_file(name, origin, **_):
    raise LookupError(origin)

keras.src.utils.file_utils.get_file = get_file
apps = keras.applications
networks = {"mobilenet_v1": apps.MobileNet, "mobilenet_v2": apps.MobileNetV2}
asked = []
for architecture, width, side in json.loads(sys.argv[1]):
    try:
        networks[architecture](input_shape=(side, side, 3), alpha=width)
    except LookupError as error:
        asked.append(str(error))
print(json.dumps(asked))
"""


@pytest.mark.every
def test_googles_addresses_are_those_that_keras_asks_for():
    google = [p for p in PUBLISHED.values() if p.name.endswith(".google")]
    wanted = google[3::9]
    question = json.dumps([(p.architecture, p.width, p.resolution) for p in wanted])
    # In a process of its own: TensorFlow and torch do not always bear each other in one.
    command = [sys.executable, "-c", ASK_KERAS, question]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(answer.splitlines()[-1]) == [p.url for p in wanted]


def test_torchvisions_entries_are_its_own():
    for entry in torchvision.models.MobileNet_V2_Weights:
        p = PUBLISHED[f"mobilenet_v2_1.0_224.torchvision_{entry.name[-2:].lower()}"]
        assert p.url == entry.url
        assert p.sha256 == re.search(r"-([0-9a-f]{8,})\.pth", entry.url)[1]
        assert p.top1 * 100 == pytest.approx(entry.meta["_metrics"]["ImageNet-1K"]["acc@1"])


def test_timms_entries_are_all_that_we_can_express():
    known = timm.list_pretrained("mobilenetv1*") + timm.list_pretrained("mobilenetv2*")
    wanted = {n for n in known if not re.search(r"100h|0d\b", n)}
    ours = {p for n, p in PUBLISHED.items() if ".timm_" in n}
    assert {p.name.replace(".timm_", ".") for p in ours} == wanted
    for p in ours:
        name = p.name.replace(".timm_", ".")
        config = timm.get_pretrained_cfg(name)
        repository = config.hf_hub_id.removesuffix(name) + name
        assert p.url == f"https://huggingface.co/{repository}/resolve/main/model.safetensors"
        assert (p.resolution, p.resolution) == config.input_size[1:]


# Fetching, from a server of our own.


class Handler(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    etag = '"one"'
    ranges = True
    cut = 0
    linked = ""
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self):
        cls = type(self)
        cls.asked.append((self.path, self.headers.get("Range")))
        if self.path.startswith("/hub/"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.send_header("X-Linked-ETag", f'"{cls.linked}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path not in cls.files:
            self.send_error(404)
            return
        data, start = cls.files[self.path], 0
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and cls.ranges and self.headers.get("If-Range", cls.etag) == cls.etag:
            start = int(asked[1])
        if start > len(data):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", cls.etag)
        self.end_headers()
        end = len(data)
        if cls.cut:
            cls.cut, end = cls.cut - 1, start + (len(data) - start) // 2
        self.wfile.write(data[start:end])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    state = torchvision.models.mobilenet_v2(width_mult=0.35, num_classes=1000).state_dict()
    torch.save(state, tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()

    class Fresh(Handler):
        files = {"/w.pth": data}  # noqa: RUF012
        asked = []  # noqa: RUF012

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Fresh)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{httpd.server_port}"
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(
        PUBLISHED,
        "test",
        Published("test", "mobilenet_v2", 0.35, 160, "a test", f"{address}/w.pth", top1=0.5),
    )
    yield Fresh
    httpd.shutdown()
    httpd.server_close()


def change(monkeypatch, **changes):
    monkeypatch.setitem(PUBLISHED, "test", replace(PUBLISHED["test"], **changes))


def cached(tmp_path):
    return sorted(p.name for p in (tmp_path / "cache" / "test").iterdir() if p.name != ".lock")


def test_a_name_is_fetched_once_and_knows_its_resolution(server, tmp_path, capsys):
    card = load("test").card
    assert card.preprocessing.size == (160, 160)
    assert card.results == {"top1": 0.5}
    assert card == identify("test")
    assert [path for path, _ in server.asked] == ["/w.pth"]
    assert cached(tmp_path) == ["w.pth", "w.pth.sha256"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "w.pth" in err


def test_a_connection_that_breaks_off_is_resumed(server, tmp_path):
    server.cut = 2
    identify("test")
    assert (tmp_path / "cache/test/w.pth").read_bytes() == server.files["/w.pth"]
    ranges = [found for _, found in server.asked]
    size = len(server.files["/w.pth"])
    assert ranges == [None, f"bytes={size // 2}-", f"bytes={size // 2 + (size - size // 2) // 2}-"]


def test_a_broken_fetch_is_kept_and_completed_by_the_next_call(server, tmp_path):
    server.cut = 3
    with pytest.raises(InputError, match=r"broke off.*put the file at .*w\.pth by hand") as caught:
        identify("test")
    assert "\n" not in str(caught.value)
    assert cached(tmp_path) == ["w.pth.part", "w.pth.part.etag"]
    identify("test")
    assert server.asked[-1][1] is not None
    assert (tmp_path / "cache/test/w.pth").read_bytes() == server.files["/w.pth"]


@pytest.mark.parametrize("changed", ["etag", "ranges", "shrunk"])
def test_a_rest_that_does_not_fit_is_fetched_anew(server, tmp_path, changed):
    server.cut = 3
    with pytest.raises(InputError):
        identify("test")
    if changed == "etag":
        server.etag = '"two"'
    elif changed == "ranges":
        server.ranges = False
    else:
        part = tmp_path / "cache/test/w.pth.part"
        part.write_bytes(server.files["/w.pth"] + b"more")
    identify("test")
    assert (tmp_path / "cache/test/w.pth").read_bytes() == server.files["/w.pth"]


def test_hashes_are_checked(server, tmp_path, monkeypatch):
    digest = hashlib.sha256(server.files["/w.pth"]).hexdigest()
    change(monkeypatch, sha256="0" * 8)
    with pytest.raises(WeightsError, match="sha256 must be 00000000, got"):
        identify("test")
    assert cached(tmp_path) == []
    for known in (digest[:8], digest):
        change(monkeypatch, sha256=known)
        identify("test")


def test_a_hash_that_the_hub_announces_is_checked(server, tmp_path, monkeypatch):
    change(monkeypatch, url=PUBLISHED["test"].url.replace("/w.pth", "/hub/w.pth"))
    server.linked = "1" * 64
    with pytest.raises(WeightsError, match="sha256 must be 1111"):
        identify("test")
    assert cached(tmp_path) == []
    server.linked = hashlib.sha256(server.files["/w.pth"]).hexdigest()
    identify("test")


def test_what_was_fetched_first_holds_where_nothing_is_published(server, tmp_path):
    identify("test")
    path = tmp_path / "cache/test/w.pth"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="sha256"):
        identify("test")
    path.unlink()
    server.files["/w.pth"] = bytes(data)
    with pytest.raises(WeightsError, match="sha256"):
        identify("test")


def test_another_network_than_claimed_is_not_kept(server, tmp_path, monkeypatch):
    change(monkeypatch, width=1.0)
    with pytest.raises(WeightsError, match="expected mobilenet_v2 of width 1, but the file"):
        identify("test")
    assert cached(tmp_path) == []


def test_a_page_instead_of_a_file_is_not_kept(server, tmp_path):
    server.files["/w.pth"] = b"<html>please log in</html>"
    with pytest.raises(WeightsError, match="not weights"):
        identify("test")
    assert cached(tmp_path) == []


def test_a_missing_file_on_the_server(server, monkeypatch):
    change(monkeypatch, url=PUBLISHED["test"].url + "x")
    with pytest.raises(InputError, match=r"cannot fetch http.*w\.pthx .*404.*by hand"):
        identify("test")


def test_offline_says_where_to_put_the_file_and_takes_it(server, tmp_path, monkeypatch):
    change(monkeypatch, url="http://127.0.0.1:9/w.pth")
    with pytest.raises(InputError, match="cannot fetch") as caught:
        load("test")
    assert "\n" not in str(caught.value)
    place = tmp_path / "cache" / "test" / "w.pth"
    assert f"put the file at {place} by hand" in str(caught.value)
    place.write_bytes(server.files["/w.pth"])
    assert load("test").card.arguments["width"] == 0.35


def test_files_beside_are_fetched_first(server, tmp_path, monkeypatch):
    peer = timm.create_model("mobilenetv2_035", num_classes=2)
    safetensors.torch.save_file(peer.state_dict(), tmp_path / "model.safetensors")
    server.files["/model.safetensors"] = (tmp_path / "model.safetensors").read_bytes()
    config = b'{"architecture": "mobilenetv2_035", "label_names": ["x", "y"], "crop_pct": 1.0}'
    server.files["/config.json"] = config
    base = PUBLISHED["test"].url.removesuffix("w.pth")
    change(monkeypatch, url=base + "model.safetensors", beside=(base + "config.json",))
    card = identify("test")
    assert card.labels == ("x", "y")
    assert card.preprocessing.crop_fraction == 1.0
    assert [path for path, _ in server.asked] == ["/config.json", "/model.safetensors"]
    beside = tmp_path / "config.json"
    beside.write_bytes(config.replace(b'"y"', b'"y", "z"'))
    wrong = "config.json beside it has 3 names for 2 outputs, left aside"
    assert wrong in read(tmp_path / "model.safetensors").notes


FETCH = """
import sys
from mobilenets.weights.fetch import fetch
from mobilenets.weights.infer import expected_shapes
from mobilenets.weights.published import Published

published = Published("test", "mobilenet_v2", 0.35, 160, "a test", sys.argv[1])
print(fetch(published, check=lambda path: None).stat().st_size)
"""


def test_two_processes_fetch_at_once_and_only_one_asks(server):
    command = [sys.executable, "-c", FETCH, PUBLISHED["test"].url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    sizes = {int(process.communicate(timeout=120)[0]) for process in running}
    assert sizes == {len(server.files["/w.pth"])}
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("mobilenet_v2_1.0_224.gogle", "mobilenet_v2_1.0_224.google"),
        ("mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128.google"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(name, near):
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        load(name)


def test_a_file_of_that_name_comes_before_the_published_one(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test").write_bytes(server.files["/w.pth"])
    assert identify("test").preprocessing.size == (224, 224)
    assert server.asked == []


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "mobilenets"),
        ("win32", "LOCALAPPDATA", "mobilenets"),
    ],
)
def test_the_cache_is_where_the_platform_keeps_caches(
    tmp_path, monkeypatch, platform, variable, expected
):
    monkeypatch.delenv("MOBILENETS_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_folder() == tmp_path / expected


def test_every_published_name_is_a_network_we_build():
    for p in PUBLISHED.values():
        assert p.url.startswith("https://") or p.packaged.is_file()
        assert p.top1 is None or 0.4 < p.top1 < 0.78
        assert expected_shapes(p.architecture, {"width": p.width})


def test_stopped_between_a_file_and_its_hash_leaves_no_hash_alone(server, tmp_path, monkeypatch):
    """A hash without its file would refuse what the server has the next time."""
    calls = []

    def stop(path, write):
        calls.append(path.name)
        raise KeyboardInterrupt

    fetching = importlib.import_module("mobilenets.weights.fetch")
    with monkeypatch.context() as patched:
        patched.setattr(fetching, "replace_file", stop)
        with pytest.raises(KeyboardInterrupt):
            identify("test")
    assert calls == ["w.pth.sha256"]
    assert cached(tmp_path) == ["w.pth"]
    identify("test")


@pytest.mark.parametrize("half", ["", "0123"])
def test_half_a_hash_is_none(server, tmp_path, half):
    identify("test")
    (tmp_path / "cache/test/w.pth.sha256").write_text(half)
    identify("test")


# Ours, which is part of the package.

OURS = "mobilenet_v2_0.35_64.shapes"
ROOT = Path(__file__).parents[2]


def test_our_own_weights_need_no_network_and_know_other_shapes(monkeypatch):
    """Measured on the other shapes as `bench/` draws them: never on a built-in one."""
    monkeypatch.setattr("mobilenets.weights.fetch", lambda *_, **__: pytest.fail("was fetched"))
    monkeypatch.syspath_prepend(ROOT / "bench")
    data = importlib.import_module("other_shapes").OtherShapes(64, "val", 64)
    network, card = load(OURS), identify(OURS)
    assert PUBLISHED[OURS].packaged.stat().st_size < 1_000_000
    assert card.labels == data.classes
    assert not set(card.labels) & set(CLASSES)
    images = np.stack([preprocess(data.image(i), card.preprocessing) for i in range(64)])
    with torch.no_grad():
        seen = network(torch.from_numpy(images)).argmax(1)
    assert (seen.numpy() == [data.target(i) for i in range(64)]).mean() > 0.7


def test_what_the_package_reads_beside_its_code_is_installed_with_it():
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    said = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = said["tool"]["setuptools"]["package-data"]["mobilenets"]
    home = ROOT / "src" / "mobilenets"
    files = [f.relative_to(home) for f in home.rglob("*") if f.is_file() and f.suffix != ".py"]
    lost = [f for f in files if "__pycache__" not in f.parts and not any(map(f.match, patterns))]
    assert files
    assert not lost
