"""Reverse water-filling under perfect realism: the output must have the law of the data."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import visible
from vae_course.distortion.water_filling import WaterFilling, beta_at_rate, check_spectrum

STEPS = 8  # of Newton's method in log beta; six are enough for spectra over twenty decades


def realistic_water_filling(eigenvalues: Float[Tensor, "*batch n"], beta: float) -> WaterFilling:
    r"""Rate and distortion of the best code whose outputs look like the data, from its spectrum.

    .. math:: u_j = \frac{\sqrt{\beta^2 + 16 \lambda_j^2} - \beta}{4 \lambda_j}, \qquad
              \sigma_j^2 = 1 - u_j^2, \qquad
              R_j = -\tfrac12 \log(1 - u_j^2), \qquad
              D = \sum_j 2 \lambda_j (1 - u_j)

    for a Gaussian source, the loss ``squared_error + beta * rate``, and outputs of exactly the
    source's law: a critic at its best cannot tell them apart. On each axis the output has the
    variance of the data and the correlation u with it; u solves
    :math:`\beta u = 2 \lambda (1 - u^2)`. As a linear VAE: the latent of unit variance is the
    output, up to its scale, and σ² its posterior variance. At the same price each axis spends more
    nats than in ``reverse_water_filling``, and none with a variance is ever idle; at the same rate
    the distortion is larger, at most twice as large. :math:`dD/dR = -\beta` along this curve too.

    Args:
        eigenvalues: as in ``reverse_water_filling``, of the covariance or seen through a metric.
        beta: price of a nat in units of squared error, positive and finite.

    Raises:
        ValueError: as ``reverse_water_filling``. TypeError for what is no float tensor.

    float32: relative accuracy 1e-6, of the small rates too; computed in float64 (on "mps" in
    float32). Source: realism as a constraint: Blau and Michaeli 2019, *Rethinking lossy
    compression: the rate-distortion-perception tradeoff*; the formulas derived, chapter 11.
    """
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta={beta}: must be positive and finite (at 0 the rate is infinite)")
    check_spectrum(eigenvalues)
    values = _widened(eigenvalues)
    u, variances, rates = _code(values, torch.full_like(values, beta))
    # 2 lambda (1 - u), without the difference
    distortion = (2 * values * variances / (1 + u)).sum(-1)
    dtype = eigenvalues.dtype
    return WaterFilling(variances.to(dtype), rates.to(dtype), distortion.to(dtype))


def realistic_beta_at_rate(
    eigenvalues: Float[Tensor, "*batch n"], rate: float
) -> Float[Tensor, "*batch"]:
    r"""The price at which the best code of perfect realism spends a given number of nats.

    .. math:: \sum_j R_j(\beta) = R, \qquad
              \frac{dR_j}{d\log\beta} = -\frac{u_j^2}{1 + u_j^2}

    with R_j and u_j of ``realistic_water_filling``: its inverse, by Newton's method on log R over
    log β from the price of ``beta_at_rate``, which is always lower.

    Args:
        eigenvalues: as in ``reverse_water_filling``, in any order; at least one is positive.
        rate: nats, positive and finite.

    Raises:
        ValueError: for what ``beta_at_rate`` refuses, or a rate whose price is below 1e-300.

    float32: relative accuracy 1e-5 for rates from 1e-6 to 100 nats; computed in float64 (on "mps"
    in float32). Source: derived, chapter 11.
    """
    check_spectrum(eigenvalues)
    values = _widened(eigenvalues)
    log_beta = beta_at_rate(values, rate).log().unsqueeze(-1)
    if visible(log_beta) and (log_beta < math.log(1e-300)).any():
        raise ValueError(f"rate={rate}: costs so little a nat that its price is 0 in float64")
    for _ in range(STEPS):
        u, _, rates = _code(values, log_beta.exp().expand_as(values))
        slope = (u.square() / (1 + u.square())).sum(-1, keepdim=True)
        total = rates.sum(-1, keepdim=True)
        log_beta = log_beta + total / slope * (total / rate).log()
    return log_beta.squeeze(-1).exp().to(eigenvalues.dtype)


def _widened(eigenvalues: Tensor) -> Tensor:
    """In float64 where the device has it: Apple's GPUs have none."""
    return eigenvalues if eigenvalues.device.type == "mps" else eigenvalues.double()


def _code(values: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Correlation, posterior variance and nats of each axis, in forms without a difference."""
    quarter = beta / 4
    whole = quarter + torch.hypot(quarter, values)
    u = values / whole
    return u, 2 * quarter / whole, (values * u / (2 * quarter)).log1p() / 2
