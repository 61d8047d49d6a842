"""The decoder's own geometry: σ as a ruler, the price of a nat, spectra, and bends."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vae_course import isometry as geometry
from vae_course.evaluation import Estimate
from vae_course.isometry.spectrum import Spectrum
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.study import Study

FLOOR = 1e-3
"""Of λ max, where no price is known."""
GROUPS = 16
"""Of codes that are left out, one after the other."""
TELLING = 0.5
"""Half an interval of the slope: wider ones do not tell ½ from 1."""
ROUNDING, ALIKE, STRAIGHT = 1e-9, 1e-4, 1e-4
"""In float32: of a correlation's distance from 1, of the spread of log A, of a bend."""
BINS, LOWEST = 40, -8.0
"""Of the histogram of log10 λ / λ max."""


def ruler(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Is σ the ruler that theory says, and which price was paid for a nat?

    .. math:: \log\big(1/\sigma_j^2 - 1\big) = \log A_{jj} + \log(2/\beta), \qquad A = J^\top G J

    at latents with σ² < ½ of a few codes; see ``isometry.effective_price``. Short codes have few
    latents, so more of them are taken. Errors of the slope, and of the correlation's artanh, by
    leaving out codes. Where these cannot tell ½ from 1, both are unmeasured.

    Raises ``Unmeasured`` for a collapsed posterior, or a decoder that hears little of the code.
    """
    wide = study.mu[0].numel()
    per_code = min(study.sizes.coordinates, wide)
    n = min(study.n, math.ceil(study.sizes.codes * study.sizes.coordinates / per_code))
    sigma = study.sigma[:n].flatten(1).double()
    used = sigma.square() < 0.5
    live = used.any(1).nonzero()[:, 0]
    if len(live) < 2:
        raise Unmeasured(f"σ² is below ½ in {len(live)} of {n} codes: no price can be read there")
    order = torch.rand(used.shape, generator=study.generator("ruler"), device="cpu")
    chosen = order.masked_fill(~used, -1).topk(per_code).indices[live]
    mu = study.mu[live].to(study.device)
    try:
        lengths = geometry.diagonal(study.decoder, mu, chosen.to(mu.device), metric=study.metric)
    except ValueError as why:
        raise Unmeasured(str(why)) from None
    lengths, noise = lengths.cpu().double().clamp_min(0), sigma[live].gather(1, chosen)
    roots = lengths.sqrt()
    try:  # by a decoder whose axes are as long as those of the real one
        whole = geometry.effective_price(
            lambda z: z * roots, torch.zeros_like(roots), noise,
            coordinates=per_code, chunk=len(live),
        )  # fmt: skip
    except ValueError as why:
        raise Unmeasured(str(why)) from None
    taken = (noise.square() < 0.5) & (lengths > 0)
    x, y = lengths.log(), (1 / noise.square() - 1).log()
    groups = min(GROUPS, len(live))
    part = torch.arange(len(live), device="cpu")[:, None] % groups
    parts = [taken & (part != g) for g in range(groups)] if groups > 2 else []
    slopes, correlations = zip(*(_line(x[some], y[some]) for some in (taken, *parts)), strict=True)
    found = {"ruler_slope": _slope(slopes, len(live) == n)}
    found["ruler_correlation"] = (
        _correlation(correlations, int(taken.sum()), len(live))
        if isinstance(found["ruler_slope"], Found)
        else found["ruler_slope"]
    )
    paid = Estimate(whole.value, whole.error, whole.low, whole.high, n=whole.n)
    found["price"] = Found(paid, f"σ is what it is because a nat has cost {whole.value:.3g}")
    found["price_ratio"] = Unmeasured("the price of a nat is not declared: give beta=")
    if (beta := study.declared.beta) is not None:
        value, error, low, high = (v / beta for v in paid[:4])
        of = Estimate(value, error, low, high, n=whole.n)
        reading = f"that is {of.value:.2g} times the declared β of {beta:.3g}"
        found["price_ratio"] = Found(of, reading, 1.0)
    return found


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope of y on x, and their correlation; NaN for what is the same everywhere."""
    x, y = x - x.mean(), y - y.mean()
    xx, xy, yy = ((a * b).mean().item() for a, b in ((x, x), (x, y), (y, y)))
    if xx < ALIKE**2:
        return math.nan, math.nan
    return xy / xx, xy / math.sqrt(xx * yy) if yy > 0 else math.nan


def _slope(slopes: Sequence[float], all_live: bool) -> Found | Unmeasured:
    """Of all latents, and without a part of the codes at a time."""
    slope, *left = slopes
    value, each = _left_out(slope, left)
    half = (value.high - value.low) / 2 if isinstance(value, Estimate) else 0
    if not math.isfinite(slope) or not half < TELLING:
        return Unmeasured("latents are too much alike, or too few, to tell a slope")
    meaning = "1 where σ is a length"
    if slope > 1.2:
        meaning = "up to 2 if a variance was given for σ"
    elif slope < 0.25:
        meaning = "0 if σ belongs to other latents"
    elif slope < 0.64:
        meaning = "towards ½ if a root was given for σ"
    return Found(
        value,
        f"log(1/σ² − 1) grows {slope:.2f} times as fast as the log of the decoder's squared step; "
        f"{meaning}",
        0.0,
        each if all_live else None,
    )


def _correlation(correlations: Sequence[float], latents: int, codes: int) -> Found | Unmeasured:
    r, *left = correlations
    if not math.isfinite(r):
        return Unmeasured("σ is the same everywhere: it has no correlation")
    value: Estimate | float = r
    of_artanh, _ = _left_out(_artanh(r), [_artanh(one) for one in left])
    if isinstance(of_artanh, Estimate):
        low, high = math.tanh(of_artanh.low), math.tanh(of_artanh.high)
        value = Estimate(r, of_artanh.error * (1 - r**2), low, high, n=of_artanh.n)
    return Found(
        value,
        f"the two logs are correlated by {r:.2f}, over {latents} latents of {codes} codes",
        0.0,
    )


def _artanh(r: float) -> float:
    return math.atanh(max(-1 + ROUNDING, min(1 - ROUNDING, r)))


def _left_out(value: float, left: Sequence[float]) -> tuple[Estimate | float, Tensor | None]:
    """With its error by leaving out one part of all, and pseudo-values; bare for two parts."""
    n = len(left)
    if n < 3:
        return value, None
    without = torch.tensor(left, dtype=torch.float64, device="cpu")
    error = ((n - 1) * without.var(correction=0)).sqrt().item()
    return Estimate.t(value, error, n), n * value - (n - 1) * without


def isometry(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Is the decoder an isometry, up to scale? Angles, volumes, and directions in use.

    .. math:: \operatorname{Var}_i \log\big(1 + \tfrac2{\hat\beta} \lambda_i\big), \qquad
              \mathrm{SD}_z \big\langle \log(\lambda_i + \hat\beta/2) \big\rangle_i, \qquad
              \frac{\langle\bar\lambda^2\rangle}{d\,\langle\overline{\lambda^2}\rangle}

    of the eigenvalues of :math:`J^\top G J` at a few codes. The floor is the price of a nat that
    ``ruler`` found; where there is none, 1e-3 of the largest eigenvalue.

    Raises ``Unmeasured`` for a decoder that does not move with its code.
    """
    n, sizes = min(study.sizes.codes, study.n), study.sizes
    seen = geometry.spectrum(
        study.decoder,
        study.z[:n].to(study.device),
        metric=study.metric,
        probes=max(2, sizes.probes),
        steps=sizes.steps,
        seed=study.generator("isometry").initial_seed(),
        progress=False,
    )
    seen = _on_cpu(seen)
    if (seen.largest <= 0).any():
        raise Unmeasured("the decoder does not move with its code: it has no directions")
    price = _price(study)
    _histogram(study, seen, price)
    floored, floor, said = seen, FLOOR, "a floor of a thousandth of the largest"
    if price is not None:
        floored, floor, said = lifted(seen, price / 2), 0.0, f"a price of {price:.3g} a nat"
    angles, used = floored.log_variance(floor), seen.used()
    volume: Found | Unmeasured = Unmeasured(f"{n} codes: a spread over codes takes 3")
    if n >= 3:
        spread = floored.volume_spread(floor)
        volume = Found(
            # Near 0 the probes' noise makes an interval far too wide.
            spread if seen.exact else spread.value,
            "from code to code the log of a volume, a latent, differs by "
            f"{spread.value:.2f} (SD), at {said}",
            0.0,
        )
    return {
        "isometry_angles": Found(
            angles,
            "squared lengths of directions at a point differ by a factor of "
            f"{math.exp(max(angles.value, 0) ** 0.5):.2f} (one SD), at {said}",
            0.0,
            within(floored, floor),
        ),
        "isometry_volume": volume,
        "isometry_used": Found(
            used,
            f"the metric is spread over {used.value:.0%} of {seen.d} directions",
            1 / (1 + seen.d / study.images[0].numel()),
        ),
    }


def _price(study: Study) -> float | None:
    """That the ruler has found."""
    if study.kind != "gaussian":
        return None
    try:
        found = study.row("ruler")["price"]
    except Unmeasured:
        return None
    price = found.value if isinstance(found, Found) else None
    return price.value if isinstance(price, Estimate) else price


def _on_cpu(seen: Spectrum) -> Spectrum:
    fields = "nodes", "weights", "coarse_nodes", "coarse_weights"
    return replace(seen, **{name: getattr(seen, name).cpu().double() for name in fields})


def lifted(seen: Spectrum, by: float) -> Spectrum:
    """The spectra of A + by · I: a floor that is the same at all codes."""
    return replace(seen, nodes=seen.nodes + by, coarse_nodes=seen.coarse_nodes + by)


def within(seen: Spectrum, floor: float) -> Tensor:
    """``seen.log_variance(floor)`` at each code."""
    log = (seen.nodes + floor * seen.largest[:, None, None]).log().where(seen.weights > 0, 0)
    q, squares = ((seen.weights * f).sum(2) for f in (log, log.square()))
    probes = q.shape[1]
    if seen.exact:
        return squares[:, 0] - q[:, 0].square()
    return squares.mean(1) - (q.sum(1).square() - q.square().sum(1)) / (probes * (probes - 1))


def _histogram(study: Study, seen: Spectrum, price: float | None) -> None:
    """Tables of the spectrum's picture; what is lower than the lowest bin is counted there."""
    largest = seen.largest[:, None, None]
    log = (seen.nodes / largest).clamp_min(10**LOWEST).log10()
    width = -LOWEST / BINS
    place = ((log - LOWEST) / width).long().clamp(0, BINS - 1)
    share = torch.zeros(BINS, dtype=torch.float64, device="cpu")
    share.index_add_(0, place.flatten(), (seen.weights / seen.weights.sum()).flatten())
    floor = FLOOR if price is None else price / 2 / seen.largest.median().item()
    study.tables |= {
        "eigen_log10": LOWEST + width * (torch.arange(BINS, device="cpu").double() + 0.5),
        "eigen_share": share,
        "eigen_floor": torch.tensor(floor, dtype=torch.float64, device="cpu").log10(),
    }


def bend(study: Study) -> dict[str, Found]:
    r"""How far the decoder is from straight within a ball: see ``isometry.bend``.

    Raises ``Unmeasured`` for a decoder that does not move with its code.
    """
    n, device = min(study.sizes.codes, study.n), study.device
    mu, sigma = study.mu[:n].to(device), study.sigma[:n].to(device)
    seeds = torch.randint(2**62, (n,), generator=study.generator("bend"), device="cpu").tolist()
    try:
        each = [
            geometry.bend(study.decoder, mu[i : i + 1], sigma[i : i + 1], seed=seed).value
            for i, seed in enumerate(seeds)
        ]
    except ValueError as why:
        raise Unmeasured(str(why)) from None
    mean = Estimate.of(each)
    # Below that it is rounding, which has no chance in it.
    value = mean if mean.value > STRAIGHT else mean.value
    return {
        "bend": Found(
            value,
            f"of a step of one σ, {mean.value:.0%} as much is bent as is straight",
            0.0,
            torch.tensor(each, dtype=torch.float64, device="cpu"),
        )
    }
