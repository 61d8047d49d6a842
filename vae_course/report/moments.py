"""What codes are like before any is decoded: scale, channels, tails, rate, σ and shell."""

import math
from statistics import NormalDist

import torch
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.errors import first_order
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.numerals import number, with_error
from vae_course.report.study import Study

BINS, SHOWN = 40, 16
ONE_FACTOR = 1.1
"""Up to this ratio of channels' SDs one factor serves them all."""
KNOWN = 10
"""Tokens that each number of a covariance matrix's row takes."""


def scale(study: Study) -> dict[str, Found | Unmeasured]:
    r"""The factor that gives codes an SD of 1, and what a declared one would do.

    .. math:: \frac1{\sqrt{\operatorname{Var} z}}, \qquad
              \operatorname{Var} z = \langle\mu^2 + \sigma^2\rangle - \langle\mu\rangle^2

    over all entries of all codes: draws, not means, since a second stage is trained on draws.
    """
    t = study.tokens
    middle = t.mean.mean()
    # Squares about the grand mean: those about each channel's, and the channels' spread.
    away = t.mean - middle
    squares = (t.second + 2 * away * (t.first - t.mean) + away**2).mean(1)
    means = t.first.mean(1)
    variance = squares.mean().item() + means.var().item() / study.n
    if not variance > 0:
        raise Unmeasured(f"all codes are the same number, {middle:.3g}")
    sd = variance**0.5
    estimate, each = first_order(1 / sd, -squares / (2 * sd**3))
    ratio = (t.std.max() / t.std.min().clamp_min(1e-300)).item()
    channels = "one number serves all channels"
    if ratio > ONE_FACTOR:
        channels = f"channels' SDs differ by a factor of {number(ratio)}"
    found: dict[str, Found | Unmeasured] = {
        "scale": Found(
            estimate,
            f"SD of z is {number(sd)}: multiply codes by {with_error(1 / sd, estimate)}; "
            f"{channels}{_noise_said(study)}",
            1.0 if study.kind == "gaussian" else None,
            each,
        )
    }
    factor = study.declared.factor
    if factor is not None:
        seen = abs(factor) * sd
        shift = 2 * math.log(max(seen, 1e-300))
        reading = (
            f"the pipeline declares {number(factor)}: its flow would see an SD of {number(seen)}, "
            f"a log-SNR off by {number(shift)} nats"
        )
        if not 0.5 <= seen <= 2:
            reading += "; that is another VAE's factor"
        declared, each = first_order(seen, abs(factor) * squares / (2 * sd))
        found["scale_declared"] = Found(declared, reading, 1.0, each)
    return found


def _noise_said(study: Study) -> str:
    """σ after scaling: a second stage can't learn what is finer."""
    t = study.tokens
    if t.sigma is None:
        return ""
    share = (t.variances.mean((0, 2), dtype=torch.float64).sqrt() / t.std).tolist()
    low, high = number(min(share)), number(max(share))
    span = low if low == high else f"{low} to {high}"
    return f"; after scaling σ is {span} of an SD, below which a flow learns noise alone"


def channels(study: Study) -> dict[str, Found | Unmeasured]:
    """One factor or one a channel; and do channels need a shift?"""
    t = study.tokens
    study.tables |= {"channel_mean": t.mean, "channel_std": t.std}
    _histogram(study)
    n, c = study.n, len(t.mean)
    least, most = t.std.argmin(), t.std.argmax()
    ratio = (t.std[most] / t.std[least].clamp_min(1e-300)).item()
    logs = t.second / (2 * t.second.mean(0).clamp_min(1e-300))  # of the SD's logarithm
    ratio_each = first_order(ratio, ratio * (logs[:, most] - logs[:, least]))[1]
    off = t.mean / t.std.clamp_min(1e-300)
    far = off.abs().argmax()
    offset = off[far].abs().item()
    change = off[far].sign() * (t.first / t.std - off * logs)[:, far]
    same = "one factor serves all"
    if ratio > ONE_FACTOR and c <= SHOWN:
        vector = f"take off {_listed(t.mean)} and divide by {_listed(t.std)}, channel by channel"
        same += f"; to be exact, {vector}" if ratio <= 2 else ""
        same = same if ratio <= 2 else vector
    elif ratio > 2:
        same = "scale each channel by its own SD"
    shift = "no shift is needed" if offset <= 0.5 else "take each channel's mean off"
    error_of_log, error_of_mean = (
        (part.std(0) / n**0.5).median().item() for part in (logs, t.first / t.std.clamp_min(1e-300))
    )
    return {
        "channel_ratio": Found(
            ratio,
            f"channels' SDs lie between {number(t.std[least].item())} and "
            f"{number(t.std[most].item())}: {same}",
            math.exp(2 * error_of_log * _largest(c)),
            ratio_each,
        ),
        "channel_offset": Found(
            offset,
            f"channel {int(far)} has its mean {number(offset)} SD from 0: {shift}",
            error_of_mean * _largest(2 * c),
            first_order(offset, change)[1],
        ),
    }


def _largest(c: int) -> float:
    """The median of the largest of c standard normal numbers."""
    return max(0.0, NormalDist().inv_cdf(0.5 ** (1 / c)))


