"""Reverse water-filling: how much distortion a price beta buys where all is linear."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_real, visible


class WaterFilling(NamedTuple):
    """What the best linear VAE does with each principal axis at one price of a nat."""

    variances: Float[Tensor, "*batch n"]
    """Posterior variance of the latent of each axis, 1 where it is not worth coding."""
    rates: Float[Tensor, "*batch n"]
    """Nats spent on each axis, the mean KL of its latent; their sum is the rate."""
    distortion: Float[Tensor, "*batch"]
    """Squared error that is left, the sum over the axes."""


def reverse_water_filling(eigenvalues: Float[Tensor, "*batch n"], beta: float) -> WaterFilling:
    r"""Rate and distortion of the optimal linear VAE, from the spectrum of its data.

    .. math:: \sigma_j^2 = \min\!\Big(1, \frac{\beta/2}{\lambda_j}\Big), \qquad
              R_j = \tfrac12 \log \max\!\Big(1, \frac{\lambda_j}{\beta/2}\Big), \qquad
              D = \sum_j \min(\lambda_j, \beta/2)

    for the loss ``squared_error + beta * KL``: water stands β/2 deep, and an axis whose variance
    does not reach above it is not coded. :math:`dD/dR = -\beta` along the curve, and everything
    has collapsed from :math:`\beta_c = 2 \lambda_{\max}` on. It is also the rate-distortion
    function of a Gaussian source: no other code is better at it. For another quadratic distortion
    the eigenvalues of ``metric_spectrum`` take the place of the covariance's.

    Args:
        eigenvalues: of the data's covariance, in any order, finite and not negative; in the
            pixels' unit squared. With d latents pass the d largest, and add the sum of the others
            to the distortion.
        beta: price of a nat in units of squared error, positive and finite. At 0 the rate is
            infinite.

    Raises:
        ValueError: for eigenvalues that are negative, not finite or none at all (rounding makes
            small ones negative: ``clamp_min(0)``; looked at in eager mode only), or a beta out of
            range. TypeError for what is no float tensor.

    float32: relative accuracy 1e-6, rates absolute 1e-6. Source: Cover and Thomas 2006, theorem
    10.3.3; as a linear VAE: Lucas et al. 2019, *Don't blame the ELBO!*.
    """
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta={beta}: must be positive and finite (at 0 the rate is infinite)")
    check_spectrum(eigenvalues)
    level = beta / 2
    coded = eigenvalues > level
    # By roots: the ratio itself overflows float32 for eigenvalues of 1e38 or prices of 1e-38.
    root = torch.where(coded, torch.where(coded, eigenvalues, 1).sqrt() / math.sqrt(level), 1)
    return WaterFilling(root**-2, root.log(), eigenvalues.clamp_max(level).sum(-1))


def rate_at_beta(eigenvalues: Float[Tensor, "*batch n"], beta: float) -> Float[Tensor, "*batch"]:
    r"""Nats that the optimal linear VAE spends at a price, from the spectrum it sees.

    .. math:: R(\beta) = \tfrac12 \sum_j \log^+ \frac{2 \lambda_j}{\beta}

    the sum of ``reverse_water_filling``'s rates. The eigenvalues are those of the data's covariance
    for squared error, or seen through a metric (``metric_spectrum``). It grows with each
    eigenvalue, so a metric that is smaller in every direction never costs more at the same β.

    Arguments, errors and accuracy as in ``reverse_water_filling``; same source.
    """
    return reverse_water_filling(eigenvalues, beta).rates.sum(-1)


def beta_at_rate(eigenvalues: Float[Tensor, "*batch n"], rate: float) -> Float[Tensor, "*batch"]:
    r"""The price at which the optimal linear VAE spends a given number of nats.

    .. math:: \beta = 2 \exp\!\Big(\frac1k \Big(\sum_{j \le k} \log \lambda_j - 2R\Big)\Big)

    the inverse of ``rate_at_beta``, where k of the axes, the largest, stand above the water: what
    matching two metrics by rate means in theory.

    Args:
        eigenvalues: as in ``reverse_water_filling``, in any order; at least one is positive.
        rate: nats, positive and finite.

    Raises:
        ValueError: for a spectrum that ``reverse_water_filling`` refuses or that is all zero, or a
            rate out of range.

    float32: relative accuracy 1e-5 for rates up to 100 nats. Source: derived, chapter 11.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate={rate}: must be positive and finite (any beta_c and more gives 0)")
    check_spectrum(eigenvalues)
    if visible(eigenvalues) and not (eigenvalues > 0).any(-1).all():
        raise ValueError("eigenvalues are all 0: there is nothing to spend a rate on")
    logs = eigenvalues.sort(descending=True).values.log()
    k = torch.arange(1, logs.shape[-1] + 1, dtype=logs.dtype, device=logs.device)
    # The log of the water's level if the k largest are coded. It rises with k as long as the next
    # axis stands above it, and falls from there on: the right k is where it is highest.
    levels = (logs.cumsum(-1) - 2 * rate) / k
    return 2 * levels.amax(-1).exp()


def check_spectrum(eigenvalues: Tensor) -> None:
    """Raise unless eigenvalues are floats (..., n) and, in eager mode, finite and not negative."""
    check_real("eigenvalues", eigenvalues)
    if eigenvalues.ndim < 1:
        raise ValueError(
            f"eigenvalues has shape {tuple(eigenvalues.shape)}: give at least one, as (..., n)"
        )
    if visible(eigenvalues) and not (eigenvalues.isfinite() & (eigenvalues >= 0)).all():
        raise ValueError(
            f"eigenvalues lie in [{eigenvalues.min():.4g}, {eigenvalues.max():.4g}]: a covariance "
            "has finite ones that are not negative; clamp_min(0) removes the rounding"
        )
