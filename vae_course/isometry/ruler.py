"""Sigma as a ruler: how long a latent step is, and how much of the data each latent carries."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vae_course.arguments import (
    check_alike,
    check_finite,
    check_number,
    check_real,
    check_values,
    check_whole,
)
from vae_course.isometry.decoder import Decoder, check_codes
from vae_course.isometry.jacobian import squared_lengths
from vae_course.isometry.metrics import Metric
from vae_course.spd.precision import full_precision


@full_precision
def isometricity(
    decoder: Decoder,
    mu: Float[Tensor, "batch *code"],
    sigma: Float[Tensor, "batch *code"],
    beta: float,
    metric: Metric | Tensor | None = None,
    *,
    chunk: int | None = None,
) -> Float[Tensor, "batch *code"]:
    r"""Squared length, in data space, of a step of one posterior standard deviation.

    .. math:: \frac2\beta\, \sigma_j^2\, J_j^\top G J_j \simeq 1 - \sigma_j^2

    in units of β/2. At the minimum of ``D + beta * KL``, to second order in σ, it is 1 - σ² for
    every unit: close to 1 for units in use, 0 for collapsed ones. ``price_isometricity`` is the
    form without "to second order". Long codes, such as images, make no d x d matrix; for some
    coordinates only, ``diagonal`` gives :math:`J_j^\top G J_j`.

    Args:
        decoder: as in ``jacobian``.
        mu: centres of the balls, (batch, d) or (batch, \*code), where the Jacobian is taken.
        sigma: their standard deviations, the same shape, positive.
        beta: price of a nat in the distortion's unit, positive.
        metric: the distortion's quadratic form, as in ``pullback_metric``.
        chunk: as in ``jacobian``.

    Raises as ``pullback_metric``; ValueError too for shapes that differ, or a sigma or beta that is
    not positive and finite. A measure: not for ``torch.func``, ``torch.compile`` or
    ``torch.export``. float32: relative error 1e-4. Source: Nakagawa, Kato, Suzuki 2021; the
    correction -σ² is derived in chapter 06.
    """
    beta = check_code(mu, sigma, beta)
    squared_length = squared_lengths(decoder, mu, metric, chunk=chunk)
    return 2 / beta * sigma.detach().square() * squared_length


def isometric_coordinates(
    mu: Float[Tensor, "*batch_n_code"],
    sigma: Float[Tensor, "*batch_n_code"],
    beta: float,
    *,
    code_ndim: int = 1,
) -> Float[Tensor, "*batch_n_code"]:
    r"""Latents re-scaled so that a step has its length in data space, unit by unit.

    .. math:: \mathrm dy_j = \sqrt{\beta/2}\; \frac{\mathrm d\mu_j}{\sigma_j}, \qquad
              \langle y_j \rangle = 0

    for mu and sigma (\*batch, N, \*code) with ``code_ndim`` as in ``importance``. Integrated along
    each unit by the trapezoid rule over the N codes sorted by that unit, in float64; returned in
    the codes' order, unit and dtype, with mean zero. Monotone in mu. It is a *global* coordinate
    only if :math:`\sigma_j` depends on :math:`\mu_j` alone; otherwise it averages over the other
    units. A collapsed unit gets its little spread of mu, not 0.

    Raises as ``importance``, and ValueError for a mu that is not finite or of another shape. A
    measure: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: Nakagawa, Kato, Suzuki 2021; derived in chapter 06.
    """
    beta = check_code(mu, sigma, beta, code_ndim)
    code = mu.shape[-code_ndim:]
    mu, sigma = mu.flatten(-code_ndim), sigma.flatten(-code_ndim)
    order = mu.argsort(dim=-2)
    sorted_mu, slope = (
        t.detach().double().gather(-2, order) for t in (mu, math.sqrt(beta / 2) / sigma.double())
    )
    steps = sorted_mu.diff(dim=-2) * (slope[..., 1:, :] + slope[..., :-1, :]) / 2
    y = torch.cat([torch.zeros_like(steps[..., :1, :]), steps.cumsum(-2)], -2)
    y = y - y.mean(-2, keepdim=True)
    return torch.empty_like(y).scatter_(-2, order, y).to(mu.dtype).unflatten(-1, code)


class Importance(NamedTuple):
    """Bounds on the variance of the data along each latent, in the distortion's unit."""

    upper: Float[Tensor, "*batch_code"]
    r"""Poincaré's bound, :math:`\frac\beta2 E[\sigma_j^{-2}]`, the importance of the paper."""
    lower: Float[Tensor, "*batch_code"]
    r"""The first Hermite coefficient squared, :math:`\frac\beta2 (E[\sigma_j^{-1}])^2`."""


