"""Patches are cut from the photographs, half from each, none both trained and tested on."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from vae_course.data import load


@pytest.mark.parametrize("size, pool", [(8, 2), (16, 2), (32, 1)])
def test_no_pixel_of_a_photograph_is_in_a_training_and_a_test_patch(size, pool):
    d = load("natural_patches", size=size, pool=pool, n_train=2_000, n_test=400)
    for photograph in (0, 1):
        covered = {}
        for part, labels in (("train", d.train_labels), ("test", d.test_labels)):
            covered[part] = np.zeros((427 // pool, 640 // pool), bool)
            for row, column in d.meta[f"{part}_corners"][labels == photograph].tolist():
                covered[part][row : row + size, column : column + size] = True
            assert covered[part].any()
        assert not (covered["train"] & covered["test"]).any()


def test_a_patch_is_the_photograph_at_its_corner(loaded):
    from PIL import Image  # its own grey conversion rounds to whole levels: ± 1/255
    from sklearn.datasets import load_sample_images

    d = loaded("natural_patches")
    for i in range(0, 10_000, 500):
        (row, column), label = d.meta["train_corners"][i].tolist(), d.train_labels[i]
        picture = Image.fromarray(load_sample_images().images[label]).convert("L")
        window = np.array(picture)[2 * row : 2 * row + 16, 2 * column : 2 * column + 16] / 255
        expected = torch.from_numpy(window).reshape(8, 2, 8, 2).mean((1, 3)).float()
        assert_close(d.train[i, 0], expected, atol=1 / 255, rtol=0)


def test_patches_are_different_places_and_half_from_each_photograph(loaded):
    d = loaded("natural_patches")
    places = torch.column_stack([d.train_labels, d.meta["train_corners"]])
    assert len(places.unique(dim=0)) == 10_000
    assert d.train_labels.bincount().tolist() == [5_000, 5_000]


def test_patches_have_the_spread_of_spectrum_that_chapter_11_predicts(loaded):
    # Measured earlier, by other code: Var log eigenvalue, top 16, is 2.91 for another
    # sample of the same patches; two samples of ours (seeds 0 and 1) differ by less than 0.1.
    eigenvalues = torch.linalg.eigvalsh(loaded("natural_patches").train.flatten(1).T.double().cov())
    assert eigenvalues[-16:].log().var().item() == pytest.approx(2.91, abs=0.1)


def test_another_seed_is_another_sample():
    a, b = (load("natural_patches", n_train=50, n_test=50, seed=s).checksum for s in (0, 1))
    assert a != b
