r"""Functions of symmetric matrices whose gradients stay finite where eigenvalues meet.

The derivative of :math:`f(S) = U f(\Lambda) U^\top` needs no derivative of an eigenvector: in the
eigenbasis it multiplies each entry of the change by a divided difference,

.. math:: f[\lambda_i, \lambda_j] = \frac{f(\lambda_i) - f(\lambda_j)}{\lambda_i - \lambda_j},
          \qquad f[\lambda, \lambda] = f'(\lambda),

the second derivative by second ones (Daleckii and Krein 1951). Each function here gives
them in a form in which nothing cancels, so equal and nearly equal eigenvalues are no special case.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_number, check_real, visible
from vae_course.spd.divided import EXP, LOG, SQRT, STEP, apply
from vae_course.spd.precision import full_precision


class Eigen(NamedTuple):
    """Checked eigenvalues, ascending, their vectors, and what rounding may have done to them."""

    values: Tensor  # (*batch, n)
    vectors: Tensor  # (*batch, n, n), in columns
    rounding: Tensor  # (*batch, 1): smaller than this is zero


@full_precision
def matrix_log(
    s: Float[Tensor, "*batch n n"], *, regularise: float = 0.0, name: str = "s"
) -> Float[Tensor, "*batch n n"]:
    r"""The logarithm of symmetric positive definite matrices.

    .. math:: \log S = U \operatorname{diag}(\log \lambda_i)\, U^\top

    Twice differentiable, at repeated eigenvalues too. ``regularise`` as in ``regularised``;
    ``name`` is what errors call the matrix, here and below. ValueError, in eager mode, for a matrix
    that is not symmetric, not finite or not definite: definite means a smallest eigenvalue above
    4 n eps times the largest (float32, n = 7: 3e-6; float64, n = 64: 6e-14). float32: error 1e-6
    times the condition number.
    """
    s = regularised(s, regularise, name)
    eigen = definite(s, name)
    return apply(LOG, s, eigen.values, eigen.vectors)


@full_precision
def matrix_sqrt(s: Float[Tensor, "*batch n n"], *, name: str = "s") -> Float[Tensor, "*batch n n"]:
    r"""The square root of symmetric positive semi-definite matrices.

    .. math:: S^{1/2} = U \operatorname{diag}(\sqrt{\lambda_i})\, U^\top

    Eigenvalues within 4 n eps of the largest count as 0. Twice differentiable at a definite
    matrix. At a singular one the derivative is infinite across ranks; the gradient given is the
    one along the matrices of the same rank. ValueError for a matrix that is not symmetric, not
    finite or has a negative eigenvalue. float32: 1e-6 times the root of the condition number.
    """
    s = symmetric(s, name)
    values, vectors, rounding = semidefinite(s, name)
    # Below rounding is zero: a root would blow 1e-16 up to 1e-8.
    return apply(SQRT, s, torch.where(values <= rounding, 0.0, values), vectors)


@full_precision
def matrix_exp(s: Float[Tensor, "*batch n n"], *, name: str = "s") -> Float[Tensor, "*batch n n"]:
    r"""The exponential of symmetric matrices: definite ones, the inverse of ``matrix_log``.

    .. math:: \exp S = U \operatorname{diag}(e^{\lambda_i})\, U^\top

    Twice differentiable, at repeated eigenvalues too. ValueError for a matrix that is not
    symmetric or not finite, or with an eigenvalue that is too large (float32: above 88; float64:
    709). float32: error 1e-6 of the largest eigenvalue of the result, times the largest of S.
    """
    s = symmetric(s, name)
    values, vectors = torch.linalg.eigh(s.detach())
    most = math.log(torch.finfo(s.dtype).max) - math.log(s.shape[-1])  # a sum must not overflow
    _refuse(
        values[..., -1:] > most, name,
        lambda i: f"has the eigenvalue {values[i][-1].item():.4g}: its exponential overflows "
        f"{s.dtype} above {most:.4g}",
    )  # fmt: skip
    return apply(EXP, s, values, vectors)


@full_precision
def range_projector(
    s: Float[Tensor, "*batch n n"], rank: int | None = None, *, name: str = "s"
) -> Float[Tensor, "*batch n n"]:
    r"""The orthogonal projection onto the span of the leading eigenvectors.

    .. math:: P = \sum_{i \le r} u_i u_i^\top

    Without a ``rank``, onto the range: r counts the eigenvalues above 4 n eps times the largest,
    matrix by matrix, so a definite matrix gives the identity. With one, 1 <= rank <= n, ValueError
    where eigenvalues r and r + 1 agree to rounding: the span is then not defined. Twice
    differentiable, with the rank held. ValueError too for a matrix that is not symmetric, not
    finite or has a negative eigenvalue. float32: 1e-6 of the largest eigenvalue over the gap.
    """
    s = symmetric(s, name)
    eigen = semidefinite(s, name)
    if rank is None:
        return apply(STEP, s, eigen.values - eigen.rounding, eigen.vectors)
    n = s.shape[-1]
    if check_number("rank", rank) not in range(1, n + 1):
        raise ValueError(f"rank={rank}: a whole number from 1 to {n}, the size of the matrices")
    if rank == n:
        return torch.eye(n, dtype=s.dtype, device=s.device).expand(s.shape)
    above, below = eigen.values[..., n - rank, None], eigen.values[..., n - rank - 1, None]
    _refuse(
        above - below <= eigen.rounding, name,
        lambda i: f"eigenvalues {rank} and {rank + 1} are both {above[i].item():.4g}: the span "
        "of the first is not defined; choose another rank",
    )  # fmt: skip
    return apply(STEP, s, eigen.values - (above + below) / 2, eigen.vectors)


def regularised(
    s: Float[Tensor, "*batch n n"], regularise: float, name: str = "s"
) -> Float[Tensor, "*batch n n"]:
    r"""The matrices with a share of their mean eigenvalue added to every eigenvalue.

    .. math:: S + \epsilon\, \frac{\operatorname{tr} S}{n}\, I

    Relative, so that the scale of a latent does not matter. It moves a singular matrix into the
    cone, and decides how far: under a logarithm the null directions sit at log(epsilon), so a tiny
    epsilon lets them dominate every distance. ValueError for a negative or non-finite one, or a
    matrix that is not symmetric.
    """
    if check_number("regularise", regularise) < 0:
        raise ValueError(f"regularise={regularise}: a finite number, 0 or more")
    s = symmetric(s, name)
    if regularise == 0:
        return s
    mean = s.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return s + regularise * mean * torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)


def symmetric(s: Tensor, name: str) -> Tensor:
    """s, exactly symmetric; ValueError unless it was so to half its digits, finite and square."""
    if check_real(name, s).ndim < 2 or s.shape[-1] != s.shape[-2]:
        raise ValueError(
            f"{name} has shape {tuple(s.shape)}; give square matrices (*batch, n, n), of latents "
            "their mode_covariances"
        )
    if s.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} has dtype {s.dtype}; give float32 or float64: {name}.double()")
    if not visible(s):
        return (s + s.mT) / 2
    bad = ~s.isfinite()
    _refuse(bad.flatten(-2).any(-1, keepdim=True), name, lambda i: "has NaN or infinite entries")
    gap = (s - s.mT).abs().amax((-2, -1))[..., None]
    largest = s.abs().amax((-2, -1))[..., None]
    _refuse(
        gap > torch.finfo(s.dtype).eps ** 0.5 * largest, name,
        lambda i: f"is not symmetric: entries across the diagonal differ by {gap[i].item():.4g}; "
        f"({name} + {name}.mT) / 2 is, if that is what you mean; of latents give mode_covariances",
    )  # fmt: skip
    return (s + s.mT) / 2


def semidefinite(s: Tensor, name: str) -> Eigen:
    """The eigenvalues of symmetric matrices; ValueError for a negative one."""
    values, vectors = torch.linalg.eigh(s.detach())
    rounding = 4 * s.shape[-1] * torch.finfo(s.dtype).eps * values[..., -1:].abs()
    _refuse(
        values[..., :1] < -rounding, name,
        lambda i: f"is indefinite: its eigenvalues go from {values[i][0].item():.4g} to "
        f"{values[i][-1].item():.4g}; a covariance has none below 0",
    )  # fmt: skip
    return Eigen(values, vectors, rounding)


def definite(s: Tensor, name: str) -> Eigen:
    """The eigenvalues of symmetric matrices; ValueError for one that is not positive."""
    eigen = semidefinite(s, name)
    values = eigen.values
    _refuse(
        values[..., :1] <= eigen.rounding, name,
        lambda i: f"is singular: its eigenvalues go from {values[i][0].item():.4g} to "
        f"{values[i][-1].item():.4g}, and this needs definite matrices; say how to make it one, "
        "for example regularise=1e-2, or use bures_distance or projection_distance",
    )  # fmt: skip
    return eigen


def _refuse(bad: Tensor, name: str, why: Callable[[Any], str]) -> None:
    """ValueError about the first bad matrix, in eager mode; ``bad`` is (*batch, 1)."""
    if visible(bad) and bad.any():
        index = tuple(bad[..., 0].nonzero()[0].tolist())
        which = f"{name}[{', '.join(map(str, index))}]" if index else name
        raise ValueError(f"{which} {why(index)}")
