"""The figures that several chapters draw, in one style, each with its alt text.

A figure is shown as inline SVG whose ink is ``currentColor``: it follows the page's
light or dark theme. Its data colours keep a contrast of at least 3:1 on both, and
differ in lightness as well as hue, so that a colour-blind reader can tell them apart.
"""

import hashlib
import html
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import matplotlib.style
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure
from torch import Tensor

from vae_course.lab import ledger

PALETTE = ("#0072B2", "#D55E00", "#00916A", "#C0699A", "#A87900", "#7A7A7A")
_INK = "#010203"  # drawn in this colour, shown in the page's own
STYLE: dict[str, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "normal",
    "font.size": 11,
    "legend.frameon": False,
    "image.cmap": "gray",
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Picture:
    """A drawn figure with its alt text; a notebook and the book show it as inline SVG."""

    svg: str
    alt: str

    def __repr__(self) -> str:
        # Beside the picture a notebook keeps this text, which must not hold it a second time.
        return f"Picture({self.alt!r})"

    def _repr_html_(self) -> str:
        return self.svg

    def save(self, name: str) -> "Picture":
        """Record the picture under ``name``, from where a chapter's page takes it."""
        ledger.record("figures", name, {"svg": self.svg, "alt": self.alt, "tier": ledger.tier()})
        return self


def figure(width: float = 7.0, height: float = 3.2, **axes: Any) -> tuple[Figure, np.ndarray]:
    """A figure and its axes as an array; ``axes`` go to ``subplots``. Sets the course style."""
    matplotlib.style.use(STYLE)
    made = Figure(figsize=(width, height), layout="constrained")
    return made, np.atleast_1d(made.subplots(**axes))


def picture(drawn: Figure, alt: str) -> Picture:
    """Turn a matplotlib figure into a :class:`Picture`.

    Raises ValueError for an empty ``alt``: a figure without one does not exist for some readers.
    """
    if not alt.strip():
        raise ValueError("alt must say what the figure shows, got an empty text")
    # Ids are made from the alt text: the same on every run, and no two figures of a page alike.
    prefix = "f" + hashlib.sha256(alt.encode()).hexdigest()[:8]
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": prefix}):
        drawn.savefig(buffer, format="svg", dpi=100, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace(_INK, "currentColor")
    width = re.search(r'width="([\d.]+)pt"', svg)
    assert width is not None
    svg = re.sub(r'(width|height)="[\d.]+pt" ?', "", svg, count=2)
    label = html.escape(alt, quote=True)
    style = f"width:100%;max-width:{float(width[1]) * 4 / 3:.0f}px;height:auto"
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" style="{style}" ', 1)
    return Picture(svg, alt)


def balls(
    ax: Axes, mu: Tensor, sigma: Tensor, labels: Tensor, *, radii: float = 1.0, limit: float = 4.0
) -> None:
    """Latent codes as ellipses of ``radii`` standard deviations, coloured by class.

    Each class is named by its digit at its median code: colour alone never tells them apart.
    What lies outside the square is not shown.

    Args:
        ax: Where to draw.
        mu: Centres, (N, 2).
        sigma: Standard deviations, (N, 2).
        labels: Classes, (N,).
        radii: Size of an ellipse, in standard deviations.
        limit: Half-width of the square that is shown.
    """
    centre, size, kind = (t.detach().cpu().numpy() for t in (mu, sigma, labels))
    colors = np.array(PALETTE)[kind % len(PALETTE)]
    ax.add_collection(
        EllipseCollection(
            2 * radii * size[:, 0],
            2 * radii * size[:, 1],
            np.zeros(len(size)),
            units="xy",
            offsets=centre,
            offset_transform=ax.transData,
            facecolors=colors,
            edgecolors="none",
            alpha=0.35,
            rasterized=True,
        )
    )
    ax.plot(*centre.T, ".", ms=1.5, color=PALETTE[-1], rasterized=True)
    for k in np.unique(kind):
        x, y = np.median(centre[kind == k], axis=0)
        if max(abs(x), abs(y)) > limit:
            continue
        ax.text(
            x,
            y,
            str(k),
            ha="center",
            va="center",
            fontsize=8,
            color="white",
            bbox={"boxstyle": "circle,pad=0.2", "fc": PALETTE[k % len(PALETTE)], "ec": "none"},
        )
    ax.set(
        xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xlabel="$z_1$", ylabel="$z_2$"
    )
    ax.locator_params(nbins=5, integer=True)


def images(ax: Axes, grid: Tensor, columns: int) -> None:
    """Images (N, h, w) or (N, 1, h, w) side by side, ``columns`` in a row, on one grey scale."""
    pixels = grid.detach().cpu().reshape(len(grid), *grid.shape[-2:])
    height, width = pixels.shape[-2:]
    rows = -(-len(pixels) // columns)
    # Half grey between the images: a gap that is neither ink nor paper.
    canvas = torch.full((rows * (height + 1) - 1, columns * (width + 1) - 1), float("nan"))
    for i, image in enumerate(pixels):
        top, left = (i // columns) * (height + 1), (i % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = image
    ax.imshow(canvas.numpy(), vmin=0, vmax=1, interpolation="nearest")
    ax.set_axis_off()


def latent_grid(
    ax: Axes, decode: Callable[[Tensor], Tensor], *, limit: float = 3.0, steps: int = 12
) -> None:
    """What a decoder of a two-dimensional latent draws on a square grid of [-limit, limit]²."""
    side = torch.linspace(-limit, limit, steps)
    z = torch.stack(torch.meshgrid(side.flip(0), side, indexing="ij")[::-1], -1).reshape(-1, 2)
    with torch.no_grad():
        images(ax, decode(z), columns=steps)


def captioned(axes: Sequence[Axes], captions: Sequence[str]) -> None:
    """Name the panels of a figure, in the same place and voice each time."""
    for ax, caption in zip(axes, captions, strict=True):
        ax.set_title(caption, loc="left")
