"""What quantizers promise: a new one writes the fixture ``quantizer`` and inherits the rest."""

import copy
import math

import pytest
import torch

from tests.quantization.vectors import normal


class QuantizerContract:
    @pytest.fixture
    def quantizer(self):
        """Of eight centres in three dimensions, in training."""
        raise NotImplementedError

    def test_what_a_call_gives_is_what_lookup_finds(self, quantizer):
        quantized, indices, loss = quantizer.eval()(normal(4, 30, 3))
        assert (quantized.shape, indices.shape, loss.shape) == ((4, 30, 3), (4, 30), (4, 30))
        assert torch.equal(quantizer.lookup(indices), quantized)
        assert torch.equal(quantizer.codebook[indices], quantized)
        one = quantizer(normal(3))
        assert (one.quantized.shape, one.indices.shape, one.loss.shape) == ((3,), (), ())

    def test_bad_vectors_and_numbers_are_refused_with_the_remedy(self, quantizer):
        before = copy.deepcopy(quantizer.state_dict())
        for bad in (math.nan, math.inf, -math.inf):
            z = normal(10, 3)
            z[4, 1] = bad
            with pytest.raises(ValueError, match=r"1 NaN or infinite values of 30.*lr"):
                quantizer(z)
        with pytest.raises(ValueError, match=r"shape \(10, 4\).*takes \(\.\.\., 3\).*last"):
            quantizer(normal(10, 4))
        with pytest.raises(TypeError, match=r"float64, the codebook torch\.float32.*z\.to\(torch"):
            quantizer(normal(10, 3, dtype=torch.float64))
        with pytest.raises(ValueError, match=r"\[-1, 8\].*0 to 7"):
            quantizer.lookup(torch.tensor([-1, 8]))
        after = quantizer.state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items())
