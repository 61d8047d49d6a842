"""The toy of chapters 06 and 07: three known factors, an isometric map, and so a known density."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# A factor is a Gaussian mixture (weights, means, standard deviations) or the name of a shape with
# hard edges. All have mean 0.
Factor = str | tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]

VARIANCES = (1 / 6, 2 / 3, 8 / 3)
EDGE = math.sqrt(8)  # uniform on [-EDGE, EDGE] has variance 8/3
HUMP = math.sqrt(5 / 12)  # ½N(±HUMP, ½²) has variance 2/3
TAIL = math.sqrt((8 / 3 - 0.7 * (0.8**2 + 0.8**2)) / 0.3 - (28 / 15) ** 2)  # 8/3 in all

_TWO_HUMPS: Factor = ((0.5, 0.5), (-HUMP, HUMP), (0.5, 0.5))
_SKEWED: Factor = ((0.7, 0.3), (-0.8, 28 / 15), (0.8, TAIL))
_GAUSSIANS: tuple[Factor, ...] = tuple(((1.0,), (0.0,), (math.sqrt(v),)) for v in VARIANCES)

KINDS: dict[str, tuple[Factor, ...]] = {
    "A": ("triangular", _TWO_HUMPS, "uniform"),
    "B": (_GAUSSIANS[0], _TWO_HUMPS, _SKEWED),
    "G": _GAUSSIANS,
}


def log_density(s: Float[Tensor, "*batch 3"], kind: str = "B") -> Float[Tensor, "*batch"]:
    r"""Log density of the toy's factors, in nats; ``-inf`` outside their support.

    .. math:: \log p(s) = \sum_{j=1}^3 \log p_j(s_j), \qquad
              \mathrm{Var}(s) = (\tfrac16, \tfrac23, \tfrac83)

    As x = A s with orthonormal columns keeps volumes, it is also the log density of x with respect
    to 3-dimensional volume on the image of A. The kinds:

    * ``"B"``, smooth: Gaussian; ½N(±0.6455, 0.5²); 0.7 N(-0.8, 0.8²) + 0.3 N(1.8667, 1.5549²)
    * ``"A"``, hard edges: triangular on [-1, 1]; as in B; uniform on [-√8, √8]
    * ``"G"``: all Gaussian

    In float32 within 1e-5 of the value's size plus one, to ``|s|`` of 100.

    Source: variances as in Nakagawa, Kato, Suzuki 2021; the shapes are the course's own.

    Raises:
        ValueError: For an unknown kind or a non-finite s.
    """
    factors = _factors(kind)
    if not s.isfinite().all():
        raise ValueError("s must be finite; it holds NaN or infinity")
    return torch.stack([_log_density(s[..., j], f) for j, f in enumerate(factors)]).sum(0)


def weight(x: Float[Tensor, "batch m"], slope: float = 2 / 21) -> Float[Tensor, "batch"]:
    r"""A price of squared error that rises away from the origin, 1 on average over the toy.

    .. math:: a_x = 1 + c \,\big(\|x\|^2 - \tfrac72\big), \qquad E\|x\|^2 = \tfrac72

    ``slope`` is c; 2/21 makes it 2/3 + 2‖x‖²/21. For ``isometry.metric_scaled``.

    Source: derived, see chapter 07. Raises ValueError for a slope outside [0, 2/7), which would
    make the price negative at the origin or fall.
    """
    if not 0 <= slope < 1 / sum(VARIANCES):
        raise ValueError(f"slope={slope}: must be in [0, 2/7), so that the weight is positive")
    return 1 + slope * (x.square().sum(1) - sum(VARIANCES))


def weighted_error(
    x: Float[Tensor, "batch m"], x_hat: Float[Tensor, "batch m"], slope: float = 2 / 21
) -> Float[Tensor, "batch"]:
    r"""Squared error at the price of the place: a distortion whose metric is not the identity.

    .. math:: D(x, \hat x) = a_x \|x - \hat x\|^2

    with ``weight`` for a. For other slopes train on ``functools.partial(weighted_error, slope=c)``.
    Source: derived, see chapter 07.
    """
    return weight(x, slope) * (x_hat - x).square().sum(1)


def draw(n: int, kind: str, random: np.random.RandomState) -> np.ndarray:
    """Draws n independent triples of factors: float64, (n, 3); kinds as in ``log_density``."""
    # RandomState, as NumPy's policy keeps its streams for good: the toy stays the same data set.
    return np.stack([_draw(n, factor, random) for factor in _factors(kind)], -1)


def orthonormal_map(dim: int, random: np.random.RandomState) -> np.ndarray:
    """A uniformly random isometry from 3 to ``dim`` ≥ 3 dimensions: float64, (dim, 3), AᵀA = I."""
    if dim < 3:
        raise ValueError(f"dim is {dim}: three orthonormal columns need at least 3")
    q, r = np.linalg.qr(random.standard_normal((dim, 3)))
    # LAPACKs differ in the signs of q; a positive diagonal of r settles them, and makes q uniform.
    return q * np.sign(r.diagonal())


def _factors(kind: str) -> tuple[Factor, ...]:
    if kind not in KINDS:
        raise ValueError(f"unknown kind of toy {kind!r}: there is {', '.join(KINDS)}")
    return KINDS[kind]


def _log_density(s: Tensor, factor: Factor) -> Tensor:
    if factor == "triangular":
        return (1 - s.abs()).clamp(min=0).log()
    if factor == "uniform":
        inside = torch.full_like(s, -math.log(2 * EDGE))
        return inside.where(s.abs() <= EDGE, -torch.inf)
    weights, means, stds = (s.new_tensor(numbers) for numbers in factor)
    z = (s.unsqueeze(-1) - means) / stds
    return ((weights / stds).log() - z.square() / 2).logsumexp(-1) - math.log(2 * math.pi) / 2


def _draw(n: int, factor: Factor, random: np.random.RandomState) -> np.ndarray:
    if factor == "triangular":
        return random.random_sample(n) + random.random_sample(n) - 1
    if factor == "uniform":
        return EDGE * (2 * random.random_sample(n) - 1)
    weights, means, stds = (np.array(numbers) for numbers in factor)
    component = np.searchsorted(weights.cumsum()[:-1], random.random_sample(n), side="right")
    return means[component] + stds[component] * random.standard_normal(n)
