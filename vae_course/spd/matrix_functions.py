r"""Functions of symmetric matrices whose gradients stay finite where eigenvalues meet.

The derivative of :math:`f(S) = U f(\Lambda) U^\top` needs no derivative of an eigenvector: in the
eigenbasis it multiplies each entry of the change by a divided difference,

.. math:: f[\lambda_i, \lambda_j] = \frac{f(\lambda_i) - f(\lambda_j)}{\lambda_i - \lambda_j},
          \qquad f[\lambda, \lambda] = f'(\lambda),

the second derivative by second ones (Daleckii and Krein 1951). Each function here gives
them in a form in which nothing cancels, so equal and nearly equal eigenvalues are no special case.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


class Scalar(NamedTuple):
    """A function of an eigenvalue, with its divided differences of two and three."""

    value: Callable[[Tensor], Tensor]
    first: Callable[[Tensor, Tensor], Tensor]
    second: Callable[[Tensor, Tensor, Tensor], Tensor]


class Eigen(NamedTuple):
    """Checked eigenvalues, ascending, their vectors, and what rounding may have done to them."""

    values: Tensor  # (*batch, n)
    vectors: Tensor  # (*batch, n, n), in columns
    rounding: Tensor  # (*batch, 1): smaller than this is zero


def matrix_log(
    s: Float[Tensor, "*batch n n"], *, regularise: float = 0.0, name: str = "s"
) -> Float[Tensor, "*batch n n"]:
    r"""The logarithm of symmetric positive definite matrices.

    .. math:: \log S = U \operatorname{diag}(\log \lambda_i)\, U^\top

    Twice differentiable, at repeated eigenvalues too. ``regularise`` as in ``regularised``;
    ``name`` is what errors call the matrix, here and below. ValueError for a matrix that is not
    symmetric, not finite or not definite: definite means a smallest eigenvalue above 4 n eps times
    the largest (float32, n = 7: 3e-6; float64, n = 64: 6e-14). float32: error 1e-6 times the
    condition number.
    """
    s = regularised(s, regularise, name)
    return _apply(s, definite(s, name), LOG)


def matrix_sqrt(s: Float[Tensor, "*batch n n"], *, name: str = "s") -> Float[Tensor, "*batch n n"]:
    r"""The square root of symmetric positive semi-definite matrices.

    .. math:: S^{1/2} = U \operatorname{diag}(\sqrt{\lambda_i})\, U^\top

    Eigenvalues within 4 n eps of the largest count as 0. Twice differentiable at a definite
    matrix. At a singular one the derivative is infinite across ranks; the gradient given is the
    one along the matrices of the same rank. ValueError for a matrix that is not symmetric, not
    finite or has a negative eigenvalue. float32: 1e-6 times the root of the condition number.
    """
    s = symmetric(s, name)
    return _apply(s, semidefinite(s, name), SQRT)


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
        return _apply(s, eigen, _step(eigen.rounding))
    n = s.shape[-1]
    if int(rank) != rank or not 1 <= rank <= n:
        raise ValueError(f"rank={rank}: a whole number from 1 to {n}, the size of the matrices")
    if rank == n:
        return torch.eye(n, dtype=s.dtype, device=s.device).expand(s.shape)
    above, below = eigen.values[..., n - rank, None], eigen.values[..., n - rank - 1, None]
    _refuse(
        above - below <= eigen.rounding, name,
        lambda i: f"eigenvalues {rank} and {rank + 1} are both {above[i].item():.4g}: the span "
        "of the first is not defined; choose another rank",
    )  # fmt: skip
    return _apply(s, eigen, _step((above + below) / 2))


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
    if not 0 <= regularise < float("inf"):
        raise ValueError(f"regularise={regularise}: a finite number, 0 or more")
    s = symmetric(s, name)
    if regularise == 0:
        return s
    mean = s.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
    return s + regularise * mean * torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)


def symmetric(s: Tensor, name: str) -> Tensor:
    """s, exactly symmetric; ValueError unless it was so to half its digits, finite and square."""
    if s.ndim < 2 or s.shape[-1] != s.shape[-2] or s.shape[-1] == 0:
        raise ValueError(f"{name} has shape {tuple(s.shape)}; give square matrices (*batch, n, n)")
    if s.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} has dtype {s.dtype}; give float32 or float64: {name}.double()")
    bad = ~s.isfinite()
    _refuse(bad.flatten(-2).any(-1, keepdim=True), name, lambda i: "has NaN or infinite entries")
    gap = (s - s.mT).abs().amax((-2, -1))[..., None]
    largest = s.abs().amax((-2, -1))[..., None]
    _refuse(
        gap > torch.finfo(s.dtype).eps ** 0.5 * largest, name,
        lambda i: f"is not symmetric: entries across the diagonal differ by {gap[i].item():.4g}; "
        f"({name} + {name}.mT) / 2 is, if that is what you mean",
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
    """ValueError about the first bad matrix; ``bad`` is (*batch, 1)."""
    if bad.any():
        index = tuple(bad[..., 0].nonzero()[0].tolist())
        which = f"{name}[{', '.join(map(str, index))}]" if index else name
        raise ValueError(f"{which} {why(index)}")


def _log_first(a: Tensor, b: Tensor) -> Tensor:
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    excess = (high - low) / low
    return torch.where(excess == 0, 1.0, excess.log1p() / excess) / low


def _log_second(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    low, middle, high = torch.stack(torch.broadcast_tensors(a, b, c)).sort(0).values
    apart = (_log_first(low, middle) - _log_first(middle, high)) / (low - high)
    # Close together: the divided difference of log1p(u)/u = sum (-u)^k / (k + 1), term by term.
    u, v = (middle - low) / low, (high - low) / low
    homogeneous, power, series = torch.ones_like(u), torch.ones_like(u), torch.zeros_like(u)
    for k in range(1, 20):  # 0.1^19: below float64's rounding
        series = series + (-1) ** k / (k + 1) * homogeneous
        power = power * u
        homogeneous = v * homogeneous + power  # the sum of u^i v^(k - i)
    return torch.where(v < 0.1, series / low.square(), apart)


def _root(x: Tensor) -> Tensor:
    return x.clamp_min(0).sqrt()


def _inverse(x: Tensor) -> Tensor:
    return torch.where(x > 0, 1 / x, 0.0)


def _sqrt_second(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    a, b, c = _root(a), _root(b), _root(c)
    return -_inverse(a + b) * _inverse(b + c) * _inverse(c + a)


LOG = Scalar(torch.log, _log_first, _log_second)
SQRT = Scalar(_root, lambda a, b: _inverse(_root(a) + _root(b)), _sqrt_second)


def _step(cut: Tensor) -> Scalar:
    """1 above the cut (*batch, 1), 0 below; no eigenvalue is at the cut."""

    def above(x: Tensor) -> Tensor:
        return x > cut.reshape(*cut.shape, *[1] * (x.ndim - cut.ndim))

    def first(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(above(a) == above(b), 0.0, 1 / (a - b).abs())

    def second(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        # One eigenvalue is alone on its side: the product of its inverse distances to the others.
        ab, bc, ca = first(a, b), first(b, c), first(c, a)
        upper = above(a).to(a.dtype) + above(b) + above(c)
        return torch.where(upper == 2, -1.0, 1.0) * (ab * bc + bc * ca + ca * ab)

    return Scalar(lambda x: above(x).to(x.dtype), first, second)


def _apply(s: Tensor, eigen: Eigen, f: Scalar) -> Tensor:
    # Below rounding is zero: a root would blow 1e-16 up to 1e-8.
    values = torch.where(eigen.values.abs() <= eigen.rounding, 0.0, eigen.values)
    return _Function.apply(s, values, eigen.vectors, f)


class _Function(torch.autograd.Function):
    """f(S), given the eigenvalues and vectors of S."""

    @staticmethod
    def forward(ctx: Any, s: Tensor, values: Tensor, vectors: Tensor, f: Scalar) -> Tensor:
        ctx.save_for_backward(s, values, vectors)
        ctx.f = f
        return vectors @ (f.value(values)[..., None] * vectors.mT)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _Derivative.apply(gradient, *ctx.saved_tensors, ctx.f), None, None, None


class _Derivative(torch.autograd.Function):
    """The derivative of f at S towards G; it is its own adjoint."""

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, s: Tensor, values: Tensor, vectors: Tensor, f: Scalar
    ) -> Tensor:
        ctx.save_for_backward(g, values, vectors)
        ctx.f = f
        return _towards(g, values, vectors, f)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        g, values, vectors = ctx.saved_tensors
        g_hat, c_hat = (vectors.mT @ (x + x.mT) @ vectors / 2 for x in (g, c))
        second = ctx.f.second(
            values[..., :, None, None], values[..., None, :, None], values[..., None, None, :]
        )  # [i, k, j]
        half = torch.einsum("...ikj,...ik,...kj->...ij", second, g_hat, c_hat)
        by_s = vectors @ (half + half.mT) @ vectors.mT
        return _towards(c, values, vectors, ctx.f), by_s, None, None, None


def _towards(g: Tensor, values: Tensor, vectors: Tensor, f: Scalar) -> Tensor:
    difference = f.first(values[..., :, None], values[..., None, :])
    return vectors @ (difference * (vectors.mT @ (g + g.mT) @ vectors / 2)) @ vectors.mT
