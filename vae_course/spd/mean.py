"""The mean of covariance matrices, as each distance sees it."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_number, check_real, check_values, visible
from vae_course.spd.geodesic import check_name, symmetrised
from vae_course.spd.matrix_functions import (
    definite,
    matrix_exp,
    matrix_log,
    matrix_sqrt,
    semidefinite,
    symmetric,
)
from vae_course.spd.precision import full_precision


@full_precision
def mean(
    s: Float[Tensor, "*batch N n n"],
    metric: str,
    weights: Float[Tensor, "*#batch N"] | None = None,
    *,
    iterations: int = 200,
    tolerance: float | None = None,
) -> Float[Tensor, "*batch n n"]:
    r"""The Fréchet mean of N matrices: the point with the smallest mean squared distance to them.

    .. math:: \operatorname*{arg\,min}_M \sum_i w_i\, d^2(M, S_i)

    Log-Euclidean: :math:`\exp \sum_i w_i \log S_i`. The other two are unique too, and found by
    following the gradient, which vanishes at

    .. math:: \begin{aligned}
              \text{affine-invariant}&: \sum_i w_i \log(M^{-1/2} S_i M^{-1/2}) = 0 \\
              \text{Bures}&: \sum_i w_i\, M^{-1/2} (M^{1/2} S_i M^{1/2})^{1/2} M^{-1/2} = I
              \end{aligned}

    Of two matrices it is the middle of their ``geodesic``.

    Args:
        s: definite matrices; for ``"bures"`` one at least, the others semi-definite.
        metric: ``"log_euclidean"``, ``"affine_invariant"`` or ``"bures"``.
        weights: not negative, in any unit: they are divided by their sum. Equal if None.
        iterations: at most. Under ``torch.func``, ``torch.compile`` and ``torch.export``, where
            nothing can be looked at, exactly: then 20 are usually enough.
        tolerance: largest entry of the gradient at which the mean counts as found; eps^0.6 if
            None (float64: 4e-10; float32: 7e-5).

    Differentiable, through the iterations. ValueError as the metric's distance, and for weights
    that are negative or sum to 0; RuntimeError if it has not been found, as for condition numbers
    beyond 1 / (eps^0.4). Source: Arsigny et al. 2006; Bini and Iannazzo 2013 (the step);
    Álvarez-Esteban, del Barrio, Cuesta-Albertos and Matrán 2016.
    """
    check_name(metric)
    s = symmetric(s, "s")
    if s.ndim < 3:
        raise ValueError(f"s has shape {tuple(s.shape)}: give matrices (*batch, N, n, n)")
    if check_number("iterations", iterations) not in range(1, 10**6):
        raise ValueError(f"iterations={iterations}: a whole number, 1 or more")
    if tolerance is None:
        tolerance = torch.finfo(s.dtype).eps ** 0.6
    tolerance = check_number("tolerance", tolerance, 0)
    w = _shares(s, weights)
    if metric == "bures":
        _check_one_definite(s, w)
    else:
        definite(s, "s")
    if metric == "log_euclidean":
        return matrix_exp((w * matrix_log(s)).sum(-3))
    step = _towards_affine_mean if metric == "affine_invariant" else _towards_bures_mean
    middle = (w * s).sum(-3) if metric == "bures" else matrix_exp((w * matrix_log(s)).sum(-3))
    before = size = float("inf")
    for _ in range(iterations):
        middle, gradient = step(middle, s, w)
        if visible(gradient):
            before, size = size, gradient.detach().abs().max().item()
            # As near as rounding lets it come: derivatives follow some steps behind.
            if size <= tolerance and size >= 0.95 * before:
                break
    if visible(gradient) and size > tolerance:
        raise RuntimeError(
            f"the {metric} mean was not found: gradient {size:.2g} above {tolerance:.2g} after "
            f"{iterations} iterations; give more, a larger tolerance, matrices in float64, or "
            "better conditioned ones (regularised)"
        )
    return middle


def _shares(s: Tensor, weights: Tensor | None) -> Tensor:
    """The weights as (*batch, N, 1, 1), with sum 1."""
    n = s.shape[-3]
    if weights is None:
        return s.new_full((n, 1, 1), 1 / n)
    check_real("weights", weights, "... N")
    check_alike(s=s, weights=weights)
    try:
        fits = torch.broadcast_shapes(weights.shape, s.shape[:-2]) == s.shape[:-2]
    except RuntimeError:
        fits = False
    if not fits or weights.shape[-1] != n:
        raise ValueError(
            f"weights have shape {tuple(weights.shape)}: for s {tuple(s.shape)} give one number "
            f"for each matrix, ({n},) or {tuple(s.shape[:-2])}"
        )
    check_values("weights", weights, lambda w: w.isfinite() & (w >= 0), "finite and 0 or more")
    total = weights.sum(-1, keepdim=True)
    check_values("the sum of weights", total, lambda w: w > 0, "greater than 0")
    return (weights / total)[..., None, None]


def _check_one_definite(s: Tensor, w: Tensor) -> None:
    values, _, rounding = semidefinite(s, "s")
    counts = (values[..., :1] > rounding) & (w[..., 0] > 0)
    if visible(s) and not counts.any(-2).all():
        raise ValueError(
            "s holds no definite matrix of positive weight: its bures mean may be singular, and is "
            "not found; make one definite, such as regularised(s, 1e-2)"
        )


def _roots(middle: Tensor) -> tuple[Tensor, Tensor]:
    root = matrix_sqrt(middle)[..., None, :, :]
    return root, torch.linalg.inv(root)


def _towards_affine_mean(middle: Tensor, s: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    root, inverse = _roots(middle)
    seen = symmetrised(inverse @ s @ inverse)
    gradient = (w * matrix_log(seen)).sum(-3)
    # Along a path the second derivative of d²/2 lies between 1 and δ/2 coth δ/2, δ the log of the
    # condition number: the step that is best for both ends.
    ends = torch.linalg.eigvalsh(seen.detach())
    half = ((ends[..., -1] / ends[..., 0]).log() / 2).clamp_min(1e-3)
    steepest = (w[..., 0, 0] * half / half.tanh()).sum(-1)[..., None, None]
    step = matrix_exp(2 / (1 + steepest) * symmetrised(gradient))
    moved = root[..., 0, :, :] @ step @ root[..., 0, :, :]
    return symmetrised(moved), gradient


def _towards_bures_mean(middle: Tensor, s: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    root, inverse = _roots(middle)
    inner = matrix_sqrt(symmetrised(root @ s @ root))
    transport = (w * (inverse @ inner @ inverse)).sum(-3)
    eye = torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)
    return symmetrised(transport @ middle @ transport.mT), transport - eye
