"""Whatever the network, the disk or another process does, an array is right or there is none."""

import contextlib
import gzip
import hashlib
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests  # noqa: F401  (before a test gives up its rights to read it)
import torch

from tests.data.mirrors import (
    ANOTHER,
    GZ,
    PARTS,
    PIXELS,
    PLAIN,
    Server,
    held,
    send,
    status,
    truncated,
    whole,
)
from vae_course import data
from vae_course.data import catalogue, load, remote
from vae_course.data.origins import RemoteFile, RemoteSet

ROOT = Path(__file__).resolve().parents[2]
IMAGES = remote.SETS["mnist"].files["train"].name


@pytest.fixture
def server():
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def closed_port() -> int:
    with Server() as server:
        return server.server_port


# ---- two mirrors, a and b, of a tiny MNIST; a home, a working directory and a system of our own


@pytest.fixture
def tiny(server, tmp_path, monkeypatch) -> RemoteSet:
    files = {
        part: RemoteFile(
            remote.SETS["mnist"].files[part].name,
            hashlib.sha256(PLAIN[part]).hexdigest(),
            len(PLAIN[part]),
            (server.url("a", part), server.url("b", part)),
        )
        for part in PARTS
    }
    for part in PARTS:
        server.serve("a", part, whole(GZ[part]))
        server.serve("b", part, whole(GZ[part]))
    installed = (str(tmp_path / "usr/share/datasets/mnist"),)
    tiny = RemoteSet(files=files, folders=("mnist", "MNIST/raw"), installed=installed)
    monkeypatch.setitem(remote.SETS, "mnist", tiny)
    monkeypatch.setattr(remote, "PAUSE", 0)
    monkeypatch.delenv("VAE_COURSE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tiny


@pytest.fixture
def cache(tiny) -> Path:
    return pooch.os_cache("vae_course") / "mnist"


def fill(folder: Path, tiny: RemoteSet, **other: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, file in tiny.files.items():
        (folder / file.name).write_bytes(other.get(part, GZ[part]))


def assert_right(dataset: data.Dataset) -> None:
    for part in ("train", "test"):
        images, labels = getattr(dataset, part), getattr(dataset, f"{part}_labels")
        assert np.array_equal((images[:, 0].double() * 255).round().numpy(), PIXELS[part])
        assert images.dtype == torch.float32 and 0 <= images.min() and images.max() <= 1
        assert np.array_equal(labels.numpy(), PIXELS[f"{part}_labels"])


def assert_holds_exactly_the_set(cache: Path, tiny: RemoteSet) -> None:
    assert {p.name for p in cache.iterdir()} - {".lock"} == {f.name for f in tiny.files.values()}
    for part, file in tiny.files.items():
        assert gzip.decompress((cache / file.name).read_bytes()) == PLAIN[part]


# ---- where it is looked for


def test_a_download_is_exact_asked_of_the_first_mirror_and_made_once(server, tiny, cache):
    assert_right(load("mnist"))
    assert_right(load("mnist"))
    assert server.requests == [f"/a/{part}" for part in PARTS]
    assert_holds_exactly_the_set(cache, tiny)


def test_the_cache_serves_as_vae_course_data_without_network(server, tiny, cache, monkeypatch):
    load("mnist")
    monkeypatch.setenv("VAE_COURSE_DATA", str(cache.parent))
    monkeypatch.setenv("XDG_CACHE_HOME", "elsewhere")
    server.requests.clear()
    assert_right(load("mnist"))
    assert not server.requests


def places(tmp_path: Path, cache: Path) -> list[Path]:
    own, torchvision = "mnist", "MNIST/raw"
    given = [tmp_path / "given" / folder for folder in (own, torchvision, ".")]
    variable = [tmp_path / "variable" / folder for folder in (own, torchvision)]
    here = [tmp_path / "here/data" / folder for folder in (own, torchvision)]
    return [*given, *variable, *here, tmp_path / "usr/share/datasets/mnist", cache]


@pytest.mark.parametrize("first", range(9))
def test_an_earlier_place_hides_every_later_one(first, server, tiny, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path / "variable"))
    options = {"path": tmp_path / "given"} if first < 3 else {}
    ordered = places(tmp_path, cache)
    fill(ordered[first], tiny)
    for later in ordered[first + 1 :]:
        fill(later, tiny, train=ANOTHER)
    assert_right(load("mnist", **options))
    assert not server.requests


def test_a_path_that_lacks_a_file_is_an_error_not_a_download(server, tiny, cache, tmp_path):
    fill(cache, tiny)
    with pytest.raises(FileNotFoundError, match=f"{IMAGES} of mnist is missing") as e:
        load("mnist", path=str(tmp_path / "given"))
    assert all(str(place) in str(e.value) for place in places(tmp_path, cache)[:3])
    assert "By hand: download http://127.0.0.1" in str(e.value) and not server.requests


@pytest.mark.parametrize("form", ["as served", "compressed again", "plain, no .gz", "plain, .gz"])
def test_contents_count_not_their_compression(form, tiny, tmp_path):
    for part, file in tiny.files.items():
        raw = gzip.compress(PLAIN[part], 1, mtime=7) if form == "compressed again" else GZ[part]
        name = file.name.removesuffix(".gz") if form == "plain, no .gz" else file.name
        (tmp_path / name).write_bytes(PLAIN[part] if form.startswith("plain") else raw)
    assert_right(load("mnist", path=tmp_path))


def test_a_server_that_decompresses_on_the_way_is_right_too(server, tiny):
    for part in PARTS:
        server.serve("a", part, whole(GZ[part], Content_Encoding="gzip"))
    assert_right(load("mnist"))
    assert_right(load("mnist"))
    assert len(server.requests) == len(PARTS)


# ---- a network that misbehaves

FLIPPED = bytearray(GZ["train"])
FLIPPED[len(FLIPPED) // 2] ^= 1
FAULTS = {
    "truncated": truncated(GZ["train"], told=True),
    "truncated, length not told": truncated(GZ["train"], told=False),
    "empty": whole(b""),
    "one corrupt byte": whole(bytes(FLIPPED)),
    "one wrong pixel, well compressed": whole(ANOTHER),
    "another file of the set": whole(GZ["test"]),
    "login page": whole(b"<html>Welcome to the hotel's network</html>"),
    "403": status(403),
    "404": status(404),
    "503": status(503),
    "stalled": held(GZ["train"], threading.Event()),
    "redirected for ever": lambda handler: send(handler, b"", 0, 302, Location=handler.path),
    "closed at once": lambda handler: None,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_mirror_repairs_what_the_first_did_wrong(fault, server, tiny, cache, monkeypatch):
    if fault == "stalled":
        monkeypatch.setattr(remote, "TIMEOUT", (5.0, 1.0))
    server.serve("a", "train", FAULTS[fault])
    assert_right(load("mnist"))
    assert "/b/train" in server.requests
    assert_holds_exactly_the_set(cache, tiny)


def test_a_passing_fault_of_every_mirror_is_repaired_by_asking_again(server, tiny, cache):
    server.serve("a", "train", FAULTS["truncated"], whole(GZ["train"]))
    server.serve("b", "train", FAULTS["503"])
    assert_right(load("mnist"))
    assert server.requests[:3] == ["/a/train", "/b/train", "/a/train"]
    assert_holds_exactly_the_set(cache, tiny)


def test_when_all_mirrors_fail_the_error_says_what_where_why_and_what_to_do(
    server, tiny, cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path / "variable"))
    server.serve("a", "test", status(403))
    server.serve("b", "test", truncated(GZ["test"], told=False))
    with pytest.raises(FileNotFoundError) as e:
        load("mnist")
    text = str(e.value)
    assert text.startswith(f"{tiny.files['test'].name} of mnist is missing")
    assert all(str(place) in text for place in places(tmp_path, cache)[3:])
    assert text.count(server.url("a", "test") + ": HTTPError: 403") == 1
    assert f"{server.url('b', 'test')}: Damaged: not a whole gzip file" in text
    by_hand = text.partition("By hand: ")[2]
    assert server.url("a", "test") in by_hand
    assert "into a folder named mnist, and set VAE_COURSE_DATA to the folder that" in by_hand
    # What did come is kept, what did not left nothing.
    kept = {tiny.files[part].name for part in ("train", "train_labels")}
    assert {p.name for p in cache.iterdir()} - {".lock"} == kept


def test_the_advice_of_the_error_works(server, tiny, tmp_path, monkeypatch):
    server.answers.clear()
    with pytest.raises(FileNotFoundError) as e:
        load("mnist")
    folder = re.search(r"a folder named (\S+),", str(e.value))[1]
    fill(tmp_path / "mine" / folder, tiny)
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path / "mine"))
    assert_right(load("mnist"))