def _listed(values: Tensor) -> str:
    return "(" + ", ".join(number(v) for v in values.tolist()) + ")"


def _histogram(study: Study) -> None:
    """Densities of z by channel, between the extremes of 99.9 %."""
    z = study.z.reshape(study.n, study.channels, -1)[:, :SHOWN].transpose(0, 1).flatten(1)
    some = z[:, :: max(1, z.shape[1] // 20_000)].float()
    low, high = some.quantile(0.0005, 1).min().item(), some.quantile(0.9995, 1).max().item()
    high = high if high > low else low + 1
    counts = torch.stack([torch.histc(row, BINS, low, high) for row in some])
    study.tables["histogram"] = counts / some.shape[1] * (BINS / (high - low))
    study.tables["histogram_edges"] = torch.linspace(low, high, BINS + 1, device="cpu")


def covariance(study: Study) -> dict[str, Found | Unmeasured]:
    """Are channels decorrelated?"""
    t = study.tokens
    sigma, n = t.covariance, t.number
    c = len(sigma)
    if c == 1:
        raise Unmeasured("codes have one channel")
    if c <= 64:
        study.tables["covariance"] = sigma
    values, axes = torch.linalg.eigh(sigma)
    edge = min(math.sqrt(c / n), 0.999)
    least = max(values[0].item(), 0.0)
    condition = values[-1].item() / max(least, 1e-12 * values[-1].item())
    used = (values.sum().square() / values.square().sum() / c).item()
    ends = axes[:, [0, -1]].mT / values[[0, -1], None].clamp_min(1e-300).sqrt()
    along = [t.quadratic(end[None]) for end in ends]
    squares = (axes * values.clamp_min(0).sqrt()).mT  # W with WᵀW = Σ
    change = t.second.sum(1) / values.sum() - t.quadratic(squares) / values.square().sum()
    remedy = "as one factor assumes" if condition <= 10 else "whiten tokens before a second stage"
    found: dict[str, Found | Unmeasured] = {
        "covariance": Found(
            condition,
            f"the largest direction of a token has {number(condition)} times the variance of the "
            f"least: {remedy}",
            ((1 + edge) / (1 - edge)) ** 2,
            first_order(condition, condition * (along[-1] - along[0]))[1],
        ),
        "covariance_used": Found(
            used,
            f"the variance of tokens is spread over {number(used * c)} of {c} directions",
            1 / (1 + c / n),
            first_order(used, 2 * used * change)[1],
        ),
    }
    if n < KNOWN * c:
        found["covariance"] = Unmeasured(
            f"{c} channels take {KNOWN * c} independent tokens; there are about {n:.0f}"
        )
    return found


def tails(study: Study) -> dict[str, Found | Unmeasured]:
    """Are there outliers?"""
    z = study.z.reshape(study.n, study.channels, -1)
    t = study.tokens
    away = (z - z.mean((0, 2), keepdim=True, dtype=torch.float64).to(z.dtype)).square()
    squares, fourths = (part.mean(2, dtype=torch.float64) for part in (away, away.square()))
    two, four = squares.mean(0), fourths.mean(0)
    live = (t.std > 1e-6 * t.std.max()).nonzero().flatten()
    kurtosis = four / two.square().clamp_min(1e-300)
    c = live[kurtosis[live].argmax()]
    value = kurtosis[c].item()
    change = fourths[:, c] / two[c] ** 2 - 2 * value * squares[:, c] / two[c]
    kind = "heavier tails than" if value > 3.5 else "lighter tails than" if value < 2.5 else "about"
    remedy = "; look at the images of its largest codes" if value > 10 else ""
    reading = (
        f"channel {int(c)} has the largest kurtosis, {number(value)}: {kind} a Gaussian{remedy}"
    )
    return {"tails": Found(value, reading, 3.0, first_order(value, change)[1])}


def radius(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Are codes on the prior's shell, of radius about √d, and is it thin?"""
    z = study.z.flatten(1)
    d = z.shape[1]
    r = z.square().sum(1, dtype=torch.float64).sqrt() / d**0.5
    high = max(2.0, 1.05 * r.max().item())
    counts = torch.histc(r.float(), BINS, 0.0, high)
    study.tables["radii"] = counts / len(r) * (BINS / high)
    study.tables["radii_edges"] = torch.linspace(0.0, high, BINS + 1, device="cpu")
    mean, sd = r.mean().item(), r.std().item()
    law = math.sqrt(2 / d) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    thin = math.sqrt(max(1 - law**2, 0.0)) / law
    spread = sd / mean
    change = ((r - mean).square() - sd**2) / (2 * sd * mean) - spread * (r - mean) / mean
    where = "on" if 0.8 <= mean <= 1.25 else "inside" if mean < 0.8 else "outside"
    estimate, each = first_order(spread, change)
    return {
        "radius": Found(
            Estimate.of(r.tolist()),
            f"codes lie {where} the prior's shell, at {mean:.3g} √d",
            law,
            r,
        ),
        "radius_spread": Found(
            estimate,
            f"the shell is {number(spread)} of its radius thick; that of N(0, I) is {number(thin)}",
            thin,
            each,
        ),
    }
