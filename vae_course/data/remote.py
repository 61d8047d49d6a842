"""Data sets too big to ship: found on this machine, or downloaded once, mirror by mirror.

Each file is looked for in this order, and the first one found is used:

1. ``path``, if ``load`` was given one: there or nowhere;
2. the folder that ``$VAE_COURSE_DATA`` names;
3. ``./data``, the root that torchvision's examples use;
4. where Debian installs it: ``/usr/share/datasets/fashion-mnist``;
5. the cache, ``pooch.os_cache("vae_course")``: ``~/.cache/vae_course`` on Linux;
6. the network, mirror by mirror, into the cache.

Under each root of 1 to 3 the files lie in the set's own folder (``mnist/``, ``fashion-mnist/``: the
cache's layout) or in torchvision's (``MNIST/raw/``, ``FashionMNIST/raw/``), and for 1 also in the
root itself; compressed or not. Places 1 to 4 are the user's: they are only read, and a damaged file
there is an error. The cache is ours: a damaged file there is announced and downloaded again.

A file is right when its contents, decompressed, have the recorded sha256, so any compression of
them passes. They are checked on every read, and the very bytes that passed are what is returned.
"""

import contextlib
import gzip
import hashlib
import io
import os
import textwrap
import time
import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from vae_course.data.origins import SETS, RemoteFile, RemoteSet

ROUNDS = 2  # times that every mirror is asked before giving up
PAUSE = 1.0  # seconds between the rounds
NEW = os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)  # Windows has no such links
TIMEOUT = (5.0, 30.0)  # seconds without a connection, and without a byte


def fetch(name: str, path: str | Path | None = None) -> dict[str, bytes]:
    """The decompressed, checked contents of each file of a set, from the first place that has it.

    Args:
        name: A key of ``SETS``; the result has the keys of its ``files``.
        path: A folder that holds the set; then no other place is asked.

    Raises:
        FileNotFoundError: When a file can't be had: which one, where it was looked for, what each
            mirror answered, and how to put it there by hand.
        RuntimeError: When a file is damaged in a place that is not the cache; it is left alone.
        OSError: When the file is only to be had from the network and the cache can't be written.
        ImportError: When pooch is missing and places 1 to 4 don't have the file.
    """
    places = _users_places(SETS[name], path)
    contents = {}
    for part, file in SETS[name].files.items():
        found = _from_user(file, places)
        if found is None and path is not None:
            raise FileNotFoundError(_missing(name, file, places))
        contents[part] = _from_cache(name, file, places) if found is None else found
    return contents


# ---- the user's places: only read


def _users_places(files: RemoteSet, path: str | Path | None) -> list[Path]:
    if path is not None:
        return [Path(path).expanduser() / folder for folder in (*files.folders, ".")]
    variable = os.environ.get("VAE_COURSE_DATA")
    roots = [Path(variable).expanduser()] if variable else []
    roots.append(Path.cwd() / "data")
    places = [root / folder for root in roots for folder in files.folders]
    return [*places, *map(Path, files.installed)]


def _from_user(file: RemoteFile, places: Iterable[Path]) -> bytes | None:
    for place in places:
        for path in (place / file.name, place / file.name.removesuffix(".gz")):
            try:
                contents = _read(path, file)
            except _Damaged as error:
                raise RuntimeError(
                    f"{path} is damaged: {error}. It is not in vae_course's cache and was left "
                    "alone: replace it, or move it away"
                ) from error
            if contents is not None:
                return contents
    return None


# ---- a file's contents, whole and right or not at all


class _Damaged(Exception):
    """What a file holds is not what it should hold; the message says how."""


def _read(path: Path, file: RemoteFile) -> bytes | None:
    # Not path.is_file(): in a folder closed to us it raises, here the file just isn't.
    if not os.path.isfile(path):
        return None
    if (size := os.path.getsize(path)) > file.most:
        raise _Damaged(f"it has {size:,} bytes, and can have {file.most:,} at most")
    return _checked(path.read_bytes(), file)