def test_offline_is_a_clear_error(tiny, monkeypatch):
    port = closed_port()
    files = {
        part: RemoteFile(file.name, file.sha256, file.size, (f"http://127.0.0.1:{port}/{part}",))
        for part, file in tiny.files.items()
    }
    monkeypatch.setitem(remote.SETS, "mnist", RemoteSet(files, tiny.folders))
    with pytest.raises(FileNotFoundError, match=rf"(?s){IMAGES}.*asked\n.*{port}.*ConnectionError"):
        load("mnist")


# ---- answers that would harm


BOMB = gzip.compress(bytes(60_000_000), 9)  # 58 kB


def peak(call: Callable) -> int:
    """Most bytes that Python held while this ran."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_small_file_that_unpacks_to_a_large_one_is_left_packed(server, tiny, cache, tmp_path):
    server.serve("a", "train", whole(BOMB))
    assert peak(lambda: load("mnist")) < 20_000_000
    assert_holds_exactly_the_set(cache, tiny)  # from the other mirror
    fill(tmp_path / "mine", tiny, train=gzip.compress(PLAIN["train"] + b"more"))
    with pytest.raises(RuntimeError, match=r"is damaged: it unpacks to more than the 78,416 bytes"):
        load("mnist", path=tmp_path / "mine")


def test_a_file_or_an_answer_of_too_many_bytes_is_not_read_to_its_end(server, tiny, tmp_path):
    fill(tmp_path / "mine", tiny, train=bytes(100_000))
    with pytest.raises(RuntimeError, match=r"is damaged: it has 100,000 bytes, and can have 83,2"):
        load("mnist", path=tmp_path / "mine")
    for mirror in "ab":
        server.serve(mirror, "train", lambda handler: send(handler, bytes(100_000), None))
    with pytest.raises(FileNotFoundError, match="the answer has more than 83,2"):
        load("mnist")


def test_a_link_in_the_place_of_a_download_is_not_followed(server, tiny, cache, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    cache.mkdir(parents=True)
    (cache / f"{IMAGES}.part").symlink_to(mine)
    assert_right(load("mnist"))
    assert mine.read_text() == "mine"
    assert_holds_exactly_the_set(cache, tiny)


# ---- files that are damaged where they lie


@pytest.mark.parametrize("place", range(8))
def test_a_damaged_file_of_the_users_is_named_and_left_alone(
    place, server, tiny, cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path / "variable"))
    folder = places(tmp_path, cache)[place]
    fill(folder, tiny, train=bytes(FLIPPED))
    fill(cache, tiny)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    with pytest.raises(RuntimeError, match=rf"{IMAGES} is damaged: .* left alone: replace") as e:
        load("mnist", **({"path": tmp_path / "given"} if place < 3 else {}))
    assert str(e.value).startswith(str(folder / IMAGES))
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    assert not server.requests


@pytest.mark.parametrize("damage", [bytes(FLIPPED), GZ["train"][:1000], b"", ANOTHER])
def test_a_damaged_file_in_the_cache_is_announced_and_downloaded_again(damage, server, tiny, cache):
    fill(cache, tiny, train=damage)
    with pytest.warns(UserWarning, match=rf"{IMAGES} is damaged: .* Downloading it again"):
        assert_right(load("mnist"))
    assert server.requests == ["/a/train"]
    assert_holds_exactly_the_set(cache, tiny)


def test_damaged_in_the_cache_and_offline_is_an_error_too(server, tiny, cache):
    fill(cache, tiny, train=bytes(FLIPPED))
    server.answers.clear()
    with (
        pytest.warns(UserWarning, match=f"{IMAGES} is damaged"),
        pytest.raises(FileNotFoundError, match=f"{IMAGES} of mnist is missing"),
    ):
        load("mnist")


def test_no_single_flipped_byte_and_no_truncation_changes_what_is_read(tmp_path):
    plain = PLAIN["test_labels"]
    file = RemoteFile("f.gz", hashlib.sha256(plain).hexdigest(), len(plain), ())
    good = GZ["test_labels"]
    harmless = 0
    for i in range(len(good)):
        for bad in (good[:i], good[:i] + bytes([good[i] ^ 0xFF]) + good[i + 1 :]):
            try:
                assert remote._checked(bad, file) == PLAIN["test_labels"]
            except remote._Damaged:
                continue
            harmless += 1
    # RFC 1952: time (4 bytes), extra flags and system say nothing of the contents.
    assert harmless <= 6


# ---- a disk that misbehaves


@contextlib.contextmanager
def as_nobody():
    """Root may write anywhere: give that up for a while."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only(tiny, monkeypatch):
    """A cache folder that can be read and entered, and not written to."""
    with tempfile.TemporaryDirectory() as home:  # pytest's own folders are closed to others
        folder = Path(home, "vae_course", "mnist")
        folder.mkdir(parents=True)
        monkeypatch.setenv("XDG_CACHE_HOME", home)

        @contextlib.contextmanager
        def locked():
            for path in (*folder.iterdir(), folder, folder.parent, folder.parent.parent):
                path.chmod(0o555)
            with as_nobody() if os.geteuid() == 0 else contextlib.nullcontext():
                yield folder
            for path in (folder.parent.parent, folder.parent, folder):
                path.chmod(0o755)

        yield folder, locked


