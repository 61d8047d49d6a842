"""The small pictures: pixels, classes, the originals, and the IDX files that hold them."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.data.mirrors import PARTS, PLAIN, idx
from vae_course.data import load, remote
from vae_course.data.images import read_idx

REAL = os.environ.get("VAE_COURSE_DATA")
IMAGES = ["digits", "mnist_small", "fashion_small", "natural_patches"]


@pytest.mark.parametrize("name", IMAGES)
def test_pixels_fill_the_unit_interval(loaded, name):
    for images in (loaded(name).train, loaded(name).test):
        assert 0 <= images.min() < 0.05 and 0.95 < images.max() <= 1


@pytest.mark.parametrize(
    "name, train, test", [("mnist_small", 1_000, 200), ("fashion_small", 500, 100)]
)
def test_classes_are_exactly_balanced(loaded, name, train, test):
    assert loaded(name).train_labels.bincount().tolist() == [train] * 10
    assert loaded(name).test_labels.bincount().tolist() == [test] * 10


def test_digits_are_stratified_within_one_image_a_class(loaded):
    d = loaded("digits")
    counts = torch.stack([d.train_labels.bincount(), d.test_labels.bincount()]).double()
    share = counts.sum(0) / 1_797
    assert ((counts[0] - 1_257 * share).abs() < 1).all()
    assert ((counts[1] - 540 * share).abs() < 1).all()


def test_digits_have_the_spectrum_that_the_chapters_quote(loaded):
    # Measured earlier, by other code, to the digits printed then
    covariance = loaded("digits").train.flatten(1).double().T.cov()
    assert covariance.trace().item() == pytest.approx(4.68, abs=0.005)
    top = torch.linalg.eigvalsh(covariance).flip(0)[:4]
    assert_close(top, torch.tensor([0.697, 0.635, 0.567, 0.385]).double(), atol=5e-4, rtol=0)


def original(folder: str, file: str) -> np.ndarray:
    """The images of one upstream file, read without the library or its tools; skips if absent."""
    if not REAL:
        pytest.skip("VAE_COURSE_DATA is not set: the originals are not here to compare with")
    path = Path(REAL) / folder / file
    if not path.is_file():
        pytest.skip(f"{path} is not there to compare with")
    raw = gzip.decompress(path.read_bytes())
    header, event = (16, (28, 28)) if "images" in file else (8, ())
    return np.frombuffer(raw[header:], np.uint8).reshape(-1, *event)


@pytest.mark.parametrize("part, file", [("train", "train"), ("test", "t10k")])
@pytest.mark.parametrize(
    "name, folder", [("mnist_small", "mnist"), ("fashion_small", "fashion-mnist")]
)
def test_embedded_images_are_the_originals_pixel_for_pixel(loaded, name, folder, part, file):
    images = original(folder, f"{file}-images-idx3-ubyte.gz")
    labels = original(folder, f"{file}-labels-idx1-ubyte.gz")
    d = loaded(name)
    chosen = d.meta[f"{part}_rows"]
    assert len(chosen.unique()) == len(chosen)  # no image twice
    assert_close(getattr(d, part)[:, 0], torch.from_numpy(images[chosen] / np.float32(255)))
    assert np.array_equal(getattr(d, f"{part}_labels"), labels[chosen])


@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 4), (2, 0, 5), (2, 3, 4), (1, 2, 3, 4)])
def test_read_idx_inverts_writing_it(shape):
    array = np.random.RandomState(len(shape)).randint(0, 256, shape, np.uint8)
    read = read_idx(idx(array))
    assert read.shape == shape and read.dtype == np.uint8 and np.array_equal(read, array)


@pytest.mark.parametrize(
    "contents, message",
    [
        (b"", "begins with b''"),
        (b"\0\0\x0d\x01\0\0\0\0", "unsigned bytes"),  # float32
        (PLAIN["test"][:-1], r"shape \(10, 28, 28\) has 7,856 bytes, not 7,855"),
        (PLAIN["test"] + b"\0", "has 7,856 bytes, not 7,857"),
        (PLAIN["test"][:9], "not 9"),
    ],
)
def test_what_is_not_idx_of_that_length_is_a_value_error(contents, message):
    with pytest.raises(ValueError, match=message):
        read_idx(contents)


# MNIST: the uncompressed files (LeCun); Fashion-MNIST: the compressed ones (Zalando's README).
MD5 = {
    "mnist": (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "fashion_mnist": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "25c81989df183df01b3e8a0aad5dffbe",
        "bef4ecab320f06d8554ea6380940ec79",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
}
COUNTS = {  # training and test images a class
    "mnist": (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ),
    "fashion_mnist": ([6000] * 10, [1000] * 10),
}
SMALL = {"mnist": "mnist_small", "fashion_mnist": "fashion_small"}


@pytest.mark.parametrize("name", MD5)
def test_the_real_set_has_its_published_md5_its_class_counts_and_the_embedded_images(loaded, name):
    if not REAL or not Path(REAL, remote.SETS[name].folders[0]).is_dir():
        pytest.skip(f"VAE_COURSE_DATA names no folder with the real {name}")
    raw = {
        part: Path(REAL, remote.SETS[name].folders[0], file.name).read_bytes()
        for part, file in remote.SETS[name].files.items()
    }
    hashed = {part: gzip.decompress(raw[part]) if name == "mnist" else raw[part] for part in raw}
    assert tuple(hashlib.md5(hashed[part]).hexdigest() for part in PARTS) == MD5[name]
    d = load(name)
    assert d.train.shape == (60_000, 1, 28, 28) and d.test.shape == (10_000, 1, 28, 28)
    assert (d.train_labels.bincount().tolist(), d.test_labels.bincount().tolist()) == COUNTS[name]
    small = loaded(SMALL[name])
    for part in ("train", "test"):
        rows = small.meta[f"{part}_rows"]
        assert torch.equal(getattr(d, part)[rows], getattr(small, part))
        assert torch.equal(getattr(d, f"{part}_labels")[rows], getattr(small, f"{part}_labels"))
