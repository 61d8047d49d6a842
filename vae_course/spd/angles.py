"""Angles between subspaces."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import (
    check_alike,
    check_broadcast,
    check_finite,
    check_number,
    check_real,
    visible,
)
from vae_course.spd.precision import full_precision


@full_precision
def principal_subspace(x: Float[Tensor, "*batch N D"], dim: int) -> Float[Tensor, "*batch D dim"]:
    r"""An orthonormal basis of the directions in which points vary most.

    .. math:: X - \bar X = U \Sigma V^\top \ \mapsto\ (v_1, \dots, v_{\mathrm{dim}})

    for N points x, one a row; of codes (batch, C, H, W) give ``x.flatten(1)``. ValueError unless
    1 <= dim <= min(N - 1, D), for values that are not finite, or where singular values dim and
    dim + 1 agree to rounding and the span is not defined. float32: error 1e-6 of the largest
    singular value over that gap.
    """
    n, d = _check_matrices("x", x).shape[-2:]
    if check_number("dim", dim) not in range(1, min(n - 1, d) + 1):
        raise ValueError(
            f"dim={dim}: {n} points in {d} dimensions (x is (*batch, points, dimensions)) vary in "
            f"at most {min(n - 1, d)} directions"
        )
    dim = int(dim)
    _, values, directions = torch.linalg.svd(x - x.mean(-2, keepdim=True), full_matrices=False)
    rounding = max(n, d) * torch.finfo(x.dtype).eps * values[..., 0]
    following = values[..., dim] if dim < values.shape[-1] else torch.zeros_like(rounding)
    if visible(values) and (values[..., dim - 1] - following <= rounding).any():
        raise ValueError(
            f"dim={dim}: the points x vary equally, or not at all, in directions {dim} and "
            f"{dim + 1}, so that the span of the first {dim} is not defined; give a smaller dim"
        )
    return directions[..., :dim, :].mT


@full_precision
def principal_angles(
    a: Float[Tensor, "*batch D p"], b: Float[Tensor, "*batch D q"]
) -> Float[Tensor, "*batch r"]:
    r"""The angles between the column spans of two matrices, in radians, largest first.

    .. math:: \cos\theta_i = \sigma_i(Q_a^\top Q_b), \qquad
              \sin\theta_i = \sigma_i\big((I - Q_a Q_a^\top) Q_b\big)

    min(p, q) angles in [0, π/2], from the sine where it is the more accurate, so that an angle of
    1e-12 keeps its digits. If p + q > D some are 0 for every pair of subspaces, and if p = D all:
    compare with what random subspaces give. ValueError for columns that are dependent to rounding,
    different D or values that are not finite (looked at in eager mode
    only). float32: absolute error 1e-6. No gradient where
    angles coincide. Source: Björck and Golub 1973.
    """
    _check_matrices("a", a), _check_matrices("b", b)
    check_alike(a=a, b=b)
    if a.shape[-2] != b.shape[-2]:
        raise ValueError(
            f"a has shape {tuple(a.shape)}, b {tuple(b.shape)}: give bases (D, p) and (D, q)"
        )
    check_broadcast(a=a[..., 0, 0], b=b[..., 0, 0])
    (qa, qb) = (_orthonormal(x, name) for x, name in ((a, "a"), (b, "b")))
    if qa.shape[-1] < qb.shape[-1]:
        qa, qb = qb, qa
    across = qa.mT @ qb
    cosine = torch.linalg.svdvals(across).flip(-1)  # ascending: the largest angle first
    sine = torch.linalg.svdvals(qb - qa @ across)
    small = sine.square() < 0.5
    return torch.where(small, sine.clamp(max=1).asin(), cosine.clamp(max=1).acos())


def _orthonormal(x: Tensor, name: str) -> Tensor:
    if x.shape[-1] > x.shape[-2]:
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}: more columns than dimensions are dependent"
        )
    q, values, _ = torch.linalg.svd(x, full_matrices=False)
    rounding = max(x.shape[-2:]) * torch.finfo(x.dtype).eps
    if visible(values) and (values[..., -1] <= rounding * values[..., 0]).any():
        raise ValueError(
            f"{name} has dependent columns: its singular values go down to "
            f"{values.min().item():.4g}; give a basis, such as principal_subspace(x, dim)"
        )
    return q


def _check_matrices(name: str, x: Tensor) -> Tensor:
    check_real(name, x, "... rows columns")
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"{name} has dtype {x.dtype}; give float32 or float64: {name}.double()")
    check_finite(**{name: x})
    return x
