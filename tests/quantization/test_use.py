"""How a codebook is used, against SciPy's entropy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from tests.quantization.vectors import normal
from vae_course.quantization import VectorQuantizer, perplexity, usage


def test_perplexity_is_the_exponential_of_scipys_entropy():
    indices = torch.randint(3, 40, (50, 7), generator=torch.Generator().manual_seed(0)) // 2
    share = np.bincount(indices.flatten(), minlength=64) / indices.numel()
    assert perplexity(indices, 64) == pytest.approx(math.exp(stats.entropy(share)), rel=1e-12)
    assert usage(indices, 64) == np.count_nonzero(share) / 64


def test_perplexity_goes_from_one_code_to_all_codes_and_never_exceeds_the_rate():
    assert perplexity(torch.full((9,), 3), 8) == 1.0 and usage(torch.full((9,), 3), 8) == 1 / 8
    assert perplexity(torch.arange(8).repeat(5), 8) == pytest.approx(8, rel=1e-14)
    for seed in range(20):
        indices = VectorQuantizer(16, 2, seed=seed)(normal(300, 2)).indices
        assert 1 <= perplexity(indices, 16) <= 16 * usage(indices, 16) * (1 + 1e-12) <= 16.0001


def test_bad_indices_are_named(unchecked):
    with pytest.raises(ValueError, match=r"\[0, 4\].*0 to 3"):
        perplexity(torch.tensor([0, 4]), 4)
    with pytest.raises(ValueError, match="empty"):
        usage(torch.tensor([], dtype=torch.int64), 4)


def test_indices_are_whole_numbers(unchecked):
    with pytest.raises(TypeError, match=r"indices must be a tensor, got list"):
        perplexity([0, 1], 4)
    with pytest.raises(TypeError, match=r"num_codes must be an int, got 4.5"):
        usage(torch.tensor([0]), 4.5)
    with pytest.raises(TypeError, match=r"float32.*int64"):
        perplexity(torch.zeros(3), 4)