def _checked(raw: bytes, file: RemoteFile) -> bytes:
    contents = raw
    # By its first bytes, not by its name: a server may decompress on the way.
    if raw[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as unpacked:
                contents = unpacked.read(file.size + 1)  # no more: a small file may unpack to any
        except (OSError, EOFError, zlib.error) as error:
            raise _Damaged(f"not a whole gzip file ({error})") from error
        if len(contents) > file.size:
            raise _Damaged(f"it unpacks to more than the {file.size:,} bytes it should hold")
    found = hashlib.sha256(contents).hexdigest()
    if found != file.sha256:
        raise _Damaged(f"its contents have sha256 {found}, not {file.sha256}")
    return contents


# ---- the cache and the network


def _from_cache(name: str, file: RemoteFile, places: list[Path]) -> bytes:
    cache = _pooch(name, file).os_cache("vae_course") / SETS[name].folders[0]
    target = cache / file.name
    # Without the lock, so that a cache that can only be read serves too.
    with contextlib.suppress(_Damaged, OSError):
        if (contents := _read(target, file)) is not None:
            return contents
    answers: list[str] = []
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # One process downloads, the others wait here and then find the file. The operating system
        # drops the lock of a killed process, which the mere existence of a file would outlive.
        with FileLock(cache / ".lock"):
            contents = None
            try:
                contents = _read(target, file)
            except _Damaged as error:
                warnings.warn(f"{target} is damaged: {error}. Downloading it again", stacklevel=2)
            if contents is None:
                contents = _download(file, target, answers)
    except OSError as error:
        raise OSError(
            f"{file.name} of {name} can't be stored in the cache {cache}: {error}. Make room or "
            "let it be written to, set XDG_CACHE_HOME to another folder, or see to it by hand: "
            + _by_hand(name, file)
        ) from error
    if contents is None:
        raise FileNotFoundError(_missing(name, file, [*places, cache], answers))
    return contents


def _download(file: RemoteFile, target: Path, answers: list[str]) -> bytes | None:
    """Store and return the first right answer; note every other in ``answers``. Needs the lock."""
    import pooch
    import requests

    part = target.with_name(f"{target.name}.part")
    try:
        for turn in range(ROUNDS):
            time.sleep(PAUSE if turn else 0)
            for url in file.urls:
                # pooch sets the bar's total, but can't take one that has none yet.
                with tqdm(desc=file.name, total=1, unit="B", unit_scale=True) as bar:
                    get = pooch.HTTPDownloader(bar, chunk_size=2**14, timeout=TIMEOUT)
                    try:
                        with _Part(part, file.most) as written:
                            get(url, written, None)
                        contents = _checked(part.read_bytes(), file)
                    except (requests.RequestException, _Damaged) as error:
                        reason = f"{type(error).__name__.strip('_')}: {error}"
                        answers.append(f"{url}: {textwrap.shorten(reason, 200)}")
                        continue
                os.replace(part, target)
                return contents
        return None
    finally:
        part.unlink(missing_ok=True)


class _Part(io.FileIO):
    """A new file in place of what a killed download left there; never through a link."""

    def __init__(self, path: Path, most: int) -> None:
        path.unlink(missing_ok=True)
        super().__init__(path, "w", opener=lambda name, flags: os.open(name, flags | NEW, 0o666))
        self.most = most

    def write(self, chunk: Any) -> int:
        if self.tell() + len(chunk) > self.most:
            raise _Damaged(f"the answer has more than {self.most:,} bytes")
        return super().write(chunk)


def _pooch(name: str, file: RemoteFile) -> ModuleType:
    try:
        import pooch
    except ImportError as error:
        raise ImportError(
            f"{file.name} of {name} is not on this machine outside the cache, and the cache and "
            f"the network need pooch: pip install pooch. Or by hand: {_by_hand(name, file)}"
        ) from error
    return pooch


def _missing(
    name: str, file: RemoteFile, places: Iterable[Path], answers: Iterable[str] = ()
) -> str:
    lines = [f"{file.name} of {name} is missing. Looked for it in", *map(str, places)]
    asked = ["and asked", *dict.fromkeys(answers)]
    if len(asked) > 1:
        lines += asked
    return "\n  ".join(lines) + f"\nBy hand: {_by_hand(name, file)}"


def _by_hand(name: str, file: RemoteFile) -> str:
    return (
        f"download {' or '.join(file.urls)} as {file.name} into a folder named "
        f"{SETS[name].folders[0]}, and set VAE_COURSE_DATA to the folder that holds that one"
    )
