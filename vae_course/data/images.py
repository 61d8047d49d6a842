"""Small pictures: scikit-learn's digits, and MNIST and Fashion-MNIST in part and whole."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from vae_course.data import embedded, remote
from vae_course.data.dataset import Dataset

MNIST_SOURCE = "Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits"
FASHION_SOURCE = "H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv 1708.07747"


def digits() -> Dataset:
    # Imported here: scikit-learn takes a second, and most sets do without it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(
        images.reshape(-1, 1, 8, 8) / 16, labels, test_size=0.3, random_state=0, stratify=labels
    )
    return Dataset(
        name="digits",
        train=torch.from_numpy(train).float(),
        test=torch.from_numpy(test).float(),
        train_labels=torch.from_numpy(train_labels).long(),
        test_labels=torch.from_numpy(test_labels).long(),
        image_shape=(1, 8, 8),
        source="E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits (test part), "
        "UCI Machine Learning Repository, as in scikit-learn",
        licence="CC BY 4.0",
    )


def _part(name: str, source: str, licence: str) -> Dataset:
    arrays = embedded.read(name)
    images = {k: torch.from_numpy(arrays[k]).unsqueeze(1).float() / 255 for k in ("train", "test")}
    return Dataset(
        name=name,
        train=images["train"],
        test=images["test"],
        train_labels=torch.from_numpy(arrays["train_labels"]).long(),
        test_labels=torch.from_numpy(arrays["test_labels"]).long(),
        image_shape=(1, 28, 28),
        source=source,
        licence=licence,
        meta={k: torch.from_numpy(arrays[k].astype(np.int64)) for k in ("train_rows", "test_rows")},
    )


def mnist_small() -> Dataset:
    return _part("mnist_small", f"{MNIST_SOURCE}, a subset", "CC BY-SA 3.0")


def fashion_small() -> Dataset:
    return _part("fashion_small", f"{FASHION_SOURCE}, a subset", "MIT, © 2017 Zalando SE")


def _whole(name: str, path: str | Path | None, source: str, licence: str) -> Dataset:
    arrays = {part: read_idx(c) for part, c in remote.fetch(name, path).items()}
    images = {
        # In place, so that the 60,000 images are in memory once as floats, not twice.
        part: torch.from_numpy(arrays[part].astype(np.float32)).unsqueeze(1).div_(255)
        for part in ("train", "test")
    }
    return Dataset(
        name=name,
        train=images["train"],
        test=images["test"],
        train_labels=torch.from_numpy(arrays["train_labels"].astype(np.int64)),
        test_labels=torch.from_numpy(arrays["test_labels"].astype(np.int64)),
        image_shape=(1, *arrays["train"].shape[1:]),
        source=source,
        licence=licence,
    )


def mnist(path: str | Path | None = None) -> Dataset:
    return _whole("mnist", path, MNIST_SOURCE, "CC BY-SA 3.0")


def fashion_mnist(path: str | Path | None = None) -> Dataset:
    return _whole("fashion_mnist", path, FASHION_SOURCE, "MIT, © 2017 Zalando SE")


def read_idx(contents: bytes) -> UInt8[np.ndarray, "..."]:
    """The array of unsigned bytes in an IDX file, read-only.

    The header is 0, 0, 8 (unsigned byte), the number of axes, then each axis' length as a
    big-endian 32-bit integer (LeCun, Cortes, Burges, the MNIST database's page).

    Raises:
        ValueError: For another type code, or a length that is not the header's.
    """
    if len(contents) < 4 or contents[:3] != b"\0\0\x08":
        raise ValueError(f"not an IDX file of unsigned bytes: it begins with {contents[:4]!r}")
    start = 4 + 4 * contents[3]
    shape = [int.from_bytes(contents[i : i + 4], "big") for i in range(4, start, 4)]
    if len(contents) != start + math.prod(shape):
        raise ValueError(
            f"an IDX file of shape {tuple(shape)} has {start + math.prod(shape):,} bytes, "
            f"not {len(contents):,}"
        )
    return np.frombuffer(contents, np.uint8, offset=start).reshape(shape)
