"""Straight through: the centre in value, bit by bit, and the vector in gradient."""

import pytest
import torch

from tests.quantization.vectors import normal
from vae_course.quantization.result import check_indices, straight_through


def test_the_value_is_the_centre_where_the_usual_detour_is_off_by_a_rounding():
    z, centre = (1e6 * normal(50, 3)).requires_grad_(), normal(50, 3, seed=1).requires_grad_()
    through = straight_through(z, centre)
    assert torch.equal(through, centre)
    assert not torch.equal(z + (centre - z).detach(), centre)
    pull = normal(50, 3, seed=2)
    through.backward(pull)
    assert torch.equal(z.grad, pull) and centre.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
def test_numbers_of_centres_are_whole(dtype):
    with pytest.raises(TypeError, match=f"{dtype}.*int64"):
        check_indices(torch.zeros(3, dtype=dtype), 4)
