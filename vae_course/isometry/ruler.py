"""Sigma as a ruler: how long a latent step is, and how much of the data each latent carries."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vae_course.distortion import Distortion, squared_error
from vae_course.gaussian.divergence import check_balls
from vae_course.isometry.jacobian import (
    Decoder,
    check_decoder,
    pullback_metric,
)
from vae_course.isometry.metrics import Metric


def isometricity(
    decoder: Decoder,
    mu: Float[Tensor, "batch d"],
    sigma: Float[Tensor, "batch d"],
    beta: float,
    metric: Metric | Tensor | None = None,
    *,
    chunk: int = 2**10,
) -> Float[Tensor, "batch d"]:
    r"""Squared length, in data space, of a step of one posterior standard deviation.

    .. math:: \frac2\beta\, \sigma_j^2\, J_j^\top G J_j \simeq 1 - \sigma_j^2

    in units of β/2. At the minimum of ``D + beta * KL``, to second order in σ, it is 1 - σ² for
    every unit: close to 1 for units in use, 0 for collapsed ones. ``price_isometricity`` is the
    form without "to second order".

    Args:
        decoder: as in ``jacobian``.
        mu: centres of the balls, (batch, d), where the Jacobian is taken.
        sigma: their standard deviations, the same shape, positive.
        beta: price of a nat in the distortion's unit, positive.
        metric: the distortion's quadratic form, as in ``pullback_metric``.
        chunk: as in ``jacobian``.

    Raises as ``pullback_metric``; ValueError too for shapes that differ, or a sigma or beta that is
    not positive and finite. float32: relative error 1e-4. Source: Nakagawa, Kato, Suzuki 2021;
    the correction -σ² is derived in chapter 06.
    """
    check_code(mu, sigma, beta)
    squared_length = pullback_metric(decoder, mu, metric, chunk=chunk).diagonal(dim1=1, dim2=2)
    return 2 / beta * sigma.detach().square() * squared_length


def price_isometricity(
    decoder: Decoder,
    x: Float[Tensor, "batch *image"],
    mu: Float[Tensor, "batch d"],
    sigma: Float[Tensor, "batch d"],
    beta: float,
    *,
    distortion: Distortion = squared_error,
    draws: int = 64,
    seed: int = 0,
    chunk: int = 2**11,
) -> Float[Tensor, "batch d"]:
    r"""Isometricity that holds for balls of any size: 1 - σ², exactly, where σ is optimal.

    .. math:: \frac2\beta\, \sigma_j^2 \cdot \tfrac12\, E_q\,\partial_{z_j}^2 D(x, \hat x(z))
              = \frac1\beta\, E\big[\sigma_j \varepsilon_j\, \partial_{z_j} D\big],
              \qquad z = \mu + \sigma\varepsilon

    The right-hand side is what is computed (Stein's lemma): it asks for first derivatives only,
    and so it is right for decoders with kinks too. Each draw is used with its mirror image, and
    the mean is taken as a ratio to that of ε², freed of its bias by the jackknife: of the draws'
    own randomness nothing is left where D is quadratic along each axis.

    Args:
        decoder: as in ``jacobian``; here it must let gradients through (no ``no_grad`` inside).
        x: the images that the balls belong to.
        mu: centres, (batch, d).
        sigma: standard deviations, the same shape, positive.
        beta: price of a nat in the distortion's unit, positive.
        distortion: of x and the decoder's output: for a ``bernoulli`` model pass ``model.decoder``
            and ``bernoulli``.
        draws: pairs of mirrored draws a ball, at least 2. The error of one value falls as
            1 / sqrt(draws), that of a mean over the batch as 1 / sqrt(draws x batch).
        seed: of the draws.
        chunk: decoded points held at once.

    Raises ValueError as ``isometricity``, for fewer than 2 draws, lengths of x and mu that differ,
    a distortion that is not (batch,) or not finite, or a decoder that blocks gradients.
    Source: Price 1958; Stein 1981; derived in chapter 06.
    """
    check_code(mu, sigma, beta)
    check_decoder(decoder)
    if len(x) != len(mu):
        raise ValueError(f"x holds {len(x)} images, mu {len(mu)} codes: give each image its code")
    if draws < 2 or chunk < 1:
        raise ValueError(f"draws must be at least 2 and chunk at least 1, got {draws} and {chunk}")
    mu, sigma = mu.detach(), sigma.detach()
    generator = torch.Generator().manual_seed(seed)
    products, squares = [], []
    for _ in range(draws):
        eps = torch.randn(mu.shape, generator=generator, dtype=mu.dtype).to(mu.device)
        step = sigma * eps
        up, down = (_gradient(decoder, x, mu + s * step, distortion, chunk) for s in (1, -1))
        products.append(step * (up - down) / 2)
        squares.append(eps.square())
    # (draws, batch, d). In float64: leaving one out must not cancel where one draw is most of all.
    product, square = torch.stack(products).double(), torch.stack(squares).double()
    total, weight = product.sum(0), square.sum(0)
    without_one = (total - product) / (weight - square)
    value = (draws * total / weight - (draws - 1) * without_one.mean(0)) / beta
    return value.to(mu.dtype)


def isometric_coordinates(
    mu: Float[Tensor, "*batch n d"], sigma: Float[Tensor, "*batch n d"], beta: float
) -> Float[Tensor, "*batch n d"]:
    r"""Latents re-scaled so that a step has its length in data space, unit by unit.

    .. math:: \mathrm dy_j = \sqrt{\beta/2}\; \frac{\mathrm d\mu_j}{\sigma_j}, \qquad
              \langle y_j \rangle = 0

    Integrated along each unit by the trapezoid rule over the N codes sorted by that unit, in
    float64; returned in the codes' order, unit and dtype, with mean zero. Monotone in mu. It is a
    *global* coordinate only if :math:`\sigma_j` depends on :math:`\mu_j` alone; otherwise it
    averages over the other units. A collapsed unit gets its little spread of mu, not 0.

    Raises as ``importance``, and ValueError for a mu that is not finite or of another shape.
    Source: Nakagawa, Kato, Suzuki 2021; derived in chapter 06.
    """
    check_code(mu, sigma, beta, least_dims=2)
    order = mu.argsort(dim=-2)
    sorted_mu, slope = (
        t.detach().double().gather(-2, order) for t in (mu, math.sqrt(beta / 2) / sigma.double())
    )
    steps = sorted_mu.diff(dim=-2) * (slope[..., 1:, :] + slope[..., :-1, :]) / 2
    y = torch.cat([torch.zeros_like(steps[..., :1, :]), steps.cumsum(-2)], -2)
    y = y - y.mean(-2, keepdim=True)
    return torch.empty_like(y).scatter_(-2, order, y).to(mu.dtype)


class Importance(NamedTuple):
    """Bounds on the variance of the data along each latent, in the distortion's unit."""

    upper: Float[Tensor, "*batch d"]
    r"""Poincaré's bound, :math:`\frac\beta2 E[\sigma_j^{-2}]`, the importance of the paper."""
    lower: Float[Tensor, "*batch d"]
    r"""The first Hermite coefficient squared, :math:`\frac\beta2 (E[\sigma_j^{-1}])^2`."""


def importance(sigma: Float[Tensor, "*batch n d"], beta: float) -> Importance:
    r"""How much of the data's variance each latent carries, like the eigenvalues of PCA.

    .. math:: \tfrac\beta2 \big(E\,\sigma_j^{-1}\big)^2 \le \mathrm{Var}(y_j)
              \le \tfrac\beta2 E\,\sigma_j^{-2}

    where y is the isometric coordinate; equal when :math:`\sigma_j` is the same everywhere, which
    means that y is Gaussian. E is the mean over the N codes, and stands for the mean over the
    prior. A collapsed unit (σ = 1) reports β/2, not 0. Means are taken in float64.

    Raises TypeError for a sigma that is not floating-point, ValueError for one that is not
    (\*batch, N, d), positive and finite, or for such a beta.
    Source: upper bound: Nakagawa, Kato, Suzuki 2021; both derived in chapter 06.
    """
    check_code(sigma, sigma, beta, least_dims=2)
    inverse = 1 / sigma.detach().double()
    upper, lower = beta / 2 * inverse.square().mean(-2), beta / 2 * inverse.mean(-2).square()
    return Importance(upper.to(sigma.dtype), lower.to(sigma.dtype))


def active_units(
    mu: Float[Tensor, "*batch n d"], sigma: Float[Tensor, "*batch n d"], threshold: float = 0.01
) -> Bool[Tensor, "*batch d"]:
    r"""The latents in use: those that spend more than ``threshold`` nats, on average over N codes.

    .. math:: \big\langle \tfrac12(\mu_j^2 + \sigma_j^2 - 1) - \log\sigma_j \big\rangle > t

    Raises as ``isometric_coordinates``. Source: Burda, Grosse, Salakhutdinov 2016 count by the
    variance of mu; the rate is the course's choice.
    """
    check_code(mu, sigma, 1.0, least_dims=2)
    mu, sigma = mu.detach().double(), sigma.detach().double()
    rate = (mu.square() + sigma.square() - 1) / 2 - sigma.log()
    return rate.mean(-2) > threshold


def check_code(mu: Tensor, sigma: Tensor, beta: float, least_dims: int = 1) -> None:
    """Raises unless mu and sigma are balls, (..., d), and beta is positive."""
    if not (math.isfinite(beta) and beta > 0):
        raise ValueError(f"beta={beta}: must be positive and finite")
    if mu.shape != sigma.shape or mu.ndim < least_dims or 0 in mu.shape:
        raise ValueError(
            f"mu has shape {tuple(mu.shape)}, sigma {tuple(sigma.shape)}: both must be "
            + ("(*batch, N, d)" if least_dims > 1 else "(*batch, d)")
            + ", the same, and none of them 0"
        )
    check_balls(mu, sigma)


def _gradient(decoder: Decoder, x: Tensor, z: Tensor, distortion: Distortion, chunk: int) -> Tensor:
    """Gradient of the distortion by z, (batch, d)."""
    parts = []
    for images, codes in zip(x.detach().split(chunk), z.split(chunk), strict=True):
        with torch.enable_grad():
            codes = codes.detach().requires_grad_()
            value = distortion(images, decoder(codes))
        if value.shape != codes.shape[:1]:
            raise ValueError(
                f"distortion gave shape {tuple(value.shape)}; it must give ({len(codes)},), one "
                "value for each image"
            )
        gradient = None
        if value.requires_grad:
            ones = torch.ones_like(value)
            (gradient,) = torch.autograd.grad(value, codes, ones, allow_unused=True)
        if gradient is None:
            raise ValueError(
                "no gradient from the distortion to z: the decoder or the distortion blocks it by "
                "no_grad or detach"
            )
        if not gradient.isfinite().all():
            raise ValueError("the distortion's gradient is not finite")
        parts.append(gradient)
    return torch.cat(parts)
