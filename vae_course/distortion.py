"""Distortions: how far an image is from its reconstruction, in nats when divided by beta.

A *distortion* is any callable ``(x, output) -> (batch,)`` that compares images with what the
decoder put out, summed over an image and separate for each image of the batch.

``reverse_water_filling`` says how much squared error a price beta buys where all is linear.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Distortion = Callable[[Tensor, Tensor], Tensor]


def squared_error(
    x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"]
) -> Float[Tensor, "batch"]:
    r"""Squared error of each image: a sum over its pixels, without the factor ½.

    .. math:: D(x, \hat x) = \|x - \hat x\|^2

    As the distortion of ``D + beta * KL`` it is a Gaussian decoder of variance β/2. Any real
    values; unit: the square of the pixels' unit. float32: exact to 1e-6 relative up to
    10^5 pixels, overflows to inf beyond differences of 1e19.
    Source: the course's convention; other conventions are a factor in beta away.
    """
    return (x_hat - x).square().flatten(1).sum(1)


def bernoulli(
    x: Float[Tensor, "batch *image"], logits: Float[Tensor, "batch *image"]
) -> Float[Tensor, "batch"]:
    r"""Negative log likelihood, in nats, of images under independent Bernoulli pixels.

    .. math:: D(x, \ell) = -\sum_i x_i \log s(\ell_i) + (1 - x_i) \log(1 - s(\ell_i)),
              \qquad s(\ell) = 1/(1 + e^{-\ell})

    The decoder puts out logits ℓ; the image it means is s(ℓ). Finite for all finite logits.
    Pixels x lie in [0, 1]: grey ones make it a cross-entropy, positive even at s(ℓ) = x; outside
    the interval it is unbounded below, which is not checked here at each step but once by
    ``training.fit``. Source: Kingma and Welling 2014, appendix C.1.
    """
    return binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


NAMED: dict[str, Distortion] = {"squared_error": squared_error, "bernoulli": bernoulli}


def named(name: str) -> Distortion:
    """The distortion of that name; ValueError lists the names there are."""
    if name not in NAMED:
        raise ValueError(
            f"distortion={name!r} is unknown; choose one of {sorted(NAMED)} "
            "or pass a callable (x, output) -> (batch,)"
        )
    return NAMED[name]


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
    function of a Gaussian source: no other code is better at it.

    Args:
        eigenvalues: of the data's covariance, in any order, finite and not negative; in the
            pixels' unit squared. With d latents pass the d largest, and add the sum of the others
            to the distortion.
        beta: price of a nat in units of squared error, positive and finite. At 0 the rate is
            infinite.

    Raises:
        ValueError: for eigenvalues that are negative, not finite or none at all (rounding makes
            small ones negative: ``clamp_min(0)``), or a beta out of range.

    float32: relative accuracy 1e-6, rates absolute 1e-6. Source: Cover and Thomas 2006, theorem
    10.3.3; as a linear VAE: Lucas et al. 2019, *Don't blame the ELBO!*.
    """
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta={beta}: must be positive and finite (at 0 the rate is infinite)")
    if eigenvalues.ndim < 1 or eigenvalues.shape[-1] == 0:
        raise ValueError(
            f"eigenvalues has shape {tuple(eigenvalues.shape)}: give at least one, as (..., n)"
        )
    if not (eigenvalues.isfinite() & (eigenvalues >= 0)).all():
        raise ValueError(
            f"eigenvalues lie in [{eigenvalues.min():.4g}, {eigenvalues.max():.4g}]: a covariance "
            "has finite ones that are not negative; clamp_min(0) removes the rounding"
        )
    level = beta / 2
    ratio = (eigenvalues / level).clamp_min(1)
    return WaterFilling(1 / ratio, 0.5 * ratio.log(), eigenvalues.clamp_max(level).sum(-1))
