"""Matrix functions and distances against scipy, closed forms and the libraries of the field.

``recorded/spd_distances.json`` holds matrices and the values that pyriemann, POT and geoopt gave
for them, with their versions; ``python tests/spd/recorded/spd_distances.py`` writes it.
"""

import functools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from vae_course import spd

DEFINITE = [spd.log_euclidean_distance, spd.affine_invariant_distance]
DISTANCES = [*DEFINITE, spd.bures_distance]
# Repeated, nearly repeated at every scale of nearness, and spread eigenvalues.
SPECTRA = [
    (1.0, 1.0, 1.0, 1.0),
    (2.0, 2.0, 3.0, 3.0),
    (1.0, 1.0 + 1e-12, 1.0 + 1e-6, 4.0),
    (1.0, 1.05, 1.09, 1.11),
    (0.1, 1.0, 1.0, 20.0),
]


def normal(*shape, seed=0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def wishart(n: int, batch=(5,), seed=0, freedom: int | None = None) -> Tensor:
    """Random covariances; definite if the degrees of freedom reach n."""
    freedom = n + 3 if freedom is None else freedom
    x = normal(*batch, n, freedom, seed=seed)
    return x @ x.mT / freedom


def with_spectrum(values, seed=0) -> Tensor:
    n = len(values)
    q = torch.linalg.qr(normal(n, n, seed=seed))[0]
    return (q * torch.tensor(values, dtype=torch.float64)) @ q.T


def symmetrised(f):
    """f of any square matrix: finite differences leave the symmetric ones."""
    return lambda s, *rest: f((s + s.mT) / 2, *rest)


def by_scipy(distance, a: Tensor, b: Tensor) -> float:
    x, y = a.numpy(), b.numpy()
    if distance is spd.log_euclidean_distance:
        return np.linalg.norm(scipy.linalg.logm(x) - scipy.linalg.logm(y))
    if distance is spd.affine_invariant_distance:
        return np.linalg.norm(np.log(scipy.linalg.eigvalsh(y, x)))
    root = scipy.linalg.sqrtm(x)
    return math.sqrt(np.trace(x + y - 2 * scipy.linalg.sqrtm(root @ y @ root).real))


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 48])
def test_the_distances_are_scipys(distance, n):
    """B4."""
    a, b = wishart(n, seed=1), wishart(n, seed=2)
    oracle = [by_scipy(distance, x, y) for x, y in zip(a, b, strict=True)]
    assert_close(distance(a, b), torch.tensor(oracle, dtype=torch.float64), rtol=1e-10, atol=0.0)


def test_the_distances_are_those_of_the_fields_libraries():
    """B4, recorded."""
    recorded = json.loads((Path(__file__).parent / "recorded/spd_distances.json").read_text())
    assert {"pyriemann", "POT", "geoopt"} <= recorded["versions"].keys()
    for case in recorded["cases"]:
        a, b = (torch.tensor(case[k], dtype=torch.float64) for k in "ab")
        for name, by_library in case["distances"].items():
            ours = getattr(spd, name)(a, b).item()
            for library, value in by_library.items():
                assert ours == pytest.approx(value, rel=1e-10, abs=0), (name, library)


@pytest.mark.parametrize("n, rank", [(3, 1), (7, 3), (20, 19), (6, 6)])
def test_the_projection_distance_is_the_norm_of_the_sines_of_the_angles(n, rank):
    a, b = wishart(n, seed=1), wishart(n, seed=2)
    oracle = []
    for x, y in zip(a.numpy(), b.numpy(), strict=True):
        spans = [scipy.linalg.eigh(s)[1][:, n - rank :] for s in (x, y)]
        oracle.append(np.linalg.norm(np.sin(scipy.linalg.subspace_angles(*spans))))
    ours = spd.projection_distance(a, b, rank=rank)
    assert_close(ours, torch.tensor(oracle, dtype=torch.float64), rtol=1e-10, atol=1e-14)


def test_without_a_rank_the_projection_distance_compares_ranges():
    a, b = wishart(6, seed=1, freedom=2), wishart(6, seed=2, freedom=2)
    assert_close(spd.projection_distance(a, b), spd.projection_distance(a, b, rank=2))
    assert spd.projection_distance(wishart(6, seed=1), wishart(6, seed=2)).max() < 1e-13
    nested = a + wishart(6, seed=3, freedom=1)  # the range of a and one direction more
    assert_close(spd.projection_distance(a, nested), torch.full((5,), 0.5**0.5).double())


