"""What a nat costs: the isometricity that holds for any ball, and the price a posterior shows."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_real, check_whole
from vae_course.distortion import Distortion, bernoulli, squared_error
from vae_course.isometry.decoder import Decoder, check_decoder, decode
from vae_course.isometry.forward_mode import joined
from vae_course.isometry.metrics import Metric
from vae_course.isometry.ruler import check_code, isometricity
from vae_course.spd.precision import full_precision


@full_precision
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
        distortion: of x and the decoder's output. ``bernoulli`` takes logits: pass
            ``model.decoder``, not ``model.decode``; for a decoder that ends in a sigmoid pass
            ``lambda x, p: bernoulli(x, p.logit(1e-6))``.
        draws: pairs of mirrored draws a ball, at least 2. The error of one value falls as
            1 / sqrt(draws), that of a mean over the batch as 1 / sqrt(draws x batch).
        seed: of the draws.
        chunk: decoded points held at once.

    Raises as ``isometricity``; ValueError too for fewer than 2 draws, lengths of x and mu that
    differ, ``bernoulli`` of outputs that are no logits (all in [0, 1], some within .02 of an end),
    a distortion that is not (batch,) or not finite, or a decoder that blocks gradients. A measure:
    not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: Price 1958; Stein 1981; derived in chapter 06.
    """
    beta = check_code(mu, sigma, beta, "batch d")
    check_decoder(decoder)
    check_real("x", x)
    check_finite(x=x)
    check_alike(mu=mu, x=x)
    if x.ndim < 2:
        raise ValueError(f"x has shape {tuple(x.shape)}: images are (batch, *image)")
    if not callable(distortion):
        raise TypeError(
            f"distortion must be a callable (x, x_hat) -> (batch,), got {type(distortion).__name__}"
        )
    if len(x) != len(mu):
        raise ValueError(f"x holds {len(x)} images, mu {len(mu)} codes: give each image its code")
    draws, chunk = check_whole("draws", draws, 2), check_whole("chunk", chunk, 1)
    mu, sigma = mu.detach(), sigma.detach()
    if distortion is bernoulli:
        _check_logits(decoder, mu, chunk)
    generator = torch.Generator("cpu").manual_seed(seed)
    products, squares = [], []
    for _ in range(draws):
        eps = torch.randn(mu.shape, generator=generator, dtype=mu.dtype, device="cpu").to(mu)
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


@full_precision
def effective_beta(
    decoder: Decoder,
    mu: Float[Tensor, "batch d"],
    sigma: Float[Tensor, "batch d"],
    metric: Metric | Tensor | None = None,
    *,
    chunk: int | None = None,
) -> Float[Tensor, ""]:
    r"""What a nat has cost, read from a trained posterior: beta, where only the model is known.

    .. math:: \hat\beta = \frac{2 \sum_{x,j} \sigma_j^2\, J_j^\top G J_j}
              {\sum_{x,j} 1 - \sigma_j^2}

    At a minimum of ``D + beta * KL`` each summand above is beta times the one below
    (``isometricity``), collapsed units' are 0 on both sides. So for a constrained objective, such
    as :math:`\beta |\mathrm{KL} - C|`, whose factor is no price, and after annealing. To second
    order in σ, as ``isometricity``; if that, taken at this beta, is not near 1 - σ² unit by unit,
    training has not arrived and there is no one price.

    Arguments and errors as in ``isometricity``; ValueError too for a collapsed posterior, of which
    no unit is narrower than the prior. A measure: not for ``torch.func``, ``torch.compile`` or
    ``torch.export``. Source: derived, from chapter 06's stationarity in σ.
    """
    paid = isometricity(decoder, mu, sigma, 1.0, metric, chunk=chunk).double().sum()
    bought = (1 - sigma.detach().double().square()).sum()
    if not bought > 1e-6 * sigma.numel():
        raise ValueError(
            "sigma is 1 or wider nearly everywhere: the posterior has collapsed (or never left "
            "its start), and no price can be read from it"
        )
    return (paid / bought).to(mu.dtype)


def _check_logits(decoder: Decoder, mu: Tensor, chunk: int) -> None:
    """ValueError for outputs like a sigmoid's: taken for logits they would give a wrong number."""
    with torch.no_grad():
        parts = [decode(decoder, codes) for codes in mu.split(chunk)]
    low, high = (f(torch.stack([f(x) for x in parts])) for f in (torch.amin, torch.amax))
    # Logits of a decoder that knows next to nothing may all lie there too, but not up to the ends.
    if low >= 0 and high <= 1 and (low < 0.02 or high > 0.98):
        raise ValueError(
            f"decoder's outputs lie in [{low.item():.3g}, {high.item():.3g}], like probabilities, "
            "and distortion=bernoulli takes logits: give the decoder without its sigmoid (such as "
            "model.decoder), or distortion=lambda x, p: bernoulli(x, p.logit(1e-6))"
        )


def _gradient(decoder: Decoder, x: Tensor, z: Tensor, distortion: Distortion, chunk: int) -> Tensor:
    """Gradient of the distortion by z, (batch, d)."""
    parts = []
    for images, codes in zip(x.detach().split(chunk), z.split(chunk), strict=True):
        with torch.enable_grad():
            codes = codes.detach().requires_grad_()
            value = distortion(images, decode(decoder, codes))
        check_each(value, len(codes))
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
    return joined(parts)


def check_each(value: object, n: int) -> None:
    """ValueError unless a distortion gave one value for each of n images."""
    if not isinstance(value, Tensor) or value.shape != (n,):
        gave = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"distortion gave {gave}; it must give ({n},), one value for each image")
