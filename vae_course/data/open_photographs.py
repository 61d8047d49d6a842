"""Patches of fifty openly licensed photographs, trained on some and tested on others."""

import io

import numpy as np
import torch
from torch import Tensor

from vae_course.data import embedded
from vae_course.data.dataset import Dataset
from vae_course.data.photographs import averaged

TEST_OF_SEVEN = (2, 5)  # photograph i is a test one if i % 7 is one of these


def photographs(
    size: int = 16,
    pool: int = 1,
    colour: bool = False,
    stride: int | None = None,
    n_train: int = 10_000,
    n_test: int = 4_000,
    seed: int = 0,
) -> Dataset:
    from PIL import Image

    arrays = embedded.read("photographs")
    said = {f: tuple(str(arrays[f]).split("\n")) for f in ("name", "author", "licence", "source")}
    files = np.split(arrays["jpeg"], arrays["ends"][:-1])
    pictures = [
        averaged(np.asarray(Image.open(io.BytesIO(file.tobytes()))), pool, colour) for file in files
    ]
    is_test = np.isin(np.arange(len(pictures)) % 7, TEST_OF_SEVEN)
    random = np.random.RandomState(seed)  # its stream is frozen by NumPy's compatibility policy
    step = size if stride is None else stride
    train, train_labels, train_corners = _patches(pictures, ~is_test, size, step, n_train, random)
    test, test_labels, test_corners = _patches(pictures, is_test, size, step, n_test, random)
    return Dataset(
        name="photographs",
        train=train,
        test=test,
        train_labels=train_labels,
        test_labels=test_labels,
        image_shape=(len(pictures[0]), size, size),
        source=f"{len(pictures)} photographs that come with scikit-image, Debian's "
        "lomiri-wallpapers and GCompris; each one's author, licence and address stand in meta",
        licence="CC0, CC BY 2.0 to 4.0, public domain",
        meta={
            "names": said["name"],
            "authors": said["author"],
            "licences": said["licence"],
            "sources": said["source"],
            "train_corners": train_corners,
            "test_corners": test_corners,
        },
    )


def _patches(
    pictures: list[np.ndarray],
    mine: np.ndarray,
    size: int,
    stride: int,
    n: int,
    random: np.random.RandomState,
) -> tuple[Tensor, Tensor, Tensor]:
    """``n`` different patches, which photograph each is from, and its corner (row, column)."""
    corners = {
        label: _corners(pictures[label].shape[1:], size, stride) for label in np.flatnonzero(mine)
    }
    available = np.array([len(found) for found in corners.values()])
    if available.sum() < n:
        raise ValueError(
            f"the {len(corners)} photographs for {'training' if mine[0] else 'testing'} have "
            f"{available.sum()} patches of size {size} at stride {stride}, not {n}: ask for fewer "
            "or smaller ones, for a smaller pool, or for a smaller stride, at which they overlap"
        )
    pixels, labels, places = [], [], []
    for (label, found), count in zip(corners.items(), _shares(n, available), strict=True):
        chosen = found[random.permutation(len(found))[:count]]
        rows, columns = (chosen[:, i, None, None] for i in (0, 1))
        side = np.arange(size)
        cut = pictures[label][:, rows + side[:, None], columns + side]
        pixels.append(np.moveaxis(cut, 0, 1))
        labels.append(np.full(count, label))
        places.append(chosen)
    order = random.permutation(n)
    images, tags, places_ = (np.concatenate(part)[order] for part in (pixels, labels, places))
    return torch.from_numpy(images), torch.from_numpy(tags), torch.from_numpy(places_)


def _corners(shape: tuple[int, ...], size: int, stride: int) -> np.ndarray:
    """Upper left corners (row, column) of the patches on a grid that lie whole in the picture."""
    rows, columns = (np.arange(0, max(side - size + 1, 0), stride) for side in shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)


def _shares(n: int, available: np.ndarray) -> np.ndarray:
    """How many of ``n`` each gives: as even as it goes, those with too few give all they have."""
    shares, left = np.zeros_like(available), n
    for done, i in enumerate(np.argsort(available, kind="stable")):
        shares[i] = min(available[i], left // (len(available) - done))
        left -= shares[i]
    return shares
