"""Two models on the same images and the same noise: what really differs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.card import ORDER, Measure, Report
from vae_course.report.conditions import Condition, Conditions, Verdict


@dataclass(frozen=True)
class Difference:
    """One number of two reports."""

    key: str
    a: Measure
    b: Measure
    difference: Estimate | None
    """b - a; None where either was skipped. An infinite error says that none is known."""
    paired: bool
    """Whether the error is that of image-by-image differences; else the two errors were added,
    which bounds it from above."""
    better: str
    """``"a"`` or ``"b"``, the one nearer to passing; ``""`` where both pass, where nothing is
    judged, and where the interval of the difference holds 0."""

    @property
    def verdicts(self) -> tuple[Verdict, Verdict]:
        return self.a.verdict, self.b.verdict

    @property
    def differs(self) -> bool:
        """Whether the 95 % interval of the difference leaves 0 out."""
        return self.difference is not None and _apart(self.difference)

    def __str__(self) -> str:
        if self.difference is None:
            return f"{self.key:22} measured in one report only, or in none"
        d = self.difference
        gap = f"{d} ({'paired' if self.paired else 'unpaired'})"
        gap = gap if math.isfinite(d.error) else f"{d.value:.3g} (no error known)"
        said = f"{self.a.value:>10.4g} {self.b.value:>10.4g}  {gap}"
        return f"{self.key:22} {said} {'/'.join(self.verdicts)} {self.better}".rstrip()


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What ``compare`` found: two reports, and a row for each number of both."""

    a: Report
    b: Report
    rows: tuple[Difference, ...]

    @property
    def names(self) -> tuple[str, str]:
        """The models' names; A and B where they have none, or the same."""
        names = (str(self.a.meta.get("name") or "A"), str(self.b.meta.get("name") or "B"))
        return names if names[0] != names[1] else (f"{names[0]} (A)", f"{names[1]} (B)")

    def save_html(self, path: str | Path) -> None:
        """Write one page that needs no network and no other file."""
        from vae_course.files import write_atomically
        from vae_course.report.comparison import page

        text = page(self)
        write_atomically(Path(path), lambda file: file.write_text(text, encoding="utf-8"))

    def save_json(self, path: str | Path) -> None:
        """Write the rows to a file that any program can read."""
        from vae_course.report.written import write_comparison

        write_comparison(self, Path(path))

    def _repr_html_(self) -> str:
        from vae_course.report.comparison import fragment

        return fragment(self)

    def __str__(self) -> str:
        a, b = self.names
        return "\n".join([f"{b} - {a}: {self.b.verdict} - {self.a.verdict}", *map(str, self.rows)])

    __repr__ = __str__


def compare(a: Report, b: Report) -> Comparison:
    r"""The difference of each number of two reports, with its error.

    Where both reports keep what each unit (an image, a tenth of them, a code) brings to a number,
    the difference is paired:

    .. math:: \Delta = b - a, \qquad \mathrm{error}^2 = \frac{1}{n}
              \operatorname{Var}_i(\mathrm{each}^b_i - \mathrm{each}^a_i),

    with Student's interval of n - 1 degrees of freedom: what makes an image hard for both models
    cancels. Elsewhere the two errors are added, an upper bound whatever the two share, and the row
    says that it is not paired. Both are judged by the thresholds of ``a``.

    Of many numbers one in twenty leaves 0 out by chance.

    Raises:
        TypeError: for what is no ``Report``.
        ValueError: unless both were made with the same images, seed and sizes; it says what is not
            the same.

    Example:

    >>> import math, torch
    >>> from vae_course.report import compare, report
    >>> x = torch.rand(64, 1, 8, 8)
    >>> blur = torch.nn.AvgPool2d(3, 1, 1)
    >>> made = [
    ...     report(lambda x: x - 0.5, lambda z, f=f: f(z + 0.5), x, only=["fit"], progress=False,
    ...            budget=math.inf) for f in (torch.nn.Identity(), blur)
    ... ]
    >>> [row.better for row in compare(*made).rows if row.key == "fit"]
    ['a']

    Source: derived; paired differences are any textbook's.
    """
    for name, given in (("a", a), ("b", b)):
        if not isinstance(given, Report):
            raise TypeError(
                f"{name} is {type(given).__name__}: give a Report, or Report.load(path)"
            )
    _check(a.meta, b.meta)
    conditions = {key: m.condition for key, m in a.measures.items()}
    if any(m.condition != conditions.get(key, m.condition) for key, m in b.measures.items()):
        b = b.judged(Conditions(conditions))
    rows = [
        _row(a.measures[key], b.measures[key], a.tables, b.tables)
        for key in a.measures
        if key in b.measures
    ]
    return Comparison(a, b, tuple(rows))


