"""The charts of what codes are like: their values, nats, widths and norms."""

import math

import torch
from torch import Tensor

from vae_course.report.card import Report
from vae_course.report.numerals import number
from vae_course.report.plot import Axes, Picture, Tables, coloured, key, legend

FEW = 5
"""Channels that are told apart as lines; more are shown as a map."""
MOST = 40
"""Latents that stand in their own order; more are sorted, and at most ``DRAWN`` of them drawn."""
DRAWN = 160
RADIUS = "‖z‖ / √d", "density"


def _one(report: Report) -> str:
    """What an axis of the code is called: flat codes have latents, others channels."""
    return "channel" if len(report.meta.get("code", [0])) > 1 else "latent"


def histograms(tables: Tables, report: Report) -> Picture | None:
    h, edges = tables["histogram"], tables["histogram_edges"]
    if h.shape[1] != len(edges) - 1:
        return None
    density = h / (h.sum(1, keepdim=True) * edges.diff()).clamp(min=1e-300)
    what = _one(report)
    caption = f"How often each value occurs, {what} by {what}, over images and places. "
    lines = "Dashed: the prior, N(0, 1)."
    if len(h) <= FEW:
        top = 1.08 * max(density.max().item(), 0.4)
        axes = Axes((edges[0].item(), edges[-1].item()), (0, top), ("z", "density"))
        for c, one in enumerate(density.tolist()):
            axes.steps(edges.tolist(), one, f"vaer-c{c}")
        x = torch.linspace(edges[0].item(), edges[-1].item(), 121, device="cpu").double()
        prior = (-x.square() / 2).exp() / math.tau**0.5
        axes.line(x.tolist(), prior.tolist(), "vaer-ref")
        names = [(f"vaer-c{c}", f"{what} {c}") for c in range(len(h))]
        body = axes.svg(f"Histograms of {len(h)} {what}s of z beside the density of N(0, 1)")
        body += legend([*names, ("vaer-ref", "N(0, 1)")])
        return Picture("moments", "What latents look like", body, caption + lines)
    axes = Axes((edges[0].item(), edges[-1].item()), (len(h), 0), ("z", what), cells="y")
    top = density.max().item()
    axes.picture(coloured(density, 0, top))
    body = axes.svg(f"Map of the histograms of {len(h)} {what}s of z, a row each")
    body += key(0, top, "density")
    return Picture("moments", "What latents look like", body, f"{caption}A row each.")


def covariance(tables: Tables, report: Report) -> Picture | None:
    matrix = tables["covariance"]
    if matrix.shape[0] != matrix.shape[1]:
        return None
    what = _one(report)
    n, top = len(matrix), matrix.abs().max().item() or 1.0
    axes = Axes((0, n), (n, 0), (what, what), cells="xy", height=300)
    axes.picture(coloured(matrix, -top, top, "PuOr_r"))
    body = axes.svg(f"Map of the covariance matrix of {n} {what}s") + key(
        -top, top, "covariance", "PuOr_r"
    )
    return Picture(
        "moments",
        f"How {what}s go together",
        body,
        f"Covariance of {what}s of z over images and places: off the diagonal, 0 is best.",
    )


def rate(tables: Tables, report: Report) -> Picture | None:
    rate, title = tables["rate_places"], "Where the nats are spent"
    if rate.ndim != 2 or 1 in rate.shape:
        return _bars(rate.flatten(), "place", "nats", title) if rate.numel() > 1 else None
    top = rate.max().item()
    names = ("column", "row")
    axes = Axes((0, rate.shape[1]), (rate.shape[0], 0), names, cells="xy", height=300)
    axes.picture(coloured(rate, 0, top))
    body = axes.svg(
        f"Map of the rate over {rate.shape[0]} × {rate.shape[1]} places, "
        f"from {number(rate.min().item())} to {number(top)} nats"
    ) + key(0, top, "nats a place")
    caption = "KL of the posterior from the prior at each place of the code, all channels together."
    return Picture("moments", title, body, caption)


def rate_channel(tables: Tables, report: Report) -> Picture | None:
    rate = tables["rate_channel"]
    what = _one(report)
    return _bars(rate, what, "nats a dimension", f"Which {what}s carry nats")


