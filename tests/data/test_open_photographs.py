"""Fifty photographs, none in training and test, each with an author and a licence to share it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from vae_course.data import embedded, load, open_photographs

ALLOWED = {"CC0 1.0", "CC BY 2.0", "CC BY 3.0", "CC BY 4.0", "public domain"}


@pytest.fixture(scope="module")
def pictures():
    """The photographs as stored, (H, W, 3) bytes each."""
    arrays = embedded.read("photographs")
    files = np.split(arrays["jpeg"], arrays["ends"][:-1])
    return [Image.open(io.BytesIO(file.tobytes())) for file in files]


def test_every_photograph_may_be_shared_under_any_licence_and_says_whose_it_is(loaded, pictures):
    meta = loaded("photographs").meta
    fields = [meta[key] for key in ("names", "authors", "licences", "sources")]
    assert {len(field) for field in fields} == {len(pictures)} == {50}
    assert len(set(meta["names"])) == 50 and all(meta["authors"])
    assert set(meta["licences"]) == ALLOWED
    assert all(source.startswith("https://") for source in meta["sources"])
    notice = (embedded.FOLDER / "photographs.md").read_text(encoding="utf-8")
    for name, author, licence, source in zip(*fields, strict=True):
        assert f"| {name} | {author} | {licence} | <{source}> |" in notice


def test_what_is_stored_is_pictures_and_nothing_about_camera_or_place(pictures):
    for picture in pictures:
        assert (picture.format, picture.mode) == ("JPEG", "RGB")
        assert 234 <= max(picture.size) <= 352 and 170 <= min(picture.size) <= 264
        assert not picture.getexif() and not {"icc_profile", "exif", "comment"} & set(picture.info)
        assert np.asarray(picture).std(-1).max() > 20  # 0 in a grey one


def test_no_photograph_is_both_trained_and_tested_on(loaded):
    d = loaded("photographs")
    trained, tested = set(d.train_labels.tolist()), set(d.test_labels.tolist())
    assert not trained & tested and trained | tested == set(range(50))
    assert len(tested) == 14
    for package in (range(4), range(4, 13), range(13, 50)):  # scikit-image, wallpapers, GCompris
        assert set(package) & trained and set(package) & tested


@pytest.mark.parametrize("options", [{}, {"size": 32, "n_train": 2_700, "n_test": 1_000}])
def test_without_a_stride_no_two_patches_share_a_pixel(options):
    d = load("photographs", **options)
    for part, labels in (("train", d.train_labels), ("test", d.test_labels)):
        cells = torch.column_stack([labels, d.meta[f"{part}_corners"] // d.image_shape[1]])
        assert (d.meta[f"{part}_corners"] % d.image_shape[1] == 0).all()
        assert len(cells.unique(dim=0)) == len(labels)


def test_at_a_stride_patches_are_different_and_overlap_by_no_more_than_it_allows():
    d = load("photographs", size=32, stride=16, n_train=5_000, n_test=1_500)
    places = torch.column_stack([d.train_labels, d.meta["train_corners"]])
    assert len(places.unique(dim=0)) == 5_000 and (d.meta["train_corners"] % 16 == 0).all()


def test_photographs_count_alike_and_those_with_too_few_patches_give_all_they_have(loaded):
    d = loaded("photographs")
    counts = d.train_labels.bincount(minlength=50)
    least = counts[counts > 0].sort().values
    assert least[-1] - least[least > 264][0] <= 29 and least[0] == 256  # 256: the square one
    even = load("photographs", n_train=3_601, n_test=28).train_labels.bincount()
    assert sorted(even[even > 0].tolist()) == [100] * 35 + [101]


@pytest.mark.parametrize(
    "n, available, expected",
    [
        (10, [5, 5, 5], [3, 3, 4]),
        (10, [2, 9, 9], [2, 4, 4]),
        (12, [9, 1, 2], [9, 1, 2]),
        (7, [9, 1, 9], [3, 1, 3]),
        (1, [4, 4], [0, 1]),
    ],
)
def test_shares_by_hand(n, available, expected):
    assert open_photographs._shares(n, np.array(available)).tolist() == expected


@pytest.mark.parametrize("pool", [1, 2])
def test_a_patch_is_the_photograph_at_its_corner_in_colour_and_in_grey(pool, pictures):
    few = {"size": 8, "pool": pool, "n_train": 200, "n_test": 200, "seed": 3}
    colour, grey = load("photographs", colour=True, **few), load("photographs", **few)
    assert colour.image_shape == (3, 8, 8) and grey.image_shape == (1, 8, 8)
    for i in range(0, 200, 20):
        label, (row, column) = colour.test_labels[i], colour.meta["test_corners"][i].tolist()
        box = np.array([column, row, column + 8, row + 8]) * pool
        window = torch.from_numpy(np.array(pictures[label].crop(box.tolist()))) / 255
        expected = window.permute(2, 0, 1).reshape(3, 8, pool, 8, pool).mean((2, 4))
        assert_close(colour.test[i], expected)
    luma = torch.tensor([0.299, 0.587, 0.114])
    assert_close(grey.test[:, 0], torch.einsum("c,nchw->nhw", luma, colour.test))
    assert 0 <= colour.train.min() and colour.train.max() <= 1


def test_another_seed_is_another_sample_and_the_same_seed_the_same():
    a, b, c = (load("photographs", n_train=50, n_test=50, seed=s).checksum for s in (0, 1, 0))
    assert a == c != b
