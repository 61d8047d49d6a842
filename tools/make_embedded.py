"""Make the embedded image sets from the originals, once: prints each file's size and sha256.

    python tools/make_embedded.py FOLDER

FOLDER holds ``mnist/`` and ``fashion-mnist/``, each with the four upstream ``.gz`` files. Copy the
printed sha256 into ``EMBEDDED`` of ``vae_course/data.py``.
"""

import argparse
import gzip
import hashlib
from pathlib import Path

import numpy as np

EMBEDDED = Path(__file__).parents[1] / "vae_course" / "embedded"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    originals = parser.parse_args().folder
    for name, (folder, per_train, per_test, limit) in SETS.items():
        random = np.random.RandomState(0)  # its stream is frozen by NumPy's compatibility policy
        arrays = {}
        for part, file, per_class in (("train", "train", per_train), ("test", "t10k", per_test)):
            images = read_idx(originals / folder / f"{file}-images-idx3-ubyte.gz")
            labels = read_idx(originals / folder / f"{file}-labels-idx1-ubyte.gz")
            rows = balanced_rows(labels, per_class, random)
            arrays[part] = images[rows]
            arrays[f"{part}_labels"] = labels[rows]
            arrays[f"{part}_rows"] = rows.astype(np.uint16)
        path = EMBEDDED / f"{name}.npz"
        np.savez_compressed(path, **arrays)
        raw = path.read_bytes()
        print(f"{name}: {len(raw):,} bytes, sha256 {hashlib.sha256(raw).hexdigest()}")
        if len(raw) > limit:
            raise SystemExit(f"{path} is larger than {limit:,} bytes")


if __name__ == "__main__":
    main()
