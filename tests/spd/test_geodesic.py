"""Shortest paths: what each does to the volume; the rest is in the contract of the distances."""

import pytest
import torch
from torch.testing import assert_close

from tests.spd.contract import T, wishart
from vae_course import spd


@pytest.mark.parametrize("metric", ["log_euclidean", "affine_invariant"])
def test_the_determinant_goes_geometrically(metric):
    """No swelling: half way between two ellipses of one area, the area is the same."""
    a, b = (wishart(3, batch=(), seed=s, freedom=6) for s in (1, 2))
    b = b * (a.det() / b.det()) ** (1 / 3)
    assert_close(spd.geodesic(a, b, T, metric).det(), a.det().expand(5))
    assert spd.geodesic(a, b, T, "bures")[2].det() > 1.01 * a.det()


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ValueError, match="metric='euclidean'.*log_euclidean"):
        spd.geodesic(torch.eye(2), torch.eye(2), T, "euclidean")
