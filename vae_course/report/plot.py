"""Small pictures as inline SVG: axes, lines, bars and maps, in the colours of the page."""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_course.report.measures import Stage
from vae_course.report.numerals import number

LARGEST = 96
"""Pixels of an image's side on the page; larger ones are shrunk."""
WIDTH, HEIGHT = 380, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 10, 40


class Picture(NamedTuple):
    """One picture: the stage it belongs to, its title, its HTML and its caption."""

    stage: Stage
    title: str
    body: str
    caption: str


Tables = Mapping[str, Tensor]


class Axes:
    """Axes on which marks are put one after the other; ``svg`` gives the picture.

    Args:
        x, y: (low, high) of the data that is shown; what lies outside is cut off. (n, 0) as y lets
            it grow downwards, as rows do.
        labels: of the two axes.
        cells: "x", "y" or both: an axis of things that are counted, 0 in the middle of the first.
        log_y: whether y is shown by powers of ten.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        labels: tuple[str, str],
        *,
        cells: str = "",
        log_y: bool = False,
        height: int = HEIGHT,
    ) -> None:
        self.log_y, self.labels, self.height, self.cells = log_y, labels, height, cells
        self.x, self.y = _widened(x), _widened(y, log_y)
        self._marks: list[str] = []

    def line(self, x: Sequence[float], y: Sequence[float], kind: str) -> None:
        """A polyline; it breaks where a number is not finite."""
        path, pen = [], "M"
        for a, b in zip(x, y, strict=True):
            if not (math.isfinite(a) and math.isfinite(b)) or (self.log_y and b <= 0):
                pen = "M"
                continue
            path.append(f"{pen}{self._across(a):.1f} {self._up(b):.1f}")
            pen = "L"
        self._marks.append(f'<path class="vaer-line {kind}" d="{"".join(path)}"/>')

    def steps(self, edges: Sequence[float], heights: Sequence[float], kind: str) -> None:
        """A histogram's outline."""
        x = [edge for edge in edges for _ in range(2)]
        y = [0.0, *(h for h in heights for _ in range(2)), 0.0]
        self.line(x, y, kind)

    def box(self, x: tuple[float, float], y: tuple[float, float], kind: str) -> None:
        """A filled rectangle."""
        a, b = sorted((self._across(x[0]), self._across(x[1])))
        top, bottom = sorted((self._up(y[0]), self._up(y[1])))
        self._marks.append(
            f'<rect class="{kind}" x="{a:.1f}" y="{top:.1f}" width="{max(b - a, 0.5):.1f}" '
            f'height="{max(bottom - top, 0.5):.1f}"/>'
        )

    def rule(self, kind: str, *, x: float | None = None, y: float | None = None) -> None:
        """A straight line through the whole picture."""
        if x is not None:
            self.line([x, x], list(self.y), kind)
        if y is not None:
            self.line(list(self.x), [y, y], kind)

    def text(self, x: float, y: float, words: str, *, anchor: str = "start") -> None:
        """Words at a place of the data."""
        self._marks.append(
            f'<text x="{self._across(x):.1f}" y="{self._up(y) - 4:.1f}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def picture(self, uri: str) -> None:
        """An image over the whole field, row 0 on top."""
        self._marks.append(
            f'<image href="{uri}" x="{_LEFT}" y="{_TOP}" width="{WIDTH - _LEFT - _RIGHT}" '
            f'height="{self.height - _TOP - _BOTTOM}" preserveAspectRatio="none"/>'
        )

    def svg(self, alt: str) -> str:
        """The picture, with its alt text."""
        bottom, right = self.height - _BOTTOM, WIDTH - _RIGHT
        drawn = [f'<path class="vaer-axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>']
        shift = 0.5 if "x" in self.cells else 0.0
        for value in _whole(*self.x) if shift else ticks(*self.x):
            at = self._across(value + shift)
            drawn.append(f'<path class="vaer-axis" d="M{at:.1f} {bottom}v4"/>')
            drawn.append(
                f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">{number(value)}</text>'
            )
        shift = 0.5 if "y" in self.cells else 0.0
        up = decades(*self.y) if self.log_y else ticks(min(self.y), max(self.y), 5)
        for value in _whole(min(self.y), max(self.y)) if shift else up:
            at = self._up(value + shift)
            drawn.append(f'<path class="vaer-axis" d="M{_LEFT} {at:.1f}h-4"/>')
            drawn.append(
                f'<text x="{_LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{number(value)}</text>'
            )
        middle = (_TOP + bottom) / 2
        drawn.append(
            f'<text x="{(_LEFT + right) / 2}" y="{self.height - 6}" text-anchor="middle">'
            f"{escape(self.labels[0])}</text>"
            f'<text transform="translate(11 {middle})rotate(-90)" text-anchor="middle">'
            f"{escape(self.labels[1])}</text>"
        )
        return (
            f'<svg class="vaer-plot" role="img" aria-label="{escape(alt)}" '
            f'viewBox="0 0 {WIDTH} {self.height}">{"".join(self._marks + drawn)}</svg>'
        )

    def _across(self, value: float) -> float:
        low, high = self.x
        share = (min(max(value, low), high) - low) / (high - low)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _up(self, value: float) -> float:
        low, high = self.y
        value = min(max(value, min(self.y)), max(self.y))
        if self.log_y:
            low, high, value = math.log(low), math.log(high), math.log(value)
        bottom = self.height - _BOTTOM
        return bottom - (value - low) / (high - low) * (bottom - _TOP)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers between two, at most so many."""
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(s * unit for s in (1, 2, 5, 10) if s * unit >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    count = int(math.floor(high / step + 1e-9)) - first + 1
    return [round((first + i) * step, 12) for i in range(count)]


def _whole(low: float, high: float) -> list[float]:
    """Whole numbers at which things that are counted are named."""
    return [v for v in ticks(low, high, 8) if v == int(v) and v < high]


def decades(low: float, high: float, most: int = 5) -> list[float]:
    """Powers of ten between two positive numbers; round numbers where there is at most one."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first < 1:
        return [v for v in ticks(low, high, 4) if v > 0]
    return [10.0**k for k in range(first, last + 1, math.ceil((last - first + 1) / most))]


def row(images: Tensor, low: float, high: float) -> str:
    """A data URI of images (k, C, H, W) side by side, ``low`` black and ``high`` white.

    One channel is grey, three are colours; of any other number the first is shown.
    """
    x = shrunk(images.detach().cpu().float().nan_to_num(low, high, low))
    x = x if x.shape[1] == 3 else x[:, :1].expand(-1, 3, -1, -1)
    x = ((x - low) / (high - low)).clamp(0, 1)
    x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
    gap = max(1, x.shape[-1] // 16)
    x = torch.nn.functional.pad(x, (0, gap))
    side_by_side = torch.cat(list(x), -1)[..., :-gap]
    pixels = (255 * side_by_side).round().byte().permute(1, 2, 0).numpy()
    return _uri(Image.fromarray(pixels), lossy=max(images.shape[-2:]) > 64)


def shrunk(images: Tensor, largest: int = LARGEST) -> Tensor:
    """Images (k, C, H, W) averaged down until no side is longer than ``largest``."""
    height, width = images.shape[-2:]
    share = largest / max(height, width)
    if share >= 1:
        return images
    size = max(1, round(height * share)), max(1, round(width * share))
    return torch.nn.functional.interpolate(images, size, mode="area")


def coloured(values: Tensor, low: float, high: float, name: str = "viridis") -> str:
    """A data URI of a map: a matrix in matplotlib's colours; no colour where it is NaN."""
    from matplotlib import colormaps

    v = values.detach().cpu().double().numpy()
    share = np.clip((v - low) / ((high - low) or 1.0), 0, 1)
    pixels = colormaps[name](np.ma.masked_invalid(share), bytes=True)
    return _uri(Image.fromarray(np.asarray(pixels)))


def key(low: float, high: float, words: str, name: str = "viridis") -> str:
    """The colour bar under a map."""
    uri = coloured(torch.linspace(0, 1, 64, device="cpu")[None], 0, 1, name)
    bar = f'<img src="{uri}" alt="" role="presentation" width="96" height="10">'
    return (
        f'<p class="vaer-key"><span>{number(low)}</span>{bar}<span>{number(high)}</span> '
        f"<span>{escape(words)}</span></p>"
    )


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """(class of a line, its words) under a picture."""
    items = "".join(
        f'<li><svg width="26" height="10" aria-hidden="true"><path class="vaer-line {kind}" '
        f'd="M0 5H26"/></svg>{escape(words)}</li>'
        for kind, words in entries
    )
    return f'<ul class="vaer-legend">{items}</ul>'


def _uri(image: Image.Image, *, lossy: bool = False) -> str:
    memory, form = io.BytesIO(), "WEBP" if lossy else "PNG"
    image.save(memory, form, quality=90) if lossy else image.save(memory, form, optimize=True)
    data = base64.b64encode(memory.getvalue()).decode()
    return f"data:image/{form.lower()};base64,{data}"


def _widened(band: tuple[float, float], log: bool = False) -> tuple[float, float]:
    """The same, with a width and, for powers of ten, above 0."""
    low, high = band
    if log:
        low = max(low, high * 1e-12, 1e-300)
        return (low, high) if high > low * 1.0001 else (low / 3, low * 3)
    return (low, high) if abs(high - low) > 1e-12 * abs(high) else (low - 0.5, high + 0.5)