def _bars(rate: Tensor, what: str, unit: str, title: str) -> Picture:
    ordered = len(rate) > MOST
    values = rate.sort(descending=True).values if ordered else rate
    axes = Axes(
        (0, len(values)),
        (0, 1.05 * values.max().item()),
        (f"{what}s, the dearest first" if ordered else what, unit),
        cells="" if ordered else "x",
    )
    gap = 0.0 if ordered else 0.15
    for (start, end), i in _drawn(len(values)):
        axes.box((start + gap, end - gap), (0, values[i].item()), "vaer-bar")
    dead = int((rate < 0.01).sum())
    said = f"{dead} of {len(rate)} {what}s have less than .01 nats" if dead else "None is dead"
    return Picture(
        "moments",
        title,
        axes.svg(f"Bars: the rate of {len(rate)} {what}s, the most {number(rate.max().item())}"),
        f"KL of the posterior from the prior, {what} by {what}. {said}.",
    )


def sigma(tables: Tables, report: Report) -> Picture | None:
    profile = tables["sigma_profile"]
    if profile.shape[1] != 5:
        return None
    many = len(profile) > MOST
    if many:
        profile = profile[profile[:, 2].argsort()]
    positive = profile[profile > 0]
    if not len(positive):
        return None
    low, high = 0.7 * positive.min().item(), 1.4 * max(1.0, positive.max().item())
    what = _one(report)
    name = f"{what}s, the narrowest first" if many else what
    axes = Axes((0, len(profile)), (low, high), (name, "σ"), cells="" if many else "x", log_y=True)
    thin, thick = (0.0, 0.0) if many else (0.44, 0.28)
    for (start, end), i in _drawn(len(profile)):
        least, lower, median, upper, most = profile[i].clamp(min=low).tolist()
        bar = start + thick, end - thick
        axes.box((start + thin, end - thin), (least, most), "vaer-band")
        axes.box(bar, (lower, upper), "vaer-bar")
        axes.box(bar, (median, median * 1.01), "vaer-median")
    axes.rule("vaer-ref", y=1.0)
    return Picture(
        "moments",
        "How wide posteriors are",
        axes.svg(f"Quantiles of σ for {len(profile)} {what}s, beside the prior's 1"),
        "Half of all σ lie in the thick bar, nine of ten in the thin one. Dashed: the prior's 1.",
    )


def radii(tables: Tables, report: Report) -> Picture | None:
    density, edges = tables["radii"], tables["radii_edges"]
    if len(edges) != len(density) + 1:
        return None
    axes = Axes((edges[0].item(), edges[-1].item()), (0, 1.08 * density.max().item()), RADIUS)
    axes.steps(edges.tolist(), density.tolist(), "vaer-c0")
    axes.rule("vaer-ref", x=1.0)
    mean = (density * (edges[1:] + edges[:-1]) / 2).sum() / density.sum()
    return Picture(
        "moments",
        "How far out codes lie",
        axes.svg(f"Histogram of ‖z‖/√d over images, {number(mean.item())} on average, beside 1"),
        "Norms of codes over √d. Dashed: 1, the shell of the prior.",
    )


def codebook(tables: Tables, report: Report) -> Picture | None:
    counts = tables["codebook_counts"].sort(descending=True).values
    if counts.sum() <= 0:
        return None
    share = counts / counts.sum()
    used = int((counts > 0).sum())
    axes = Axes(
        (0, len(share)),
        (share[used - 1].item() / 2, share[0].item() * 1.5),
        ("codes, the commonest first", "share"),
        log_y=True,
    )
    at = [(start, i) for (start, _), i in _drawn(used)]
    axes.line([a for a, _ in at], [share[i].item() for _, i in at], "vaer-c0")
    axes.rule("vaer-ref", y=1 / len(share))
    return Picture(
        "moments",
        "How often each code is used",
        axes.svg(f"Shares of {used} codes that occur, of {len(share)}, in falling order"),
        f"{used} of {len(share)} codes occur. Dashed: all used alike.",
    )


def _drawn(n: int) -> list[tuple[tuple[float, float], int]]:
    """Where bars of n things stand, and of which: all, or evenly spaced ones, each wider."""
    count = min(n, DRAWN)
    width = n / count
    return [((k * width, (k + 1) * width), int((k + 0.5) * width)) for k in range(count)]