UNWRITABLE = rf"{IMAGES} of mnist can't be stored in the cache .*XDG_CACHE_HOME.*VAE_COURSE_DATA"


def test_a_cache_that_cannot_be_written_is_a_clear_error_before_any_download(server, read_only):
    folder, locked = read_only
    with locked(), pytest.raises(OSError, match=UNWRITABLE) as e:
        load("mnist")
    assert str(folder) in str(e.value) and "Permission denied" in str(e.value)
    assert not server.requests and not list(folder.iterdir())


def test_a_cache_that_can_only_be_read_serves(server, tiny, read_only):
    folder, locked = read_only
    fill(folder, tiny)
    with locked():
        assert_right(load("mnist"))
    assert not server.requests


def test_a_cache_below_a_file_is_a_clear_error(server, tmp_path, monkeypatch, tiny):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=UNWRITABLE):
        load("mnist")
    assert not server.requests


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tiny, cache):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(GZ["train"]) // 2, hard))  # as a full disk does
    try:
        with pytest.raises(OSError, match=UNWRITABLE):
            load("mnist")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {p.name for p in cache.iterdir()} <= {".lock"}
    assert_right(load("mnist"))


# ---- other processes

CHILD = """
import hashlib
from vae_course.data import remote
from vae_course.data.origins import RemoteFile, RemoteSet
remote.SETS["mnist"] = {tiny!r}
print("ready", flush=True)
contents = remote.fetch("mnist")
print(*(hashlib.sha256(contents[part]).hexdigest() for part in contents))
"""