@pytest.mark.parametrize("distance", DISTANCES)
def test_commuting_matrices_have_closed_forms(distance):
    q = torch.linalg.qr(normal(4, 4))[0]
    x, y = (torch.tensor(v).double() for v in ([0.5, 1.0, 2.0, 8.0], [1.0, 1.0, 3.0, 0.1]))
    ours = distance((q * x) @ q.T, (q * y) @ q.T)
    oracle = x.sqrt() - y.sqrt() if distance is spd.bures_distance else x.log() - y.log()
    assert_close(ours, oracle.norm(), rtol=1e-12, atol=0.0)


def test_bures_between_matrices_of_rank_one_is_known():
    """A = uu', B = vv': the boundary of the cone is within reach, and keeps its digits."""
    u, v = normal(5, 7, seed=1), normal(5, 7, seed=2)
    ours = spd.bures_distance(u[:, :, None] * u[:, None], v[:, :, None] * v[:, None])
    sign = (u * v).sum(-1, keepdim=True).sign()
    assert_close(ours, (u - sign * v).norm(dim=-1), rtol=1e-12, atol=0.0)


def test_the_root_of_a_matrix_of_rank_one_is_known():
    """Its null eigenvalues, 1e-17 by rounding, have roots of 1e-9 unless they count as 0."""
    u = normal(5, 7)
    outer = u[:, :, None] * u[:, None]
    assert_close(spd.matrix_sqrt(outer), outer / u.norm(dim=-1)[:, None, None], atol=1e-13, rtol=0)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_small_distance_keeps_its_digits(distance):
    """Diagonal matrices 1e-9 apart; the trace formula of Bures would return 0 or 1e-8."""
    a = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    b = torch.diag(torch.tensor([1.0 + 1e-9, 2.0, 3.0], dtype=torch.float64))
    half = 0.5 if distance is spd.bures_distance else 1.0
    assert_close(distance(a, b).item(), half * 1e-9, rtol=1e-5, atol=0.0)


@pytest.mark.parametrize("distance", [*DISTANCES, spd.projection_distance])
def test_distances_are_metrics_that_broadcast(distance):
    freedom = 2 if distance is spd.projection_distance else None
    a, b, c = (wishart(4, seed=s, freedom=freedom) for s in (1, 2, 3))
    ab = distance(a, b)
    assert_close(ab, distance(b, a), rtol=1e-10, atol=1e-12)
    assert (ab > 0.1).all() and (ab <= distance(a, c) + distance(c, b)).all()
    assert (distance(a, a) < 1e-13).all()
    assert_close(distance(a[:, None], b)[2, 3], distance(a[2], b[3]))


def test_each_distance_has_its_symmetry():
    a, b, g = wishart(4, seed=1), wishart(4, seed=2), normal(4, 4, seed=3)
    moved = [g @ s @ g.T for s in (a, b)]
    inverse = [torch.linalg.inv(s) for s in (a, b)]
    airm, log_e, bures = (d(a, b) for d in (DEFINITE[1], DEFINITE[0], spd.bures_distance))
    assert_close(spd.affine_invariant_distance(*moved), airm, rtol=1e-9, atol=0.0)
    assert_close(spd.affine_invariant_distance(*inverse), airm, rtol=1e-9, atol=0.0)
    assert_close(spd.log_euclidean_distance(*inverse), log_e, rtol=1e-9, atol=0.0)
    assert_close(spd.log_euclidean_distance(9 * a, 9 * b), log_e, rtol=1e-9, atol=0.0)
    assert_close(spd.bures_distance(9 * a, 9 * b), 3 * bures, rtol=1e-9, atol=0.0)
    assert (spd.log_euclidean_distance(*moved) - log_e).abs().min() > 1e-3
    assert (airm >= log_e - 1e-12).all()  # the exponential map of the cone expands


