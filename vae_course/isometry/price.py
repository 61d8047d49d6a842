"""What a nat costs: the isometricity that holds for any ball, and the price a posterior shows."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.special import stdtrit
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_real, check_whole
from vae_course.distortion import Distortion, bernoulli, squared_error
from vae_course.isometry.decoder import Decoder, check_decoder, decode
from vae_course.isometry.forward_mode import joined
from vae_course.isometry.metrics import Metric
from vae_course.isometry.probes import diagonal
from vae_course.isometry.ruler import check_code
from vae_course.spd.precision import full_precision


@full_precision
def price_isometricity(
    decoder: Decoder,
    x: Float[Tensor, "batch *image"],
    mu: Float[Tensor, "batch *code"],
    sigma: Float[Tensor, "batch *code"],
    beta: float,
    *,
    distortion: Distortion = squared_error,
    draws: int = 64,
    seed: int = 0,
    chunk: int = 2**11,
) -> Float[Tensor, "batch *code"]:
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
        mu: centres, (batch, d) or (batch, \*code).
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
    beta = check_code(mu, sigma, beta)
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
    # (draws, batch, *code). In float64: leaving one out must not cancel where one draw is most of
    # all.
    product, square = torch.stack(products).double(), torch.stack(squares).double()
    total, weight = product.sum(0), square.sum(0)
    without_one = (total - product) / (weight - square)
    value = (draws * total / weight - (draws - 1) * without_one.mean(0)) / beta
    return value.to(mu.dtype)


class Price(NamedTuple):
    """What a nat has cost, and whether the posterior follows the decoder at all."""

    value: float
    """The price, in the distortion's unit a nat."""
    error: float
    """One standard error of it, over codes."""
    low: float
    """Of the interval that holds the price with 95 %."""
    high: float
    slope: float
    """Of log(1/σ² - 1) on log A; 1 at the optimum, nan where A is the same everywhere."""
    correlation: float
    """Of the two logs; nan as the slope, and where sigma is the same everywhere."""
    n: int
    """Codes behind the error."""


