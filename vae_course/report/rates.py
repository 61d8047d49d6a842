"""What codes cost, where they say nothing, whether σ is sane, and how far the prior is."""

import math

import torch
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.errors import first_order
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.numerals import number
from vae_course.report.study import Study
from vae_course.report.tokens import DEAD, Tokens

ENOUGH = 5
"""Independent tokens a channel, below which a determinant says nothing."""
QUANTILES = 0.05, 0.25, 0.5, 0.75, 0.95
ENTRIES = 2**20
"""Of σ, of which quantiles are taken."""


def rate(study: Study) -> dict[str, Found | Unmeasured]:
    """KL of a code from N(0, I): by dimension, image and place."""
    t = study.tokens
    rates = t.rates
    nats = rates.sum((1, 2), dtype=torch.float64)
    d, places = rates[0].numel(), t.places
    study.tables["rate_channel"] = t.channel_rates
    by_place = rates.sum(1, dtype=torch.float64).mean(0)
    study.tables["rate_places"] = by_place.reshape(study.places) if study.places else by_place[:0]
    whole = nats.mean().item()
    said = {
        "rate": f"a latent costs {number(whole / d)} nats, the mean over {d}; the sum over them, "
        f"which a loss with β should hold, is {number(whole)} an image",
        "rate_image": f"a code tells {number(whole)} nats ({number(whole / math.log(2))} bits) "
        "about its image",
        "rate_position": f"{number(whole / places)} nats at each of {places} places"
        if places > 1
        else "the code has one place",
    }
    parts = {"rate": nats / d, "rate_image": nats, "rate_position": nats / places}
    return {key: Found(Estimate.of(e.tolist()), said[key], None, e) for key, e in parts.items()}


def dead(study: Study) -> dict[str, Found | Unmeasured]:
    """Which channels and which places say nothing?"""
    t = study.tokens
    quiet = t.channel_rates < DEAD
    share, names = quiet.double().mean().item(), quiet.nonzero().flatten().tolist()
    listed = ", ".join(str(c) for c in names[:12]) + (", …" if len(names) > 12 else "")
    if not names:
        said = f"all {len(quiet)} channels say something"
    elif share < 1:
        said = f"of {len(quiet)} channels {listed} say nothing: leave them out of a second stage"
    else:
        said = "every channel says nothing: the posterior has collapsed; lower β, or start lower"
    found: dict[str, Found | Unmeasured] = {"dead": Found(share, said)}
    if not study.places:
        return found | {"dead_places": Unmeasured("the code has one place")}
    silent = t.rates.mean((0, 1), dtype=torch.float64) < DEAD
    share = silent.double().mean().item()
    said = f"{int(silent.sum())} of {len(silent)} places say nothing"
    return found | {"dead_places": Found(share, said)}


def sigma(study: Study) -> dict[str, Found | Unmeasured]:
    """Is σ a standard deviation, narrower than the prior and wider than nothing?"""
    t = study.tokens
    sigmas = study.sigma.reshape(t.centres.shape)
    some = sigmas.flatten()[:: max(1, sigmas.numel() // ENTRIES)].double()
    least, median, most = sigmas.min().item(), some.median().item(), _quantile(some, 0.999)
    by_channel = sigmas.transpose(0, 1).flatten(1)
    by_channel = by_channel[:, :: max(1, by_channel.shape[1] // 20_000)].double()
    marks = torch.tensor(QUANTILES, dtype=torch.float64, device="cpu")
    study.tables["sigma_profile"] = by_channel.quantile(marks, dim=1).mT
    if least <= 0:
        why = Unmeasured("σ is not positive everywhere")
        share = (sigmas <= 0).double().mean().item()
        said = (
            f"σ is not positive for {share:.2g} of all latents, the least is {number(least)}: give "
            "a standard deviation, (logvar / 2).exp()"
        )
        found: dict[str, Found | Unmeasured] = {"sigma_max": Found(least, said)}
        return found | {"sigma_median": why, "posterior_anisotropy": why}
    wide = "a posterior is wider than the prior" if most > 1.2 else "none is wider than the prior"
    narrow = ": next to no noise, as in a plain autoencoder" if median < 0.02 else ""
    uneven, each = _anisotropy(t)
    return {
        "sigma_max": Found(most, f"one σ in a thousand is above {number(most)}: {wide}", 1.0),
        "sigma_median": Found(median, f"half of all σ are below {number(median)}{narrow}"),
        "posterior_anisotropy": Found(
            uneven,
            f"log σ² varies by {number(uneven.value)} over latents: some are told "
            f"{number(math.exp(math.sqrt(uneven.value)))} times as finely as others",
            0.0,
            each,
        ),
    }


def _quantile(values: Tensor, share: float) -> float:
    return values.kthvalue(max(1, math.ceil(share * len(values)))).values.item()


def _anisotropy(t: Tokens) -> tuple[Estimate, Tensor]:
    """Var over latents of the mean log σ², less what the means' own errors add."""
    logs = t.variances.flatten(1).double().log()
    n = len(logs)
    mean = logs.mean(0)
    away = mean - mean.mean()
    value = away.square().mean()
    if n > 1:
        value = value - (logs.var(0).mean() - logs.mean(1).var()) / n
    return first_order(max(value.item(), 0.0), 2 * (logs * away).mean(1))


def gap(study: Study) -> dict[str, Found | Unmeasured]:
    r"""How far the tokens' own Gaussian is from the prior.

    .. math:: \mathrm{KL}(N(m, \Sigma) \| N(0, I)) / C
              = \frac{\operatorname{tr}\Sigma + \|m\|^2 - C - \log\det\Sigma}{2C}

    less what a finite sample adds, by the jackknife over tenths of the images: tokens of one image
    are not independent, so a count of them would not do. Equal moments are 0, Gaussian or not.
    """
    t = study.tokens
    c = len(t.mean)
    if t.number < ENOUGH * c:
        raise Unmeasured(
            f"{c} channels take {ENOUGH * c} independent tokens; there are about {t.number:.0f}"
        )
    parts = t.group_sums
    total = [part.sum(0) for part in parts]
    value = _gap(t, *total)
    groups = len(parts[0])
    left = [_gap(t, *(s - p[g] for s, p in zip(total, parts, strict=True))) for g in range(groups)]
    bias = (groups - 1) * (sum(left) / groups - value)
    root = torch.linalg.inv(torch.linalg.cholesky(t.covariance))
    squares = (t.second + 2 * t.mean * (t.first - t.mean) + t.mean**2).sum(1)
    change = (squares - t.quadratic(root)) / (2 * c)
    net = value - bias
    kind = "its moments are the prior's" if net <= 0.25 else "its moments are not the prior's"
    mean, widths = t.mean.square().mean().item(), t.std.square().mean().item()
    said = (
        f"a token's Gaussian is {number(net)} nats a dimension from N(0, I): {kind} (variance "
        f"{number(widths)}, squared mean {number(mean)})"
    )
    return {"gap": Found(net, said, 0.0, first_order(net, change)[1])}


def _gap(t: Tokens, count: Tensor, first: Tensor, second: Tensor) -> float:
    covariance, mean = t.second_moment(count, first, second), t.mean + first / count
    trace = covariance.trace() + mean.square().sum()
    return ((trace - len(mean) - torch.logdet(covariance)) / (2 * len(mean))).item()
