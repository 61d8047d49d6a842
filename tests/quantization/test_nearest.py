"""The nearest centre by brute force, whatever the chunk, within the stated bound in float32."""

import pytest
import torch

from tests.quantization.vectors import normal, squared_distances
from vae_course.quantization import nearest


@pytest.mark.parametrize("chunk", [1, 7, 500, 501, 502, 10_000])
def test_the_code_is_the_nearest_centre_by_brute_force_whatever_the_chunk(chunk):
    z, codebook = normal(501, 5, dtype=torch.float64), normal(37, 5, seed=1, dtype=torch.float64)
    assert torch.equal(nearest(z, codebook, chunk=chunk), squared_distances(z, codebook).argmin(1))


@pytest.mark.parametrize("origin", [0.0, 1e4])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("d", [1, 8, 64])
def test_in_float32_the_code_is_nearest_within_the_stated_bound(d, scale, origin):
    z, codebook = ((normal(n, d, seed=n) + origin) * scale for n in (400, 300))
    distances = squared_distances(z, codebook)
    indices = nearest(z, codebook).unsqueeze(1)
    excess = distances.gather(1, indices).squeeze(1) - distances.amin(1)
    m = codebook.double().mean(0)
    reach = (z.double() - m).norm(dim=1) + (codebook.double() - m).norm(dim=1).max()
    assert (excess <= (d + 4) * torch.finfo(torch.float32).eps * reach**2).all()
    assert (excess == 0).float().mean() > 0.99


def test_of_equally_near_centres_the_lowest_number_wins():
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])  # exact arithmetic: mean 0
    z = torch.tensor([[0.0, 0], [1, 0], [-1, 0], [0, -1], [-1, -1]])
    for chunk in (1, 2, 5):
        assert nearest(z, corners, chunk=chunk).tolist() == [0, 0, 2, 1, 3]


def test_bad_arguments_are_named(unchecked):
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        nearest(torch.zeros(2, 3), torch.zeros(4, 3), chunk=0)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(4, 2\).*width"):
        nearest(torch.zeros(2, 3), torch.zeros(4, 2))