def test_the_log_euclidean_embedding_is_an_isometry():
    s = wishart(5, batch=(6,))
    points = spd.log_euclidean_embedding(s)
    assert points.shape == (6, 15)
    assert_close(torch.cdist(points, points), spd.log_euclidean_distance(s[:, None], s))


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize("function", [spd.matrix_log, spd.matrix_sqrt])
def test_gradients_are_right_where_eigenvalues_meet(function, values):
    """Through eigenvectors they would be NaN, or lost to cancellation."""
    s = with_spectrum(values).requires_grad_()
    f = symmetrised(function)
    scale = 1 / values[0] ** 2
    assert gradcheck(f, s, eps=1e-6 * values[0], rtol=1e-6, atol=1e-7 * scale)
    assert gradgradcheck(f, s, eps=1e-6 * values[0], rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("values", SPECTRA)
@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_have_gradients_where_eigenvalues_meet(distance, values):
    s, other = with_spectrum(values).requires_grad_(), wishart(4, batch=(), seed=4)
    for f in (symmetrised(distance), symmetrised(lambda s, b: distance(b, s))):
        assert gradcheck(f, (s, other), eps=1e-6 * values[0], rtol=1e-5, atol=1e-6)
        if distance is not spd.bures_distance:
            assert gradgradcheck(f, (s, other), eps=1e-7 * values[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("rank, values", [(2, (1.0, 1.0, 3.0, 3.0)), (1, (0.0, 1.0, 1.0, 3.0))])
def test_the_projection_has_gradients_where_eigenvalues_meet(rank, values):
    s = with_spectrum(values).requires_grad_()
    f = symmetrised(lambda s: spd.range_projector(s + 0.1 * torch.eye(4).double(), rank))
    assert gradcheck(f, s, rtol=1e-6, atol=1e-7)
    assert gradgradcheck(f, s, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distance", [spd.bures_distance, spd.projection_distance])
def test_at_a_singular_matrix_the_gradient_follows_the_rank(distance):
    """S = Y Y' never leaves its stratum: there the distance is smooth, and the gradient exact."""
    y, other = normal(5, 2, seed=1).requires_grad_(), wishart(5, batch=(), seed=2, freedom=2)
    assert gradcheck(lambda y: distance(y @ y.T, other), y, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_corner_of_a_distance_has_gradient_zero(distance):
    a = torch.eye(3, dtype=torch.float64).requires_grad_()
    distance(a, a.detach()).backward()
    assert a.grad is not None and not a.grad.any()


def test_the_second_derivative_of_bures_is_refused_not_wrong():
    a = wishart(3, batch=()).requires_grad_()
    distance = spd.bures_distance(a, wishart(3, batch=(), seed=1))
    (gradient,) = torch.autograd.grad(distance, a, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("n", [3, 7, 64])
def test_float32_holds_its_stated_errors(scale, n):
    low = torch.linspace(0, 1, n, dtype=torch.float64)
    q, p = (torch.linalg.qr(normal(10, n, n, seed=s))[0] for s in (1, 2))
    condition = 100.0
    a = scale * (q * condition**low) @ q.mT  # eigenvalues from 1 to 100
    b = scale * (p * condition**-low) @ p.mT
    a, b = (((s + s.mT) / 2).float() for s in (a, b))
    exact = [x.double() for x in (a, b)]
    size = (scale * condition * n) ** 0.5
    for distance, bound in [
        (spd.log_euclidean_distance, 2e-6 * condition),
        (spd.affine_invariant_distance, 4e-6 * condition**2),
        (spd.bures_distance, 1e-5 * size),
    ]:
        assert (distance(a, b).double() - distance(*exact)).abs().max() < bound
    thin = [(x[..., :2] @ x[..., :2].mT) for x in (a, b)]
    thin_exact = [(x[..., :2] @ x[..., :2].mT) for x in exact]
    size = max(x.diagonal(dim1=-2, dim2=-1).sum(-1).max().item() for x in thin_exact) ** 0.5
    error = spd.bures_distance(*thin).double() - spd.bures_distance(*thin_exact)
    assert error.abs().max() < 1e-3 * size


def test_matrix_functions_hold_their_stated_errors_in_float32():
    q = torch.linalg.qr(normal(10, 4, 4))[0]
    s = (q * torch.tensor([1e-3, 0.01, 0.1, 1.0]).double()) @ q.mT  # condition number 1000
    s32 = ((s + s.mT) / 2).float()
    for function, bound in [
        (spd.matrix_log, 1e-6 * 1000),
        (spd.matrix_sqrt, 1e-6 * 1000**0.5),
        (functools.partial(spd.range_projector, rank=2), 1e-6 / (0.1 - 0.01)),
    ]:
        assert (function(s32).double() - function(s32.double())).abs().max() < bound


def test_float32_gradients_are_those_of_float64():
    a, b = wishart(7, seed=1), wishart(7, seed=2)
    for distance in DISTANCES:
        gradients = []
        for dtype in (torch.float32, torch.float64):
            leaf = a.to(dtype, copy=True).requires_grad_()
            distance(leaf, b.to(dtype)).sum().backward()
            assert leaf.grad is not None
            gradients.append(leaf.grad.double())
        scale = gradients[1].abs().amax((-2, -1), keepdim=True)
        assert ((gradients[0] - gradients[1]) / scale).abs().max() < 1e-3


def test_regularising_adds_a_share_of_the_mean_eigenvalue():
    s = wishart(4, freedom=2)
    oracle = torch.linalg.eigvalsh(s) + 0.01 * torch.linalg.eigvalsh(s).mean(-1, keepdim=True)
    assert_close(torch.linalg.eigvalsh(spd.regularised(s, 0.01)), oracle)
    assert torch.equal(spd.regularised(s, 0.0), s)


@pytest.mark.parametrize("distance", DEFINITE)
def test_a_singular_matrix_needs_a_regularisation_said_aloud(distance):
    good, singular = wishart(4), wishart(4, freedom=2, seed=1)
    with pytest.raises(ValueError, match=r"b\[0\] is singular.*regularise=1e-2.*bures_distance"):
        distance(good, singular)
    with pytest.raises(ValueError, match=r"a\[3\] is singular"):
        distance(torch.cat([good[:3], singular[:1]]), good[:4])
    ours = distance(good, singular, regularise=0.01)
    assert_close(ours, distance(spd.regularised(good, 0.01), spd.regularised(singular, 0.01)))
    with pytest.raises(ValueError, match="is singular"):
        distance(good, 0 * singular, regularise=0.01)  # a share of nothing


def test_a_tiny_regularisation_lets_the_null_directions_rule():
    a, b = wishart(8, freedom=2, seed=1), wishart(8, freedom=2, seed=2)
    far, farther = (spd.log_euclidean_distance(a, b, regularise=e) for e in (1e-2, 1e-10))
    assert (farther > 3 * far).all()


NOT_SYMMETRIC = torch.tensor([[1.0, 0.5], [0.2, 1.0]])
INDEFINITE = torch.tensor([[1.0, 2.0], [2.0, 1.0]])


@pytest.mark.parametrize("distance", [*DISTANCES, spd.projection_distance])
@pytest.mark.parametrize(
    "bad, message",
    [
        (NOT_SYMMETRIC, r"\[1\] is not symmetric.*0\.3"),
        (INDEFINITE, r"\[1\] is indefinite.*from -1 to 3"),
        (torch.full((2, 2), torch.nan), r"\[1\] has NaN"),
        (torch.full((2, 2), torch.inf), r"\[1\] has NaN or infinite"),
    ],
)
def test_what_is_no_covariance_is_refused_by_name(distance, bad, message):
    good = torch.eye(2)
    batch = torch.stack([good, bad])
    with pytest.raises(ValueError, match="^a" + message):
        distance(batch, good.expand(2, 2, 2))
    with pytest.raises(ValueError, match="^b" + message):
        distance(good.expand(2, 2, 2), batch)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: spd.matrix_log(torch.zeros(2, 3)), r"shape \(2, 3\).*square"),
        (lambda: spd.matrix_log(torch.eye(2), regularise=-1.0), "regularise=-1"),
        (lambda: spd.matrix_log(torch.eye(2), regularise=math.inf), "regularise=inf"),
        (lambda: spd.bures_distance(torch.eye(2), torch.eye(3)), r"\(2, 2\).*\(3, 3\)"),
        (
            lambda: spd.bures_distance(torch.eye(2).expand(4, 2, 2), torch.eye(2).expand(3, 2, 2)),
            r"\(4, 2, 2\).*broadcast",
        ),
        (lambda: spd.range_projector(torch.eye(3), 2), "eigenvalues 2 and 3 are both 1"),
        (lambda: spd.range_projector(torch.eye(3), 4), "rank=4"),
        (lambda: spd.range_projector(torch.eye(3), 0), "rank=0"),
    ],
)
def test_impossible_requests_are_refused_by_name(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


def test_dtypes_are_not_mixed_or_guessed(unchecked):
    with pytest.raises(TypeError, match=r"a is torch.float64, b torch.float32"):
        spd.bures_distance(torch.eye(2).double(), torch.eye(2))
    with pytest.raises(TypeError, match=r"torch.float16.*double"):
        spd.matrix_log(torch.eye(2).half())
