"""Which distances make kernels, how many directions points fill, and the angles between them."""

import functools

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.testing import assert_close

from vae_course import spd

EMBEDDED = [spd.log_euclidean_distance, functools.partial(spd.projection_distance, rank=1)]
CURVED = [spd.affine_invariant_distance, spd.bures_distance]


def normal(*shape, seed=0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matrices(seed: int, count: int = 80, n: int = 3) -> Tensor:
    """Definite matrices with axes of very different lengths, in random directions."""
    q = torch.linalg.qr(normal(count, n, n, seed=seed))[0]
    s = (q * (1.5 * normal(count, 1, n, seed=seed + 1000)).exp()) @ q.mT
    return (s + s.mT) / 2


def report(distance, seed: int, share: float = 0.1) -> spd.GramReport:
    d = spd.pairwise_distances(distance, matrices(seed))
    median = d[d > 0].median().item()
    return spd.gram_report(spd.gaussian_kernel(d, share / median**2))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("distance", EMBEDDED)
def test_the_gaussian_of_an_embedded_distance_is_a_kernel(distance, seed, share):
    """B5."""
    found = report(distance, seed, share)
    assert found.smallest >= -1e-10 and found.positive_definite and found.negative == 0


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("distance", CURVED)
def test_the_gaussian_of_a_curved_distance_is_none(distance, seed):
    """B5."""
    found = report(distance, seed)
    assert found.smallest < -0.01 and not found.positive_definite
    assert found.negative > 0 and found.tolerance < 1e-10


@pytest.mark.parametrize("distance", [*EMBEDDED, *CURVED])
def test_a_distance_embeds_exactly_if_its_centred_gram_matrix_is_semidefinite(distance):
    """Schoenberg: the same verdict as that of the Gaussians, without a width to choose."""
    gram = spd.distance_gram(spd.pairwise_distances(distance, matrices(0)))
    assert spd.gram_report(gram).positive_definite == (distance in EMBEDDED)


def test_pairwise_distances_are_those_of_all_pairs():
    points = matrices(3, count=9)
    oracle = spd.bures_distance(points[:, None], points)
    for chunk in (1, 7, 4096):
        ours = spd.pairwise_distances(spd.bures_distance, points, chunk=chunk)
        assert_close(ours, oracle, rtol=1e-12, atol=1e-13)
        assert torch.equal(ours, ours.T) and not ours.diagonal().any()


def test_the_gaussian_kernel_of_flat_points_is_the_one_of_scikit_learn():
    from sklearn.metrics.pairwise import rbf_kernel

    x = normal(12, 3)
    ours = spd.gaussian_kernel(torch.cdist(x, x), 0.7)
    assert_close(ours, torch.from_numpy(rbf_kernel(x.numpy(), gamma=0.7)))


def test_distances_of_flat_points_give_back_their_inner_products():
    x = normal(12, 3)
    x = x - x.mean(0)
    assert_close(spd.distance_gram(torch.cdist(x, x)), x @ x.T, rtol=1e-9, atol=1e-12)


def test_hilbert_coordinates_have_the_inner_products_they_came_from():
    x = normal(20, 4)
    points = spd.hilbert_coordinates(x @ x.T)
    assert points.shape == (20, 4)
    assert_close(points @ points.T, x @ x.T)
    variances = points.square().sum(0)
    assert (variances[:-1] >= variances[1:]).all()


def test_a_report_counts_the_negative_eigenvalues():
    q = torch.linalg.qr(normal(6, 6))[0]
    values = torch.tensor([-2.0, -1e-3, 0.0, 1e-17, 1.0, 5.0]).double()
    gram = (q * values) @ q.T
    found = spd.gram_report((gram + gram.T) / 2)
    assert found.negative == 2 and not found.positive_definite
    assert found.smallest == pytest.approx(-2) and found.largest == pytest.approx(5)


@pytest.mark.parametrize("energy", [0.5, 0.9, 0.99, 1.0])
def test_the_hilbert_dimension_is_the_number_of_principal_components(energy):
    x = normal(60, 9) * torch.logspace(0, -2, 9, dtype=torch.float64) + 5
    ratios = PCA().fit(x.numpy()).explained_variance_ratio_.cumsum()
    oracle = int(np.searchsorted(ratios, energy * (1 - 1e-12)) + 1)
    assert spd.hilbert_dimension(x @ x.T, energy=energy) == oracle


@pytest.mark.parametrize("d", [3, 40, 41, 400])
def test_the_hilbert_dimension_never_exceeds_the_sample(d):
    x = normal(41, d)
    assert spd.hilbert_dimension(x @ x.T, energy=1.0) == min(d, 40)


def test_equal_points_have_dimension_zero_and_a_line_has_one():
    x = normal(10, 1) @ normal(1, 5) + 3
    assert spd.hilbert_dimension(x @ x.T) == 1
    x = torch.ones(10, 5)
    assert spd.hilbert_dimension(x @ x.T) == 0


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
    q = torch.linalg.qr(normal(6, 6))[0]
    a = q[:, :2]
    turned = np.cos(angle) * q[:, 1] + np.sin(angle) * q[:, 2]
    b = torch.stack([q[:, 0], turned], 1) @ normal(2, 2, seed=1)
    ours = spd.principal_angles(a, b)
    assert ours[0].item() == pytest.approx(angle, rel=1e-12 + 1e-15 / angle, abs=0)
    assert ours[1].item() < 1e-14 or angle < 1e-10


def test_subspaces_that_do_not_fit_share_directions_whatever_they_are():
    a, b = normal(5, 4, seed=1), normal(5, 4, seed=2)  # 4 + 4 - 5: three angles of zero
    assert (spd.principal_angles(a, b)[1:] < 1e-13).all()
    everything = torch.linalg.qr(normal(5, 5))[0]
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
    gram = x[0] @ x[0].T
    assert spd.hilbert_dimension(gram.float()) == spd.hilbert_dimension(gram)
    assert_close(spd.hilbert_coordinates(gram.float()).shape, torch.Size([30, 12]))


NAN = torch.full((3, 3), torch.nan)
INDEFINITE = torch.tensor([[0.0, 1.0], [1.0, 0.0]])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: spd.gaussian_kernel(torch.zeros(2, 2), 0.0), "gamma=0"),
        (lambda: spd.gaussian_kernel(-torch.ones(2, 2), 1.0), "negative"),
        (lambda: spd.gaussian_kernel(NAN, 1.0), "NaN"),
        (lambda: spd.gram_report(torch.zeros(2, 3)), r"gram has shape \(2, 3\)"),
        (lambda: spd.gram_report(NAN), "gram holds NaN"),
        (lambda: spd.gram_report(torch.tensor([[1.0, 2.0], [3.0, 1.0]])), "gram is not symmetric"),
        (lambda: spd.distance_gram(torch.eye(2)), "on the diagonal, are 0"),
        (lambda: spd.hilbert_dimension(torch.eye(2), energy=0.0), "energy=0"),
        (lambda: spd.hilbert_dimension(INDEFINITE), "1 negative eigenvalues.*-1"),
        (lambda: spd.hilbert_coordinates(INDEFINITE), "1 negative eigenvalues.*-1"),
        (lambda: spd.pairwise_distances(spd.bures_distance, torch.eye(3)), r"shape \(3, 3\)"),
        (lambda: spd.pairwise_distances(torch.sub, torch.ones(4, 3, 3)), r"shape \(6, 3, 3\)"),
        (lambda: spd.principal_subspace(torch.randn(5, 9), 5), "dim=5: 5 points in 9.*most 4"),
        (lambda: spd.principal_subspace(torch.ones(5, 9), 2), "dim=2: the points vary equally"),
        (lambda: spd.principal_subspace(NAN, 1), "x holds 9 NaN"),
        (lambda: spd.principal_angles(torch.eye(3), torch.eye(4)), r"\(3, 3\).*\(4, 4\)"),
        (lambda: spd.principal_angles(torch.ones(4, 2), torch.eye(4)), "a has dependent columns"),
        (lambda: spd.principal_angles(torch.eye(3), torch.ones(3, 4)), "b has .*more columns"),
        (lambda: spd.principal_angles(torch.eye(3), NAN), "b holds 9 NaN"),
    ],
)
def test_impossible_requests_are_refused_by_name(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
