"""Finite scalars: a grid, rounding to its nearest point, the gradient of tanh."""

import math

import pytest
import torch
from torch.testing import assert_close

from tests.quantization.contract import QuantizerContract
from tests.quantization.vectors import normal, squared_distances
from vae_course.quantization import FiniteScalarQuantizer


class TestFiniteScalarQuantizer(QuantizerContract):
    @pytest.fixture
    def quantizer(self):
        return FiniteScalarQuantizer((2, 2, 2))


@pytest.mark.parametrize("levels", [(2,), (3, 2), (8, 5, 5, 4)])
def test_every_grid_point_has_one_index_and_is_its_own_code(levels):
    quantizer = FiniteScalarQuantizer(levels)
    codebook = quantizer.codebook
    assert codebook.shape == (math.prod(levels), len(levels)) == (quantizer.num_codes, len(levels))
    assert len(codebook.unique(dim=0)) == quantizer.num_codes
    for j, size in enumerate(levels):
        assert_close(codebook[:, j].unique(), torch.linspace(-1, 1, size))
    reached = quantizer((codebook * (1 - 1e-6)).atanh())
    assert torch.equal(reached.indices, torch.arange(quantizer.num_codes))
    assert torch.equal(reached.quantized, codebook) and not reached.loss.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_finite_scalar_is_the_nearest_grid_point_with_the_gradient_of_tanh(dtype):
    quantizer = FiniteScalarQuantizer((5, 4, 3)).to(dtype)
    z = normal(6, 40, 3, dtype=dtype).requires_grad_()
    quantized, indices, _ = quantizer(z)
    distances = squared_distances(z.detach().tanh().flatten(0, 1), quantizer.codebook)
    assert torch.equal(indices.flatten(), distances.argmin(1))
    assert torch.equal(quantized, quantizer.lookup(indices)) and quantized.dtype == dtype
    (gradient,) = torch.autograd.grad(quantized.sum(), z)
    assert_close(gradient, 1 - z.detach().tanh() ** 2)


@pytest.mark.parametrize(
    "levels, message", [([], r"levels=\[\]"), ([3, 1], r"levels=\[3, 1\].*2 or more")]
)
def test_levels_are_whole_and_two_or_more(levels, message):
    with pytest.raises(ValueError, match=message):
        FiniteScalarQuantizer(levels)
