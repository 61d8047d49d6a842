"""The pictures of a report, drawn of its tables; one whose table is missing is left out."""

import math
from collections.abc import Callable, Iterator, Mapping
from html import escape

import torch
from torch import Tensor

from vae_course.report import charts
from vae_course.report.card import Report
from vae_course.report.measures import Stage
from vae_course.report.plot import Axes, Picture, Tables, coloured, key, legend, row

Drawer = Callable[[Tables, Report], Picture | None]
SHOWN = 8
"""Images a row."""
ANSWER = "channel that answers", "channel that is changed"


def pictures(report: Report) -> Iterator[Picture]:
    """Those of a report, in the order of its stages."""
    tables = {name: _finite(t) for name, t in report.tables.items() if _sound(name, t)}
    for draw, names in _DRAWN.items():
        if all(name in tables for name in names):
            if picture := draw(tables, report):
                yield picture


def _sound(name: str, table: Tensor) -> bool:
    """Whether a table is what the pictures take it for: a file may hold anything."""
    if not (table.numel() and table.isfinite().any()):
        return False
    if name.startswith(("shown", "sample_")):
        return table.ndim >= 2
    return name == "rate_places" or table.ndim == _AXES.get(name, -1)


def _finite(table: Tensor) -> Tensor:
    """In float64, with 0 for NaN and the ends of the rest for what is infinite."""
    table = table.detach().cpu().double()
    seen = table[table.isfinite()]
    return table.nan_to_num(0.0, seen.max().item(), seen.min().item())


_AXES = {
    "histogram": 2,
    "histogram_edges": 1,
    "covariance": 2,
    "rate_channel": 1,
    "sigma_profile": 2,
    "radii": 1,
    "radii_edges": 1,
    "codebook_counts": 1,
    "response": 2,
    "response_channels": 1,
    "radial_frequency": 1,
    "radial_latents": 2,
    "radial_images": 2,
    "eigen_log10": 1,
    "eigen_share": 1,
    "eigen_floor": 0,
}


def _shown(tables: Tables, report: Report) -> Picture | None:
    return _rows(
        report,
        tables,
        "cycle",
        "What comes back",
        {"shown": "x", "shown_mean": "g(μ)", "shown_draw": "g(z)"},
        {"shown": "images", "shown_mean": "decoded centres μ", "shown_draw": "decoded draws z"},
        "Images; their reconstructions from the posterior's centre μ"
        + (", and from one draw z of it." if "shown_draw" in tables else "."),
    )


def _samples(tables: Tables, report: Report) -> Picture | None:
    return _rows(
        report,
        tables,
        "samples",
        "What the decoder makes of four laws",
        {
            "sample_prior": "N(0, I)",
            "sample_token": "token",
            "sample_full": "full",
            "sample_aggregate": "codes",
        },
        {
            "sample_prior": "decoded draws of the prior",
            "sample_token": "decoded draws of one Gaussian for all tokens",
            "sample_full": "decoded draws of a Gaussian for whole codes",
            "sample_aggregate": "decoded codes of other images",
        },
        "Decoded draws of the prior, of a Gaussian fitted to tokens (places independent), of one "
        "fitted to whole codes, and codes of images that the fits have not seen.",
    )


def _rows(
    report: Report,
    tables: Tables,
    stage: Stage,
    title: str,
    names: Mapping[str, str],
    alts: Mapping[str, str],
    caption: str,
) -> Picture | None:
    low, high = (float(v) for v in report.meta.get("value_range", (0.0, 1.0)))
    rows, note = [], ""
    for name, label in names.items():
        if name not in tables:
            continue
        images, said = _as_images(tables[name][:SHOWN])
        note = note or said
        count = len(images)
        crisp = " vaer-crisp" if max(images.shape[-2:]) <= 64 else ""
        rows.append(
            f'<p class="vaer-row"><span>{escape(label)}</span><img class="vaer-images{crisp}" '
            f'src="{row(images, low, high)}" alt="{count} {escape(alts[name])}"></p>'
        )
    return Picture(stage, title, "".join(rows), f"{caption}{note}") if rows else None


def _as_images(x: Tensor) -> tuple[Tensor, str]:
    """(k, C, H, W) of images of any shape, and what has to be said of it."""
    if x.ndim == 4:
        said = "" if x.shape[1] in (1, 3) else f" The first of {x.shape[1]} channels is shown."
        return x, said
    if x.ndim == 3:
        return x[:, None], ""
    flat = x.flatten(1)
    side = math.isqrt(flat.shape[1])
    if side**2 == flat.shape[1]:
        return flat.view(-1, 1, side, side), f" Flat images are shown as {side} × {side}."
    return flat[:, None, None], " Flat images are shown as one line of pixels."