@full_precision
def effective_price(
    decoder: Decoder,
    mu: Float[Tensor, "batch *code"],
    sigma: Float[Tensor, "batch *code"],
    metric: Metric | Tensor | None = None,
    *,
    coordinates: int = 32,
    seed: int = 0,
    chunk: int | None = None,
) -> Price:
    r"""What a nat has cost, read from a trained posterior: beta, where only the model is known.

    .. math:: \frac1{\sigma_j^2} - 1 = \frac2\beta A_{jj}, \quad A = J^\top G J
              \qquad\Rightarrow\qquad
              \hat\beta = 2 \operatorname{median} \frac{A_{jj}}{1/\sigma_j^2 - 1}

    The left-hand side holds at a minimum of ``D + beta * KL``, to second order in σ; the median is
    over codes and their latents with σ² < 1/2, where the ratio is steady. So for a constrained
    objective, such as :math:`\beta |\mathrm{KL} - C|`, whose factor is no price, and after
    annealing. One product with J a latent and no matrix: codes may be images.

    The **slope** is that of least squares, of log(1/σ² - 1) on log A: A is computed without noise,
    so that the encoder's errors stand in σ alone and leave the slope unbiased. Where A is in doubt
    too, as with balls in which the decoder bends, the true slope lies between ``slope`` and
    ``slope / correlation**2`` (Frisch). What it says:

    - 1: σ is the ruler that theory says, and the price is one for all latents.
    - Towards 2: a variance was given for sigma; then 1/σ² - 1 is y² + 2 y for the true y, of slope
      2 - 2/(y + 2), from 1.2 for wide balls to 2 for narrow ones.
    - Towards 1/2: a root was given, such as ``exp(logvar / 4)``; .75 for wide balls.
    - 0, and no correlation: sigma does not belong to these latents (another order, or a constant),
      or has not been trained; there is no price then.

    Args:
        decoder: as in ``spectrum``: it must let gradients through.
        mu: centres, (batch, d) or (batch, \*code), of two codes or more.
        sigma: standard deviations, the same shape, positive.
        metric: the distortion's quadratic form, as in ``pullback_metric``.
        coordinates: how many latents a code, drawn from those with σ² < 1/2; all where there are
            no more.
        seed: of that draw.
        chunk: codes held at once, as in ``spectrum``.

    The interval takes the codes for the independent units: Student's, of log β̂, with the spread
    over codes of the share of ratios below the median (no less than chance makes of as many
    independent ones), over the density of their logs between the quartiles. Where σ was noisy it
    held the price in 94 % of trials or more, from two codes on; infinite where the decoder ignores
    a quarter of the latents.

    Raises as ``spectrum``; ValueError too for a collapsed posterior, where fewer than two codes
    have a latent with σ² < 1/2, or for a decoder that ignores most of those. A measure: not for
    ``torch.func``, ``torch.compile`` or ``torch.export``. float32: relative error 1e-4.
    Source: derived, from chapter 06's stationarity in σ; Frisch 1934 for the slope's bounds;
    Woodruff 1952 for the share below a median.
    """
    check_code(mu, sigma, 1.0)
    check_whole("coordinates", coordinates), check_whole("seed", seed, 0)
    spread = sigma.detach().flatten(1).cpu().double().square()  # on "mps" there is none
    used = spread < 0.5
    live = used.any(1)
    if (n := int(live.sum())) < 2:
        raise ValueError(
            f"sigma**2 is below 1/2 in {n} of {len(mu)} codes: the posterior has collapsed (or "
            "never left its start), and no price can be read from it; give more codes if these "
            "are few"
        )
    order = torch.rand(used.shape, generator=torch.Generator("cpu").manual_seed(seed), device="cpu")
    order = order.masked_fill(~used, -1)[live]
    chosen = order.topk(min(coordinates, int(used.sum(1).max())), 1).indices
    taken, narrow = used[live].gather(1, chosen), 1 / spread[live].gather(1, chosen) - 1
    places = chosen.to(mu.device)
    length = diagonal(decoder, mu[live.to(mu.device)], places, metric=metric, chunk=chunk)
    length = length.cpu().double()
    if not length.isfinite().all():
        raise ValueError(f"the squared lengths overflow {mu.dtype}: give codes in float64")
    if length.min() < -1e-4 * length.max():  # more than rounding
        raise ValueError("metric gives negative squared lengths: it is that of no distortion")
    length = length.clamp_min(0)
    value, error, low, high = _median(2 * length / narrow, taken)
    if not value > 0:
        raise ValueError(
            "decoder does not change with most of the latents that have sigma**2 < 1/2: no price "
            "can be read from them; is it the decoder of these codes?"
        )
    heard = taken & (length > 0)
    x, y = length[heard].log(), narrow[heard].log()
    x, y = x - x.mean(), y - y.mean()
    xx, xy, yy = ((a * b).sum().item() for a, b in ((x, x), (x, y), (y, y)))
    flat = xx <= (1e-4 if mu.dtype == torch.float32 else 1e-9) ** 2 * len(x)  # rounding alone
    slope = math.nan if flat else xy / xx
    correlation = math.nan if flat or not yy else xy / math.sqrt(xx * yy)
    return Price(value, error, low, high, slope, correlation, n)


def _median(values: Tensor, taken: Tensor) -> tuple[float, float, float, float]:
    """The median of those taken, none negative; its error and interval, with rows as units."""
    ordered = values[taken].sort().values

    def quantile(share: float) -> Tensor:
        place = min(max(share * len(ordered) - 0.5, 0), len(ordered) - 1)
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        return low + (place - math.floor(place)) * (high - low)

    n, median = len(values), quantile(0.5)
    below = ((values < median).double() + (values <= median)) / 2  # ties count by half
    excess = ((below - 0.5) * taken).sum(1)  # of each row, over half of its values
    share = (n / (n - 1) * excess.square().sum()).sqrt().item() / len(ordered)
    share = max(share, 0.5 / len(ordered) ** 0.5)
    error = share * 2 * (quantile(0.75).log() - quantile(0.25).log()).item()  # of the logarithm
    value, reach = median.item(), float(stdtrit(n - 1, 0.975)) * error
    try:
        high = value * math.exp(reach)
    except OverflowError:
        high = math.inf
    return value, value * error, value * math.exp(-reach), high


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
    """Gradient of the distortion by z, (batch, *code)."""
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
