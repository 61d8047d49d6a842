"""One ball against another: Kullback-Leibler divergence and Bhattacharyya overlap."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_real, check_tensor, check_values


def check_balls(mu: Tensor, sigma: Tensor, suffix: str = "") -> None:
    """Raises unless the two are tensors that describe balls; values in eager mode only."""
    for name, value in (("mu" + suffix, mu), ("sigma" + suffix, sigma)):
        check_tensor(name, value)
        if not value.is_floating_point():
            raise TypeError(
                f"{name} must hold floating-point numbers, got {value.dtype}: give {name}.float()"
            )
        if name.startswith("sigma"):
            check_values(
                name, value, lambda s: s.isfinite() & (s > 0), "positive and finite",
                "a log sigma needs its exp",
            )  # fmt: skip
        else:
            check_finite(**{name: value})


def _check(values: bool, *balls: tuple[Tensor, Tensor]) -> None:
    """Whether all are tensors that go together; ``check_balls`` too if ``values``."""
    suffixes = "12" if len(balls) > 1 else [""]
    named = {
        name + suffix: value
        for suffix, ball in zip(suffixes, balls, strict=True)
        for name, value in zip(("mu", "sigma"), ball, strict=True)
    }
    for name, value in named.items():
        check_real(name, value, "... d")
    check_alike(**named)
    shapes = {name: tuple(value.shape) for name, value in named.items()}
    try:
        torch.broadcast_shapes(*shapes.values())
        fits = len({shape[-1] for shape in shapes.values()}) == 1
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"shapes must be (..., d), the same d, and broadcast; got {shapes}")
    if values:
        for suffix, ball in zip(suffixes, balls, strict=True):
            check_balls(*ball, suffix)


def _excess(rho: Tensor, s: Tensor) -> Tensor:
    r"""rho^2 - 1 - 2 log rho, given s = rho - 1: relative accuracy also where it vanishes.

    Near rho = 1 the terms cancel to second order. With r = s / (2 + s), log(rho) = 2 artanh(r),
    so s - log(rho) = r (s - 2 r^2 (1/3 + r^2/5 + r^4/7 + ...)), where nothing cancels.
    """
    r = s / (2 + s)
    r2 = r * r
    tail = r2 / 7 + 1 / 5
    if r.dtype == torch.float64:  # r^2 < 1/80: float32 is done after three terms, float64 after 7
        tail = r2 * (r2 * (r2 * (r2 * (r2 / 15 + 1 / 13) + 1 / 11) + 1 / 9) + 1 / 7) + 1 / 5
    near = s * s + 2 * r * (s - 2 * r2 * (r2 * tail + 1 / 3))
    return torch.where(s.abs() < 0.2, near, rho * rho - 1 - 2 * rho.log())


def kl_to_standard_normal(
    mu: Float[Tensor, "*#batch d"], sigma: Float[Tensor, "*#batch d"], *, check: bool = True
) -> Float[Tensor, "*batch"]:
    r"""Rate of a ball: its Kullback-Leibler divergence from the prior, 0 only for the prior itself.

    .. math:: \mathrm{KL} = \tfrac12 \sum_j \big(\mu_j^2 + \sigma_j^2 - 1 - 2\log\sigma_j\big)

    A sum of non-negative terms, each without cancellation: relative error below 2e-6 in float32
    and 1e-14 in float64, however small the divergence (``sigma`` from 1e-18 to 1e18).

    Args:
        mu: centres (\*batch, d), any leading shape; only the last axis is summed over, so that a
            code of another shape, such as (batch, C, H, W), is to be given as ``mu.flatten(1)``.
        sigma: standard deviations, the same shape, positive.
        check: look at the values first, where they can be seen: not under ``torch.func``,
            ``torch.compile`` or ``torch.export``. Switch it off in a training loop on a GPU, where
            each look waits for the device.

    Raises:
        TypeError: what is no floating-point tensor.
        ValueError: a ``sigma`` that is not positive and finite, a ``mu`` that is not finite, an
            empty tensor, or shapes, dtypes or devices that do not go together.

    Source: Kingma and Welling 2014, appendix B.
    """
    _check(check, (mu, sigma))
    return 0.5 * (mu * mu + _excess(sigma, sigma - 1)).sum(-1)


def kl(
    mu1: Float[Tensor, "*#batch d"], sigma1: Float[Tensor, "*#batch d"],
    mu2: Float[Tensor, "*#batch d"], sigma2: Float[Tensor, "*#batch d"],
    *, check: bool = True,
) -> Float[Tensor, "*batch"]:  # fmt: skip
    r"""Kullback-Leibler divergence of the first ball from the second.

    .. math:: \mathrm{KL} = \tfrac12 \sum_j \Big(\rho_j^2 - 1 - 2\log\rho_j
              + \frac{(\mu_{1j} - \mu_{2j})^2}{\sigma_{2j}^2}\Big),
              \qquad \rho_j = \sigma_{1j} / \sigma_{2j}

    Codes, accuracy, ``check`` and errors as in ``kl_to_standard_normal``, for ratios :math:`\rho`
    from 1e-18 to 1e18. Source: standard; derived in chapter 03.
    """
    _check(check, (mu1, sigma1), (mu2, sigma2))
    shift = (mu1 - mu2) / sigma2
    s = (sigma1 - sigma2) / sigma2  # not rho - 1: the difference of near neighbours is exact
    return 0.5 * (shift * shift + _excess(sigma1 / sigma2, s)).sum(-1)


def bhattacharyya_distance(
    mu1: Float[Tensor, "*#batch d"], sigma1: Float[Tensor, "*#batch d"],
    mu2: Float[Tensor, "*#batch d"], sigma2: Float[Tensor, "*#batch d"],
    *, check: bool = True,
) -> Float[Tensor, "*batch"]:  # fmt: skip
    r"""Minus the log of the overlap: 0 when the balls are equal, and never too small to tell.

    .. math:: -\log\mathrm{BC} = \sum_j \tfrac12 \log\Big(1 + \frac{(\sigma_{1j} -
              \sigma_{2j})^2}{2\sigma_{1j}\sigma_{2j}}\Big)
              + \frac{(\mu_{1j} - \mu_{2j})^2}{4(\sigma_{1j}^2 + \sigma_{2j}^2)}

    Relative error below 2e-6 in float32, for ``sigma`` from 1e-18 to 1e18; there gradients too are
    right wherever float32 can write them. Arguments and errors as in ``kl``.
    Source: Bhattacharyya 1943; this form derived in chapter 04.
    """
    _check(check, (mu1, sigma1), (mu2, sigma2))
    spread = sigma1 - sigma2
    shift = (mu1 - mu2) / torch.hypot(sigma1, sigma2)
    # Times the reciprocals: the derivative of a quotient of 1e36 by 1e-18 would overflow.
    apart = spread * sigma1.reciprocal() * (spread * sigma2.reciprocal())
    per_dim = 0.5 * torch.log1p(apart / 2) + shift * shift / 4
    return per_dim.sum(-1)


def bhattacharyya(
    mu1: Float[Tensor, "*#batch d"], sigma1: Float[Tensor, "*#batch d"],
    mu2: Float[Tensor, "*#batch d"], sigma2: Float[Tensor, "*#batch d"],
    *, check: bool = True,
) -> Float[Tensor, "*batch"]:  # fmt: skip
    r"""Overlap of two balls: the Bhattacharyya coefficient, 1 when equal, 0 when disjoint.

    .. math:: \mathrm{BC} = \prod_j \sqrt{\tfrac{2\sigma_{1j}\sigma_{2j}}{v_j}}
              \exp\!\Big(-\frac{(\mu_{1j}-\mu_{2j})^2}{4 v_j}\Big),
              \qquad v_j = \sigma_{1j}^2 + \sigma_{2j}^2

    The exponential of minus ``bhattacharyya_distance``, so 500 dimensions neither underflow early
    nor lose digits: relative error below 2e-6 (1 - log BC) in float32, zero below 1e-45. Touching
    balls (distance :math:`2\sigma\sqrt d`) overlap by only :math:`e^{-d/2}`: see chapter 04.
    Arguments and errors as in ``kl``. Source: Bhattacharyya 1943.
    """
    return (-bhattacharyya_distance(mu1, sigma1, mu2, sigma2, check=check)).exp()
