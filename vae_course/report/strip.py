"""A number on its bands: where it passes, where it is to be looked at, where it fails."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vae_course.evaluation import Estimate
from vae_course.report.card import Measure
from vae_course.report.conditions import Condition

TINY = 1e-9


@dataclass(frozen=True)
class Scale:
    """From numbers to a share of the strip's width, 0 to 1."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Where a number stands; at an edge where it lies beyond."""
        if math.isnan(value):
            return 0.0
        low, high, v = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, v = math.log(low), math.log(high), math.log(v)
        return (v - low) / (high - low)


class Mark(NamedTuple):
    """A value on the strip: of one model, or of two."""

    value: float
    estimate: Estimate | None
    name: str = ""


def scale(condition: Condition, values: Sequence[float]) -> Scale | None:
    """A scale that shows all ends of the bands and the values; None where nothing can be shown.

    A value far outside the bands does not squeeze them: it stands at the edge.
    """
    ends = [v for b in (condition.passes, condition.fails) if b for v in b if math.isfinite(v)]
    values = [v for v in values if math.isfinite(v)]
    shown = sorted({*ends, *values})
    if not shown or (len(shown) < 2 and not ends):
        return None
    # An end at 0, or at the 1e-12 that stands for it, is that of what can't be negative.
    positive = [v for v in shown if v > TINY]
    ratio = 4 if ends and min(ends) > TINY else 25
    if positive and shown[0] >= 0 and max(positive) > ratio * min(positive):
        low, high = min(positive), max(positive)
        if inner := [v for v in ends if v > TINY]:
            capped = any(b and math.isfinite(b[1]) for b in (condition.passes, condition.fails))
            low, high = max(low, min(inner) / 1e3), min(high, max(inner) * (30 if capped else 1e3))
        return Scale(low / 2, high * 2, True)
    low, high = shown[0], shown[-1]
    if ends:
        width = max(ends) - min(ends) or max(abs(max(ends)), 1.0)
        low, high = max(low, min(ends) - 1.5 * width), min(high, max(ends) + 1.5 * width)
    pad = 0.12 * (high - low) or 0.5 * max(abs(high), 1.0)
    return Scale(low - pad, high + pad)


def strip(measure: Measure, *marks: Mark) -> str:
    """The strip as inline SVG, any width; "" for a number with neither bands nor null.

    ``marks``: the values, by default the measure's own.
    """
    marks = marks or (Mark(measure.value, measure.estimate),)
    condition, null = measure.condition, measure.null
    judged = condition.passes is not None or condition.fails is not None
    if not judged and null is None and len(marks) < 2:
        return ""
    ends = [v for m in marks if m.estimate for v in (m.estimate.low, m.estimate.high)]
    spread = scale(condition, [*(m.value for m in marks), *ends, *([] if null is None else [null])])
    if spread is None:
        return ""
    height = 12 * len(marks) + 12
    kind = "vaer-zone-fail" if judged else "vaer-track"
    drawn = f'<rect class="{kind}" width="100%" y="{height - 5}" height="2"/>'
    if judged:
        drawn += _zone("look", condition.fails, spread, height)
        drawn += _zone("pass", condition.passes, spread, height)
    if null is not None and math.isfinite(null):
        drawn += _glyph("null", spread.at(null), height - 4, "M0-6L4 0 0 6-4 0Z")
    for i, mark in enumerate(marks):
        drawn += _value(mark, spread, 7 + 12 * i, "-b" if i else "")
    data = f'data-low="{float(spread.low)!r}" data-high="{float(spread.high)!r}"'
    return (
        f'<svg class="vaer-strip" aria-hidden="true" height="{height + 4}" width="100%" '
        f'{data} data-log="{int(spread.logarithmic)}">{drawn}</svg>'
    )


def _zone(name: str, zone: tuple[float, float] | None, spread: Scale, height: int) -> str:
    """A zone's bar: the better, the thicker. Without a band that fails all may be looked at."""
    low, high = zone or (-math.inf, math.inf)
    start, end = spread.at(low), spread.at(high)
    thick = 10 if name == "pass" else 6
    width = max(end - start, 0.008)
    return (
        f'<rect class="vaer-zone vaer-zone-{name}" x="{start:.2%}" width="{width:.2%}" '
        f'y="{height - 4 - thick / 2:g}" height="{thick}"/>'
    )


def _value(mark: Mark, spread: Scale, y: float, kind: str) -> str:
    at = spread.at(mark.value)
    if math.isnan(mark.value):
        return ""
    if not spread.low <= mark.value <= spread.high:
        edge = "M-9-5L0 0-9 5Z" if mark.value > spread.high else "M9-5L0 0 9 5Z"
        return _glyph(f"dot{kind}", at, y, edge)
    drawn = ""
    if mark.estimate and mark.estimate.high > mark.estimate.low:
        low, high = spread.at(mark.estimate.low), spread.at(mark.estimate.high)
        drawn = f'<line class="vaer-whisker" x1="{low:.2%}" x2="{high:.2%}" y1="{y}" y2="{y}"/>'
    dot = "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z"
    if kind:
        dot = "M-4-4h8v8h-8Z"
    return drawn + _glyph(f"dot{kind}", at, y, dot)


def _glyph(name: str, at: float, y: float, path: str) -> str:
    return (
        f'<svg x="{at:.2%}" y="{y}" overflow="visible"><path class="vaer-{name}" d="{path}"/></svg>'
    )
