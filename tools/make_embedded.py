"""Make the embedded sets from the originals, once: prints each file's size and sha256.

    python tools/make_embedded.py FOLDER

FOLDER holds ``mnist/`` and ``fashion-mnist/``, each with the four upstream ``.gz`` files, and
``earthquakes.json``, a week of the USGS feed ``all_week.geojson``, and ``moses/`` the files of
``load("moses")``, and ``photographs/`` the three archives that ``open_photographs.py`` names
(it needs ``dpkg-deb``). What is not there is skipped.
Copy the printed sha256 into ``SHA256`` of ``vae_course/data/embedded/__init__.py``.
"""

import argparse
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import open_photographs

from vae_course.data.tokens import Vocabulary

EMBEDDED = Path(__file__).parents[1] / "vae_course" / "data" / "embedded"
SETS = {  # name: (folder, training images per class, test images per class, bytes allowed)
    "mnist_small": ("mnist", 1_000, 200, 2_500_000),
    "fashion_small": ("fashion-mnist", 500, 100, 2_700_000),
}


def read_idx(path: Path) -> np.ndarray:
    """The array of a gzipped IDX file of bytes: magic 0, 0, 8, ndim, then big-endian sizes."""
    raw = gzip.decompress(path.read_bytes())
    if raw[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is not an IDX file of unsigned bytes")
    shape = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def balanced_rows(labels: np.ndarray, per_class: int, random: np.random.RandomState) -> np.ndarray:
    """Rows with ``per_class`` of each class, shuffled: a prefix of the set is a fair sample too."""
    chosen = [
        random.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)
    ]
    return random.permutation(np.concatenate(chosen))


REGIONS = ("elsewhere", "California", "Alaska", "Nevada", "Puerto Rico", "Hawaii", "Taiwan")


def region(place: str) -> int:
    """Index into ``REGIONS`` of the last part of the feed's words for a place."""
    last = place.rsplit(",", 1)[-1].strip()
    name = "California" if last == "CA" else last
    return REGIONS.index(name) if name in REGIONS else 0


def earthquakes(path: Path) -> dict[str, np.ndarray]:
    """One row an epicentre, shuffled: the feed also lists explosions, and one place twice."""
    found: dict[tuple[int, ...], tuple[int, ...]] = {}
    for event in json.loads(path.read_text(encoding="utf-8"))["features"]:
        if event["properties"]["type"] != "earthquake":
            continue
        degrees = tuple(round(10_000 * degree) for degree in event["geometry"]["coordinates"][:2])
        magnitude = round(100 * event["properties"]["mag"])
        found.setdefault(degrees, (*degrees, magnitude, region(event["properties"]["place"])))
    table = np.random.RandomState(0).permutation(np.array(sorted(found.values())))
    return {
        "degrees": table[:, :2].astype(np.int32),  # longitude, latitude, in 1/10,000
        "magnitude": table[:, 2].astype(np.int16),  # in 1/100
        "region": table[:, 3].astype(np.uint8),
    }


def images(originals: Path, per_train: int, per_test: int) -> dict[str, np.ndarray]:
    """A class-balanced subset of one image set, with each image's row in the originals."""
    random = np.random.RandomState(0)  # its stream is frozen by NumPy's compatibility policy
    arrays = {}
    for part, file, per_class in (("train", "train", per_train), ("test", "t10k", per_test)):
        pixels = read_idx(originals / f"{file}-images-idx3-ubyte.gz")
        labels = read_idx(originals / f"{file}-labels-idx1-ubyte.gz")
        rows = balanced_rows(labels, per_class, random)
        arrays[part] = pixels[rows]
        arrays[f"{part}_labels"] = labels[rows]
        arrays[f"{part}_rows"] = rows.astype(np.uint16)
    return arrays


def moses(folder: Path) -> dict[str, np.ndarray]:
    """A vocabulary of 192 tokens, and a random subset of the strings in it, one after the other."""
    random = np.random.RandomState(0)
    strings = {}
    for part in ("train", "test"):
        text = gzip.decompress((folder / f"moses_{part}.csv.gz").read_bytes()).decode()
        strings[part] = text.split()[1:]  # the first line is a title
    vocabulary = Vocabulary.learn(strings["train"][::400], 192)
    arrays = {"vocabulary": np.array("\n".join(vocabulary.tokens))}
    for part, n in (("train", 30_000), ("test", 3_000)):
        rows = random.permutation(len(strings[part]))[:n]
        tokens = vocabulary.encode(strings[part][row] for row in rows).numpy()
        kept = np.concatenate([tokens, np.zeros_like(tokens[:, :1])], 1)
        flat = kept[(kept != 0) | (np.cumsum(kept == 0, axis=1) == 1)]  # each up to its first 0
        arrays[part] = flat.astype(np.uint8)
    return arrays


def photographs(folder: Path) -> dict[str, np.ndarray]:
    """JPEG files one after the other, where each ends, and a line each on what it is and whose."""
    found = open_photographs.photographs(folder)
    files = [open_photographs.scaled_jpeg(photograph.picture) for photograph in found]
    (EMBEDDED / "photographs.md").write_text(open_photographs.notice(found), encoding="utf-8")
    arrays = {"jpeg": np.frombuffer(b"".join(files), np.uint8)}
    arrays["ends"] = np.cumsum([len(file) for file in files])
    for field in ("name", "author", "licence", "source"):
        lines = "\n".join(getattr(photograph, field) for photograph in found)
        arrays[field] = np.array(lines)
    return arrays


def store(name: str, arrays: dict[str, np.ndarray], limit: int) -> None:
    """Write one NPZ archive, the same bytes each time, and say what it weighs."""
    path = EMBEDDED / f"{name}.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    raw = path.read_bytes()
    print(f"{name}: {len(raw):,} bytes, sha256 {hashlib.sha256(raw).hexdigest()}")
    if len(raw) > limit:
        raise SystemExit(f"{path} is larger than {limit:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    originals = parser.parse_args().folder
    for name, (folder, per_train, per_test, limit) in SETS.items():
        if (originals / folder).is_dir():
            store(name, images(originals / folder, per_train, per_test), limit)
    if (feed := originals / "earthquakes.json").is_file():
        store("earthquakes", earthquakes(feed), 20_000)
    if (originals / "moses").is_dir():
        store("moses_small", moses(originals / "moses"), 300_000)
    if (originals / "photographs").is_dir():
        store("photographs", photographs(originals / "photographs"), 1_200_000)


if __name__ == "__main__":
    main()
