"""Principal subspaces and the angles between them, against scipy, scikit-learn and known turns."""

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.decomposition import PCA
from torch.testing import assert_close

from tests.spd.contract import normal, orthogonal
from vae_course import spd

NAN = torch.full((3, 3), torch.nan)


@pytest.mark.parametrize("shapes", [(9, 3, 3), (9, 4, 2), (9, 2, 4), (64, 20, 20)])
def test_the_angles_are_scipys(shapes):
    d, p, q = shapes
    a, b = normal(3, d, p, seed=1), normal(3, d, q, seed=2)
    oracle = [
        scipy.linalg.subspace_angles(*pair) for pair in zip(a.numpy(), b.numpy(), strict=True)
    ]
    ours = spd.principal_angles(a, b)
    assert ours.shape == (3, min(p, q))
    assert_close(ours, torch.from_numpy(np.stack(oracle)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("angle", [1e-12, 1e-6, 0.3, 1.2, np.pi / 2 - 1e-9])
def test_the_angle_between_two_turned_planes_is_the_turn(angle):
    """The cosine alone would lose the first altogether, the sine alone the last."""
    q = orthogonal(6)
    a = q[:, :2]
    turned = np.cos(angle) * q[:, 1] + np.sin(angle) * q[:, 2]
    b = torch.stack([q[:, 0], turned], 1) @ normal(2, 2, seed=1)
    ours = spd.principal_angles(a, b)
    assert ours[0].item() == pytest.approx(angle, rel=1e-12 + 1e-15 / angle, abs=0)
    assert ours[1].item() < 1e-14 or angle < 1e-10


def test_subspaces_that_do_not_fit_share_directions_whatever_they_are():
    a, b = normal(5, 4, seed=1), normal(5, 4, seed=2)  # 4 + 4 - 5: three angles of zero
    assert (spd.principal_angles(a, b)[1:] < 1e-13).all()
    everything = orthogonal(5)
    assert (spd.principal_angles(everything, b) < 1e-13).all()


def test_the_principal_subspace_is_that_of_scikit_learn():
    x = normal(50, 8) * torch.logspace(0, -1, 8, dtype=torch.float64) + 5
    components = torch.from_numpy(PCA(3).fit(x.numpy()).components_).T
    ours = spd.principal_subspace(x, 3)
    assert_close(ours.T @ ours, torch.eye(3).double())
    assert (spd.principal_angles(ours, components) < 1e-10).all()


def test_angles_in_a_hilbert_space_need_no_coordinates_of_their_own():
    """Clean and noisy points, embedded together, keep the angles they had in the plane's space."""
    clean = normal(30, 6) * torch.logspace(0, -1, 6, dtype=torch.float64)
    noisy = clean + 0.3 * normal(30, 6, seed=1)
    both = torch.cat([clean, noisy])
    embedded = spd.hilbert_coordinates(both @ both.T)
    spans = [spd.principal_subspace(x, 2) for x in (clean, noisy, *embedded.split(30))]
    assert_close(spd.principal_angles(*spans[:2]), spd.principal_angles(*spans[2:]))


def test_float32_holds_its_stated_errors():
    x, y = (normal(5, 30, 12, seed=s) for s in (1, 2))
    angles = spd.principal_angles(x, y)
    assert (spd.principal_angles(x.float(), y.float()).double() - angles).abs().max() < 2e-6
    spans = [spd.principal_subspace(s, 3).double() for s in (x, x.float())]
    gap = torch.linalg.svdvals(x - x.mean(-2, keepdim=True))
    bound = 1e-6 * gap[:, 0] / (gap[:, 2] - gap[:, 3])
    assert (spd.principal_angles(*spans)[:, 0] < bound).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: spd.principal_subspace(torch.randn(5, 9), 5), "dim=5: 5 points in 9.*most 4"),
        (lambda: spd.principal_subspace(torch.ones(5, 9), 2), "dim=2: the points x vary equally"),
        (lambda: spd.principal_subspace(NAN, 1), "x must be finite, got nan"),
        (lambda: spd.principal_angles(torch.eye(3), torch.eye(4)), r"\(3, 3\).*\(4, 4\)"),
        (lambda: spd.principal_angles(torch.ones(4, 2), torch.eye(4)), "a has dependent columns"),
        (lambda: spd.principal_angles(torch.eye(3), torch.ones(3, 4)), "b has .*more columns"),
        (lambda: spd.principal_angles(torch.eye(3), NAN), "b must be finite, got nan"),
    ],
)
def test_impossible_requests_are_refused_by_name(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
