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


METRICS = "log_euclidean", "affine_invariant", "bures"


@pytest.mark.parametrize("metric", METRICS)
def test_batches_broadcast_and_the_axes_of_t_come_first(metric):
    a, b = wishart(3, batch=(4, 1), seed=1), wishart(3, batch=(5,), seed=2)
    paths = spd.geodesic(a, b, T, metric)
    assert paths.shape == (5, 4, 5, 3, 3)
    for i, j in ((0, 0), (3, 2)):
        assert_close(paths[:, i, j], spd.geodesic(a[i, 0], b[j], T, metric))
    for t in (0.2, T[1], T[1:2, None]):
        assert_close(spd.geodesic(a, b, t, metric).reshape(4, 5, 3, 3), paths[1])
    ends = spd.geodesic(a, b, 0, metric), spd.geodesic(a, b, 1, metric)
    assert_close(ends[0], a.expand(4, 5, 3, 3)), assert_close(ends[1], b.expand(4, 5, 3, 3))


@pytest.mark.parametrize(
    "t, error, message",
    [
        (None, TypeError, "t must be a number, got NoneType"),
        ([0.5], TypeError, "t must be a number, got list"),
        (torch.tensor([0, 1]), TypeError, "t must hold floating-point"),
        (torch.tensor([torch.nan]), ValueError, "t must be finite"),
        (torch.tensor(0.5, device="meta"), ValueError, "t is on meta and a on cpu"),
        (float("inf"), ValueError, "t must be finite"),
    ],
)
def test_what_is_no_time_is_refused(unchecked, t, error, message):
    with pytest.raises(error, match=message):
        spd.geodesic(torch.eye(2), torch.eye(2), t, "bures")