def start(tiny: RemoteSet) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CHILD.format(tiny=tiny)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_a_process_killed_half_way_through_a_download_leaves_nothing_in_the_way(
    server, tiny, cache
):
    never = threading.Event()
    server.serve("a", "train", held(GZ["train"], never), whole(GZ["train"]))
    part = cache / f"{IMAGES}.part"
    with start(tiny) as child:
        try:
            wait_for(lambda: part.exists() and part.stat().st_size > 0)
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL
    never.set()
    assert 0 < part.stat().st_size < len(GZ["train"]) and not (cache / IMAGES).exists()
    assert_right(load("mnist"))
    assert server.requests == ["/a/train"] + [f"/a/{part}" for part in PARTS]
    assert_holds_exactly_the_set(cache, tiny)


def test_three_processes_at_once_all_succeed_and_download_each_file_once(server, tiny, cache):
    go = threading.Event()
    server.serve("a", "train", held(GZ["train"], go))
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(start(tiny)) for _ in range(3)]
        for child in children:
            stack.callback(child.kill)
        assert [child.stdout.readline() for child in children] == ["ready\n"] * 3
        time.sleep(0.3)  # so that without a lock each would have asked by now
        go.set()
        printed = [child.communicate(timeout=120)[0] for child in children]
    assert printed == [" ".join(file.sha256 for file in tiny.files.values()) + "\n"] * 3
    assert sorted(server.requests) == sorted(f"/a/{part}" for part in PARTS)
    assert_holds_exactly_the_set(cache, tiny)


# ---- without pooch


def test_without_pooch_the_error_says_so_and_data_on_this_machine_still_load(
    tiny, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=f"{IMAGES} of mnist .* pip install pooch.*By hand|by h"):
        load("mnist")
    fill(tmp_path / "variable/mnist", tiny)
    monkeypatch.setenv("VAE_COURSE_DATA", str(tmp_path / "variable"))
    assert_right(load("mnist"))


# ---- the real sets


@pytest.mark.parametrize("name", catalogue.DOWNLOADED)
def test_every_file_has_two_mirrors_on_different_hosts(name):
    for file in remote.SETS[name].files.values():
        assert len({url.split("/")[2] for url in file.urls}) >= 2
        name_there = file.name.removeprefix("moses_")
        assert all(url.endswith(f"/{name_there}") for url in file.urls)
