"""What a claim is, and the verdict that follows from its value, its bounds and its references."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STILL = 0.1  # a number without a bound stands still if it moved by no more than this part of itself
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Values = Mapping[str, tuple[float, ...]]  # in words what was measured, and its values


@dataclass(frozen=True)
class Claim:
    """One measured statement; ``value`` is the median of ``values``, one a seed."""

    id: str
    statement: str
    source: str
    values: tuple[float, ...]
    seeds: tuple[int, ...] | None
    expected: float | None
    tolerance: float | None
    at_least: float | None
    at_most: float | None
    refuted: str
    identity: str
    halfway: tuple[float, ...] | None
    null: Values
    control: Values
    power: Values
    tier: str
    machine: Mapping[str, str]

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    def obeys(self, value: float) -> bool | None:
        """Whether a value obeys every stated bound; None where none is stated."""
        checks = []
        if self.expected is not None and self.tolerance is not None:
            checks.append(abs(value - self.expected) <= self.tolerance)
        if self.at_least is not None:
            checks.append(value >= self.at_least)
        if self.at_most is not None:
            checks.append(value <= self.at_most)
        return all(checks) if checks else None

    @property
    def settled(self) -> bool | None:
        """Whether doubling the training left the statement alone; None without a half-way run.

        A value that is expected may move by its tolerance; a bounded one by so much that the same
        move again would not take it across a bound; one without bounds by a tenth of itself, or as
        far as its seeds scatter.
        """
        if self.halfway is None:
            return None
        half = statistics.median(self.halfway)
        moved = self.value - half
        if self.obeys(self.value) is None:
            scatter = max(self.values) - min(self.values)
            return abs(moved) <= max(STILL * abs(self.value), scatter)
        if self.tolerance is not None and abs(moved) > self.tolerance:
            return False
        if self.at_least is None and self.at_most is None:
            return True
        return self.obeys(half) is self.obeys(self.value) is self.obeys(self.value + moved)

    @property
    def told_apart(self) -> bool:
        """Whether the test could have come out otherwise, as far as its references say.

        A claim must fail for its null and its control. One that is refuted needs a case, its
        power, in which the same measure says yes.
        """
        if self.refuted:
            return bool(self.power) and all(self._obeyed(self.power))
        return not any(self._obeyed({**self.null, **self.control}))

    def _obeyed(self, references: Values) -> list[bool]:
        return [bool(self.obeys(statistics.median(values))) for values in references.values()]

    @property
    def verdict(self) -> str:
        """The first that applies, in this order.

        ``measured`` (no bound), ``not judged`` (smoke), ``fails``, ``identity``, ``not settled``,
        ``not supported``, ``refuted``, ``holds``.
        """
        inside = self.obeys(self.value)
        if inside is None:
            return "measured"
        if self.tier == "smoke":  # a few training steps can neither confirm nor refute
            return "not judged"
        if inside == bool(self.refuted):  # should a claim that we call false come true, we failed
            return "fails"
        if self.identity:
            return "identity"
        if self.settled is False:
            return "not settled"
        if not self.told_apart:
            return "not supported"
        return "refuted" if self.refuted else "holds"

    @property
    def bounds(self) -> str:
        """The bounds in words, for people."""
        parts = []
        if self.expected is not None:
            parts.append(show(self.expected))
            if self.tolerance is not None:
                parts[0] += f" ± {show(self.tolerance)}"
        if self.at_least is not None:
            parts.append(f"≥ {show(self.at_least)}")
        if self.at_most is not None:
            parts.append(f"≤ {show(self.at_most)}")
        return ", ".join(parts) or "no bound"

    def __str__(self) -> str:
        text = f"{self.verdict:>13}  {self.id} = {spread(self.values)}, expected {self.bounds}"
        if self.halfway is not None:
            text += f"; half-way {spread(self.halfway)}"
        for references in (self.null, self.control, self.power):
            text += "".join(f"; {name} {spread(values)}" for name, values in references.items())
        return text


def spread(values: Sequence[float]) -> str:
    """The median of some values, and their range if there is one: 0.31 [0.29, 0.35]."""
    low, high = show(min(values)), show(max(values))
    return show(statistics.median(values)) + (f" [{low}, {high}]" if low != high else "")


def show(value: float) -> str:
    """Three significant digits, as in prose: 0.0874, −1.55, 41.6; large whole numbers in full."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1000 and float(value).is_integer():
        return f"{value:,.0f}".replace("-", "−")
    if not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        text = f"{float(f'{value:.3g}'):,g}"
    return text.replace("-", "−")