def _check(a: Mapping[str, Any], b: Mapping[str, Any]) -> None:
    """ValueError unless two reports looked at the same things."""
    unequal = []
    if not a.get("data") or a.get("data") != b.get("data"):
        ranges = a.get("value_range"), b.get("value_range")
        unequal.append(
            f"images (in {ranges[0]} and {ranges[1]})" if ranges[0] != ranges[1] else "images"
        )
    if a.get("seed") != b.get("seed"):
        unequal.append(f"seed ({a.get('seed')} and {b.get('seed')})")
    sizes = [dict(meta.get("sizes") or {}) for meta in (a, b)]
    unlike = [k for k in sizes[0] | sizes[1] if sizes[0].get(k) != sizes[1].get(k)]
    if unlike:
        shown = ", ".join(f"{k}: {sizes[0].get(k)} and {sizes[1].get(k)}" for k in unlike)
        unequal.append(f"sizes ({shown})")
    if unequal:
        raise ValueError(
            f"a and b differ in their {', '.join(unequal)}: only reports of the same images and "
            "noise can be compared. Make both with report(the same images, seed=..., sizes=..., "
            "budget=math.inf)"
        )


def _row(
    a: Measure, b: Measure, in_a: Mapping[str, Tensor], in_b: Mapping[str, Tensor]
) -> Difference:
    if "skipped" in (a.verdict, b.verdict):
        return Difference(a.key, a, b, None, False, "")
    each = in_a.get(f"each.{a.key}"), in_b.get(f"each.{a.key}")
    paired = _paired(a, b, *each)
    difference = paired or _added(a, b)
    return Difference(a.key, a, b, difference, paired is not None, _better(a, b, difference))


def _paired(a: Measure, b: Measure, of_a: Tensor | None, of_b: Tensor | None) -> Estimate | None:
    if of_a is None or of_b is None or of_a.shape != of_b.shape or of_a.numel() < 2:
        return None
    gaps = (of_b.double() - of_a.double()).flatten()
    if not gaps.isfinite().all():
        return None
    cut = sum(m.estimate.truncation for m in (a, b) if m.estimate)
    error = gaps.std().item() / len(gaps) ** 0.5
    return Estimate.t(b.value - a.value, error, len(gaps), truncation=cut)


def _added(a: Measure, b: Measure) -> Estimate:
    value = b.value - a.value
    if a.estimate is None or b.estimate is None:
        return Estimate(value, math.inf, -math.inf, math.inf)
    one, other = a.estimate, b.estimate
    half = (one.high - one.low + other.high - other.low) / 2
    cut = one.truncation + other.truncation
    n = min(one.n, other.n)
    return Estimate(value, one.error + other.error, value - half, value + half, cut, n)


def _better(a: Measure, b: Measure, difference: Estimate) -> str:
    """Which is nearer to passing; "" unless the difference is real, or no error is known and the
    verdicts differ."""
    known = math.isfinite(difference.error)
    if not (_apart(difference) if known else a.verdict != b.verdict):
        return ""
    ranks = [(ORDER.index(m.verdict), -_away(a.condition, m.value)) for m in (a, b)]
    if ranks[0] == ranks[1]:
        return ""
    return "ab"[ranks[1] > ranks[0]]


def _away(condition: Condition, value: float) -> float:
    """How far outside the band in which it passes; infinite for NaN."""
    low, high = condition.passes or condition.fails or (-math.inf, math.inf)
    return math.inf if math.isnan(value) else max(low - value, value - high, 0.0)


def _apart(difference: Estimate) -> bool:
    return difference.low > 0 or difference.high < 0
