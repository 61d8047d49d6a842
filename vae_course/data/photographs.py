"""Grey patches of two photographs, no pixel of which is in a training and a test patch."""

import numpy as np
import torch
from torch import Tensor

from vae_course.data.dataset import Dataset

BANDS, TEST_BANDS = 10, (2, 7)
LUMA = np.array([[299], [587], [114]])  # in thousandths


def natural_patches(
    size: int = 8, pool: int = 2, n_train: int = 10_000, n_test: int = 2_000, seed: int = 0
) -> Dataset:
    from sklearn.datasets import load_sample_images

    photographs = [averaged(photograph, pool)[0] for photograph in load_sample_images().images]
    random = np.random.RandomState(seed)  # its stream is frozen by NumPy's compatibility policy
    train, train_labels, train_corners = _patches(photographs, size, n_train, False, random)
    test, test_labels, test_corners = _patches(photographs, size, n_test, True, random)
    return Dataset(
        name="natural_patches",
        train=train,
        test=test,
        train_labels=train_labels,
        test_labels=test_labels,
        image_shape=(1, size, size),
        source="china.jpg and flower.jpg of scikit-learn, from flickr.com: "
        "photostreams danielbuechele/6061409035 and vultilion/6056698931",
        licence="CC BY 2.0",
        meta={"train_corners": train_corners, "test_corners": test_corners},
    )


def _patches(
    photographs: list[np.ndarray], size: int, n: int, test: bool, random: np.random.RandomState
) -> tuple[Tensor, Tensor, Tensor]:
    """``n`` different patches, which photograph each is from, and its corner (row, column)."""
    pixels, labels, places = [], [], []
    for label, grey in enumerate(photographs):
        count = (n + label) // len(photographs)  # as even as it goes
        corners = _corners(grey.shape, size, test)
        if len(corners) < count:
            raise ValueError(
                f"a photograph of {grey.shape} pixels has {len(corners)} "
                f"{'test' if test else 'training'} patches of size {size}, not {count}: "
                "ask for fewer or smaller ones, or for a smaller pool"
            )
        chosen = corners[random.permutation(len(corners))[:count]]
        rows, columns = (chosen[:, i, None, None] for i in (0, 1))
        side = np.arange(size)
        pixels.append(grey[rows + side[:, None], columns + side])
        labels.append(np.full(count, label))
        places.append(chosen)
    order = random.permutation(n)
    images, tags, corners = (np.concatenate(part)[order] for part in (pixels, labels, places))
    return torch.from_numpy(images).unsqueeze(1), torch.from_numpy(tags), torch.from_numpy(corners)


def averaged(photograph: np.ndarray, pool: int, colour: bool = False) -> np.ndarray:
    """(H, W, 3) bytes averaged over squares, as (3 or 1, H // pool, W // pool) in [0, 1].

    Grey is luma (ITU-R BT.601). Summed in integers, so exact on any machine.
    """
    weights = 1_000 * np.eye(3, dtype=np.int64) if colour else LUMA
    pixels = np.moveaxis(photograph.astype(np.int64) @ weights, -1, 0)
    height, width = (side // pool * pool for side in pixels.shape[1:])
    squares = pixels[:, :height, :width].reshape(-1, height // pool, pool, width // pool, pool)
    return (squares.sum((2, 4)) / (255_000 * pool**2)).astype(np.float32)


def _corners(shape: tuple[int, ...], size: int, is_test: bool) -> np.ndarray:
    """Upper left corners (row, column) of the patches that lie whole in one band of their kind."""
    height, width = shape
    columns = np.arange(max(width - size + 1, 0))
    first, last = columns * BANDS // width, (columns + size - 1) * BANDS // width
    columns = columns[(first == last) & (np.isin(first, TEST_BANDS) == is_test)]
    rows = np.arange(max(height - size + 1, 0))
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
