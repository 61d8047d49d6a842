"""Gauss's rule from a Krylov space: exact for polynomials, and what float32 leaves of it."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.worlds import Tanh, TurnedLinear, log_uniform, normal, turned
from vae_course.isometry import Pullback
from vae_course.isometry.krylov import Krylov, gauss_rule, krylov, ritz

KINDS = {"golub-kahan": None, "lanczos": lambda x, v: v}
D = 32
MILD = TurnedLinear(log_uniform(D, 1e2))


def walked(world, steps, metric=None, dtype=torch.float64, n=2) -> tuple[Krylov, Tensor]:
    """A space for each of n codes, and the starts."""
    z = normal(n, len(world.eigenvalues), seed=1).to(dtype)
    start = normal(*z.shape, seed=2)
    return krylov(Pullback(world.decode, z, metric), start.to(dtype), steps), start


def seen(world, start: Tensor) -> Tensor:
    """The weight of each eigenvalue in a start: in the basis that the first turn leads to."""
    share = turned(start, seed=1).square()
    return share / share.sum(1, keepdim=True)


def integral(space: Krylov, f, steps: int | None = None) -> Tensor:
    nodes, weights = gauss_rule(space, steps)
    return (weights * f(nodes)).sum(1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rule_is_exact_for_polynomials_of_degree_2k_minus_1(kind):
    k = 5
    space, start = walked(MILD, k, KINDS[kind])
    for degree in range(2 * k + 1):
        wanted = seen(MILD, start) @ MILD.eigenvalues**degree
        found = integral(space, lambda value, p=degree: value**p)
        if degree < 2 * k:
            assert_close(found, wanted, rtol=1e-12, atol=0.0)
        else:  # Gauss's error is positive where the next derivative is
            assert (found < wanted * (1 - 1e-8)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_space_knows_every_function(kind):
    space, start = walked(MILD, D, KINDS[kind])
    wanted = seen(MILD, start) @ MILD.eigenvalues.log()
    assert_close(integral(space, torch.log), wanted, rtol=1e-9, atol=0.0)
    nodes, weights = gauss_rule(space)
    assert_close(nodes, MILD.eigenvalues.expand(2, -1), rtol=1e-9, atol=0.0)
    assert_close(weights, seen(MILD, start), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_the_leading_block_is_the_space_of_fewer_steps(kind):
    long, _ = walked(MILD, 12, KINDS[kind])
    short, _ = walked(MILD, 8, KINDS[kind])
    for a, b in zip(gauss_rule(long, 8), gauss_rule(short), strict=True):
        assert_close(a, b, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_shares_and_nodes_lie_within_the_spectrum(kind):
    space, _ = walked(MILD, 9, KINDS[kind])
    nodes, weights = gauss_rule(space)
    assert_close(weights.sum(1), torch.ones(2).double(), rtol=1e-12, atol=0.0)
    assert (weights >= 0).all() and (nodes.diff(dim=1) < 0).all()
    assert (nodes < 1 + 1e-12).all() and (nodes > 1e-2 - 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_ritz_value_grows_to_the_largest_eigenvalue(kind):
    space, _ = walked(MILD, 20, KINDS[kind])
    tops = torch.stack([ritz(space, k)[0][:, 0] for k in range(1, 21)])
    assert (tops.diff(dim=0) > -1e-12).all() and (tops <= 1 + 1e-12).all()
    assert (tops[-1] > 1 - 1e-6).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_the_basis_stays_orthonormal_at_any_condition(kind, dtype, tol):
    space, _ = walked(TurnedLinear(log_uniform(256, 1e8)), 120, KINDS[kind], dtype)
    gram = space.basis @ space.basis.mT
    # Rounding may end a space early; what there is of a basis is orthonormal.
    alive = space.basis.norm(dim=2) > 0.5
    assert alive[:, :40].all()
    assert_close(gram, alive.to(dtype).diag_embed(), rtol=0.0, atol=tol)


@pytest.mark.parametrize("kind", KINDS)
def test_residuals_are_those_of_the_ritz_pairs(kind):
    space, _ = walked(MILD, 10, KINDS[kind])
    values, coefficients, residuals = ritz(space)
    vectors = coefficients.mT @ space.basis
    pullback = Pullback(MILD.decode, torch.zeros(2, D).double())
    for i in range(10):
        v = vectors[:, i]
        found = (pullback(v) - values[:, i, None] * v).norm(dim=1)
        assert_close(found, residuals[:, i], rtol=1e-9, atol=1e-13)


# ---- spaces that end


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_space_ends_with_the_eigenvalues_that_differ(kind, dtype, tol):
    three = TurnedLinear(torch.tensor([4.0, 1.0, 0.25]).double().repeat_interleave(20))
    space, start = walked(three, 10, KINDS[kind], dtype)
    nodes, weights = gauss_rule(space)
    for value in (4.0, 1.0, 0.25):
        near = (nodes - value).abs() < 1e-4
        share = (weights * near).sum(1)
        wanted = (seen(three, start) * (three.eigenvalues == value)).sum(1)
        assert_close(share, wanted, rtol=0.0, atol=tol)
    assert_close(
        integral(space, lambda v: (v + 1e-9).log()),
        seen(three, start) @ three.eigenvalues.log(),
        rtol=0.0,
        atol=1e-6 if dtype == torch.float64 else 1e-4,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_whose_space_ends_leaves_the_others_alone(kind):
    z = torch.stack([torch.ones(D), torch.linspace(0.5, 1.5, D)]).double()  # all alike, all apart
    start = normal(2, D, seed=2)

    def cube(z: Tensor) -> Tensor:
        return z**3 / 3

    both = gauss_rule(krylov(Pullback(cube, z, KINDS[kind]), start, 12))
    for i in range(2):
        alone = krylov(Pullback(cube, z[i : i + 1], KINDS[kind]), start[i : i + 1], 12)
        a, b = (
            torch.stack([(weights * f(nodes)).sum(1)[j] for f in (torch.sqrt, torch.square)])
            for (nodes, weights), j in ((both, i), (gauss_rule(alone), 0))
        )
        assert_close(a, b, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_outputs_than_latents_leave_a_share_at_zero(kind):
    world = Tanh(d=12, hidden=20, outputs=4)
    z, start = normal(2, 12, seed=1), normal(2, 12, seed=2)
    space = krylov(Pullback(world.decode, z, KINDS[kind]), start, 12)
    j = world.jacobian_exact(z)
    values, vectors = torch.linalg.eigh(j.mT @ j)
    share = torch.einsum("nij,ni->nj", vectors, start).square() / start.square().sum(1)[:, None]
    for f in (torch.square, lambda value: 1 / (0.1 + value)):
        assert_close(integral(space, f), (share * f(values)).sum(1), rtol=1e-8, atol=0.0)


# ---- a metric


def test_a_metric_is_a_decoder_that_goes_on():
    """Lanczos under R'R is Golub-Kahan on R after the decoder."""
    world, root = Tanh(d=10, hidden=20, outputs=12), normal(12, 12, seed=3)
    z, start = normal(2, 10, seed=1), normal(2, 10, seed=2)
    under = krylov(Pullback(world.decode, z, root.T @ root), start, 6)
    after = krylov(Pullback(lambda z: world.decode(z) @ root.T, z), start, 6)
    assert not under.bidiagonal and after.bidiagonal
    for a, b in zip(gauss_rule(under), gauss_rule(after), strict=True):
        assert_close(a, b, rtol=1e-8, atol=1e-12)


# ---- float32


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e10])
def test_golub_kahan_does_not_square_the_condition(condition):
    """A whole space of 128 steps in float32, without a floor: each eigenvalue down to 1e-10 of the
    largest, to a relative 1e-3. Lanczos walks on the square of J: beyond 1e7 it finds rounding."""
    world = TurnedLinear(log_uniform(128, condition))
    space, start = walked(world, 128, dtype=torch.float32)
    wanted = seen(world, start) @ world.eigenvalues.log()
    assert_close(gauss_rule(space)[0], world.eigenvalues.expand(2, -1), rtol=1e-3, atol=0.0)
    assert_close(integral(space, torch.log), wanted, rtol=0.0, atol=1e-3)
    squared, _ = walked(world, 128, KINDS["lanczos"], torch.float32)
    missed = integral(squared, lambda value: value.clamp_min(1e-30).log()) - wanted
    assert (missed.abs() < 1e-3).all() if condition < 1e7 else (missed.abs() > 1e-3).all()
