"""Krylov spaces of a pull-back metric: from one start vector a code, a small matrix that knows."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.isometry.operator import Pullback


class Krylov(NamedTuple):
    """Orthonormal basis V of span{v, Av, A²v, ...}, and the small matrix V'AV, for each code."""

    basis: Float[Tensor, "batch steps d"]
    diagonal: Float[Tensor, "batch steps"]
    r"""Of the bidiagonal :math:`B` with :math:`V^\top A V = B^\top B`, or of the tridiagonal
    :math:`V^\top A V` itself, where the metric has no root."""
    beside: Float[Tensor, "batch steps"]
    """Above that diagonal; the last one leads out of the space."""
    bidiagonal: bool


def krylov(pullback: Pullback, start: Float[Tensor, "batch *code"], steps: int) -> Krylov:
    """k steps from a start vector: Golub and Kahan on J, or Lanczos on J'GJ under a metric.

    Golub-Kahan never squares the condition of J: in float32 it resolves eigenvalues of A down to
    1e-12 of the largest, Lanczos down to 1e-7. Both bases are orthogonalised in full, twice. Where
    a space ends early, as it does where eigenvalues are equal, a random direction starts another
    one: it finds what the first could not, and the quadrature gives it no weight.
    """
    walk = _golub_kahan if pullback.metric is None else _lanczos
    return walk(pullback, start, steps)


def _golub_kahan(pullback: Pullback, start: Tensor, steps: int) -> Krylov:
    z, x = pullback.z, pullback.x
    right, left = (t.new_zeros(len(t), steps, t[0].numel()) for t in (z, x))
    alpha, beta = z.new_zeros(2, len(z), steps)
    v = start.flatten(1) / start.flatten(1).norm(dim=1, keepdim=True)
    for k in range(steps):
        right[:, k] = v
        u = pullback.push(v.view_as(z)).flatten(1)
        u, alpha[:, k] = _new_direction(u, left[:, :k], alpha[:, :k])
        left[:, k] = u
        v = pullback.pull(u.view_as(x)).flatten(1)
        v, beta[:, k] = _new_direction(v, right[:, : k + 1], alpha[:, : k + 1])
        v = _elsewhere(v, right[:, : k + 1])
    return Krylov(right, alpha, beta, bidiagonal=True)


def _lanczos(pullback: Pullback, start: Tensor, steps: int) -> Krylov:
    z = pullback.z
    basis = z.new_zeros(len(z), steps, z[0].numel())
    diagonal, beside = z.new_zeros(2, len(z), steps)
    v = start.flatten(1) / start.flatten(1).norm(dim=1, keepdim=True)
    for k in range(steps):
        basis[:, k] = v
        w = pullback(v.view_as(z)).flatten(1)
        diagonal[:, k] = (w * v).sum(1)
        v, beside[:, k] = _new_direction(w, basis[:, : k + 1], diagonal[:, : k + 1])
        v = _elsewhere(v, basis[:, : k + 1])
    return Krylov(basis, diagonal, beside, bidiagonal=False)


def _new_direction(w: Tensor, basis: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """What of w stands on a basis, as a unit vector and its length; both 0 if that is rounding.

    Twice is enough (Kahan), unless nothing but rounding is left: then the unit vector still leans
    on the basis, which a third look tells.
    """
    w = _off(_off(w, basis), basis)
    length = w.norm(dim=1)
    unit = _off(w / length.where(length > 0, 1)[:, None], basis)
    left = unit.norm(dim=1)
    real = left > 0.9
    if scale.shape[1]:
        real &= length > torch.finfo(w.dtype).eps * scale.abs().amax(1)
    return (unit / left.where(real, 1)[:, None]).where(real[:, None], 0), length.where(real, 0)


def _off(w: Tensor, basis: Tensor) -> Tensor:
    return torch.baddbmm(w[:, :, None], basis.mT, basis @ w[:, :, None], alpha=-1)[:, :, 0]


def _elsewhere(v: Tensor, basis: Tensor) -> Tensor:
    """v, and a unit vector off the basis for each code where v is 0, if there is any."""
    ended = v.norm(dim=1) == 0
    if not ended.any() or basis.shape[1] == basis.shape[2]:
        return v
    generator = torch.Generator("cpu").manual_seed(basis.shape[1])
    fresh = torch.randn(v.shape, generator=generator, device="cpu").to(v)
    return torch.where(ended[:, None], _new_direction(fresh, basis, basis[:, :0, 0])[0], v)


def ritz(found: Krylov, steps: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Of the leading ``steps``: Ritz values descending (batch, k), their vectors in the basis
    (batch, k, k), one a column, and bounds of their residuals (batch, k); float64, on the CPU.

    .. math:: A V q_i = \\theta_i V q_i + r_i, \\qquad \\|r_i\\| = \\rho_k |q_{ki}|
    """
    k = found.diagonal.shape[1] if steps is None else steps
    diagonal, beside = (t[:, :k].cpu().double() for t in (found.diagonal, found.beside))
    matrix = diagonal.diag_embed() + beside[:, :-1].diag_embed(1)
    if found.bidiagonal:
        _, root, vectors = torch.linalg.svd(matrix)
        values, vectors = root.square(), vectors.mT
        leaving = diagonal[:, -1] * beside[:, -1]
    else:
        values, vectors = torch.linalg.eigh(matrix + beside[:, :-1].diag_embed(-1))
        values, vectors = values.flip(1), vectors.flip(2)
        leaving = beside[:, -1]
    return values, vectors, leaving[:, None] * vectors[:, -1].abs()


def gauss_rule(found: Krylov, steps: int | None = None) -> tuple[Tensor, Tensor]:
    """Nodes and weights (batch, k) with v' f(A) v = sum of weights f(nodes) for the start v, exact
    for polynomials f of degree 2k - 1: Gauss's rule of the spectrum as v sees it."""
    values, vectors, _ = ritz(found, steps)
    return values, vectors[:, 0].square()