def importance(
    sigma: Float[Tensor, "*batch_n_code"], beta: float, *, code_ndim: int = 1
) -> Importance:
    r"""How much of the data's variance each latent carries, like the eigenvalues of PCA.

    .. math:: \tfrac\beta2 \big(E\,\sigma_j^{-1}\big)^2 \le \mathrm{Var}(y_j)
              \le \tfrac\beta2 E\,\sigma_j^{-2}

    where y is the isometric coordinate; equal when :math:`\sigma_j` is the same everywhere, which
    means that y is Gaussian. E is the mean over the N codes, and stands for the mean over the
    prior. A collapsed unit (σ = 1) reports β/2, not 0. Means are taken in float64.

    sigma is (\*batch, N, \*code), and ``code_ndim`` says how many axes a code has: 1 for vectors
    (\*batch, N, d), 3 for images (\*batch, N, C, H, W). The axis before them is averaged over, and
    those before that are an ensemble, each member by itself. The bounds are (\*batch, \*code).

    beta is what a nat costs where training ended. The factor of a constrained objective,
    :math:`\beta |\mathrm{KL} - C|`, is not that price, nor is one that was still being annealed:
    the result is then off by their ratio. ``effective_price`` reads the price from the posterior.

    Raises TypeError for a sigma that is not floating-point, ValueError for one that is not
    (\*batch, N, \*code), positive and finite, or for such a beta. A measure: not for
    ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: upper bound: Nakagawa, Kato, Suzuki 2021; both derived in chapter 06.
    """
    _check_axes("sigma", sigma, code_ndim)
    beta = check_price(beta)
    _check_sigma(sigma)
    inverse = 1 / sigma.detach().double().flatten(-code_ndim)
    upper, lower = beta / 2 * inverse.square().mean(-2), beta / 2 * inverse.mean(-2).square()
    code = sigma.shape[-code_ndim:]
    return Importance(*(bound.to(sigma.dtype).unflatten(-1, code) for bound in (upper, lower)))


def active_units(
    mu: Float[Tensor, "*batch_n_code"],
    sigma: Float[Tensor, "*batch_n_code"],
    threshold: float = 0.01,
    *,
    code_ndim: int = 1,
) -> Bool[Tensor, "*batch_code"]:
    r"""The latents in use: those that spend more than ``threshold`` nats, on average over N codes.

    .. math:: \big\langle \tfrac12(\mu_j^2 + \sigma_j^2 - 1) - \log\sigma_j \big\rangle > t

    for mu and sigma (\*batch, N, \*code) with ``code_ndim`` as in ``importance``: a mask
    (\*batch, \*code).

    Raises as ``isometric_coordinates``, and ValueError for a negative threshold. A measure: not for
    ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: Burda, Grosse, Salakhutdinov 2016 count by the variance of mu; the
    rate is the course's choice.
    """
    check_code(mu, sigma, 1.0, code_ndim)
    if check_number("threshold", threshold) < 0:
        raise ValueError(f"threshold must not be negative, got {threshold} nats")
    mu, sigma = mu.detach().double(), sigma.detach().double()
    rate = (mu.square() + sigma.square() - 1) / 2 - sigma.log()
    return rate.mean(-1 - code_ndim) > threshold


def check_price(beta: float) -> float:
    """beta as a float; TypeError or ValueError unless it is a positive number."""
    if not (number := check_number("beta", beta)) > 0:
        raise ValueError(f"beta={beta}: must be positive and finite")
    return number


def check_code(mu: Tensor, sigma: Tensor, beta: float, code_ndim: int | None = None) -> float:
    """beta as a float; raises unless mu and sigma are balls and beta is a price.

    Balls are (batch, *code), or (*batch, N, *code) if ``code_ndim`` says what is the code.
    """
    price = check_price(beta)
    shape = "(batch, *code)" if code_ndim is None else "(..., N, *code)"
    for name, value in (("mu", mu), ("sigma", sigma)):
        if code_ndim is not None:
            _check_axes(name, value, code_ndim)
        elif check_real(name, value).ndim < 2:
            check_codes(name, value)
    check_alike(mu=mu, sigma=sigma)
    if mu.shape != sigma.shape:
        raise ValueError(
            f"mu has shape {tuple(mu.shape)}, sigma {tuple(sigma.shape)}: both must be {shape}, "
            "the same"
        )
    check_finite(mu=mu)
    _check_sigma(sigma)
    return price


def _check_axes(name: str, value: Tensor, code_ndim: int) -> None:
    """Raises unless the tensor is (*batch, N, *code) with codes of that many axes."""
    if check_whole("code_ndim", code_ndim) == 1:
        check_real(name, value, "... N d")
    elif check_real(name, value).ndim <= code_ndim:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}: with code_ndim={code_ndim} it must be "
            f"(..., N, *code), {code_ndim + 1} axes or more"
        )


def _check_sigma(sigma: Tensor) -> None:
    check_values(
        "sigma", sigma, lambda s: s.isfinite() & (s > 0), "positive and finite",
        "it is the standard deviation, not its log",
    )  # fmt: skip