def _response(tables: Tables, report: Report) -> Picture | None:
    matrix, names = tables["response"], tables["response_channels"].tolist()
    if matrix.shape != (len(names), len(names)) or len(names) < 2:
        return None
    top = matrix.abs().max().item() or 1.0
    axes = Axes((0, len(names)), (len(names), 0), ANSWER, cells="xy", height=300)
    axes.picture(coloured(matrix, -top, top, "PuOr_r"))
    order = ", ".join(str(int(c)) for c in names)
    body = axes.svg(f"Map of the answers of {len(names)} channels to a change of each")
    return Picture(
        "cycle",
        "Which channel answers which",
        body + key(-top, top, "answer", "PuOr_r"),
        f"A channel is changed, decoded and encoded again: what each channel shows of it. Channels "
        f"{order}, in this order. Off the diagonal, 0 is best.",
    )


def _radial(tables: Tables, report: Report) -> Picture | None:
    frequency = tables["radial_frequency"]
    lines = {"radial_latents": ("vaer-c0", "latents"), "radial_images": ("vaer-c1", "images")}
    kept = {k: tables[k].mean(0) for k in lines if k in tables}
    kept = {k: v for k, v in kept.items() if v.shape == frequency.shape and (v > 0).any()}
    if not kept:
        return None
    every = torch.cat([v[v > 0] for v in kept.values()])
    low, high = max(every.min().item() / 1.5, every.max().item() * 1e-8), every.max().item() * 1.5
    axes = Axes(
        (0, frequency.max().item()),
        (low, high),
        ("frequency, cycles a place", "power"),
        log_y=True,
    )
    axes.rule("vaer-ref", y=1.0)
    for name, values in kept.items():
        axes.line(frequency.tolist(), values.tolist(), lines[name][0])
    return Picture(
        "space",
        "How fine latents are",
        axes.svg("Radial power spectra of latents and of images")
        + legend([*(lines[name] for name in kept), ("vaer-ref", "white noise")]),
        "Power by frequency over all directions, over its mean. Images are averaged down to the "
        "code's size.",
    )


def _spectrum(tables: Tables, report: Report) -> Picture | None:
    at, share = tables["eigen_log10"], tables["eigen_share"]
    if len(at) == len(share) + 1:  # edges of bins
        edges = at
    elif len(at) == len(share) and len(at) > 1:
        width = at.diff().median()
        edges = torch.cat([at - width / 2, at[-1:] + width / 2])
    else:
        return None
    if share.sum() <= 0:
        return None
    share = share / share.sum()
    low, high = edges[0].item(), edges[-1].item()
    axes = Axes(
        (low, high), (0, 1.08 * share.max().item()), ("log₁₀ λ / λ_max", "share of directions")
    )
    floor, said = tables.get("eigen_floor"), ""
    if floor is not None:
        value = floor.item()
        if value > low:
            axes.box((low, min(value, high)), axes.y, "vaer-floor")
        said = " Shaded: below the floor, where a direction costs nothing that matters."
    for i, v in enumerate(share.tolist()):
        if v > 0:
            axes.box((edges[i].item(), edges[i + 1].item()), (0, v), "vaer-bar")
    return Picture(
        "geometry",
        "How unlike the decoder's directions are",
        axes.svg("Histogram of the eigenvalues of JᵀGJ on a scale of powers of ten"),
        f"Eigenvalues λ of the pull-back metric at a few codes, over the largest.{said}",
    )


_DRAWN: Mapping[Drawer, tuple[str, ...]] = {
    charts.histograms: ("histogram", "histogram_edges"),
    charts.rate: ("rate_places",),
    charts.rate_channel: ("rate_channel",),
    charts.sigma: ("sigma_profile",),
    charts.covariance: ("covariance",),
    charts.radii: ("radii", "radii_edges"),
    charts.codebook: ("codebook_counts",),
    _shown: ("shown",),
    _response: ("response", "response_channels"),
    _samples: (),
    _radial: ("radial_frequency",),
    _spectrum: ("eigen_log10", "eigen_share"),
}
"""How each picture is drawn, and the tables that it can't do without."""
