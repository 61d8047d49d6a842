"""When a number passes, and when it fails: every threshold is data that a user can change."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Literal

Verdict = Literal["pass", "look", "fail", "info", "skipped"]
Band = tuple[float, float]


@dataclass(frozen=True)
class Condition:
    """A number inside ``passes`` passes, outside ``fails`` it fails; between the two: look.

    Either band may be open (``-math.inf``, ``math.inf``). No bands: the number is information.
    """

    passes: Band | None = None
    fails: Band | None = None
    """The band *outside* which the number fails; None: it never fails."""
    ground: str = ""
    """Where the thresholds come from."""

    def __post_init__(self) -> None:
        for name, band in (("passes", self.passes), ("fails", self.fails)):
            if band is None:
                continue
            if len(band) != 2 or not band[0] <= band[1]:  # NaN too
                raise ValueError(f"{name}={band}: give (low, high), low <= high")
        if self.passes and self.fails:
            (low, high), (least, most) = self.passes, self.fails
            if low < least or high > most:
                raise ValueError(
                    f"passes={self.passes} must lie within fails={self.fails}: outside the latter "
                    "a number fails"
                )

    def verdict(self, value: float) -> Verdict:
        """``"fail"`` for what is not finite, where anything can fail."""
        if self.passes is None and self.fails is None:
            return "info"
        if self.fails and not self.fails[0] <= value <= self.fails[1]:
            return "fail"
        if self.passes and not self.passes[0] <= value <= self.passes[1]:
            return "look"
        return "pass"


@dataclass(frozen=True)
class Conditions(Mapping[str, Condition]):
    """The condition of each measure; ``replace`` gives others.

    >>> from vae_course.report.conditions import DEFAULT
    >>> DEFAULT.replace(scale_declared=(0.5, 1.5))["scale_declared"].verdict(1.6)
    'fail'
    """

    by_key: Mapping[str, Condition] = field(default_factory=lambda: MappingProxyType({}))

    def __getitem__(self, key: str) -> Condition:
        return self.by_key[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_key)

    def __len__(self) -> int:
        return len(self.by_key)

    def replace(self, **changed: Condition | Band | None) -> "Conditions":
        """With some changed: a ``Condition``; a band, outside which the number fails (that in
        which it passes is cut to it); or None, for information only. ValueError for no measure."""
        new = dict(self.by_key)
        for key, value in changed.items():
            if key not in new:
                near = " or ".join(get_close_matches(key, new)) or "one of report.MEASURES"
                raise ValueError(f"conditions: there is no measure {key!r}; did you mean {near}?")
            if value is None:
                new[key] = Condition(ground="set by the user")
            elif isinstance(value, Condition):
                new[key] = value
            else:
                low, high = (float(v) for v in value)
                passes = new[key].passes or (-math.inf, math.inf)
                cut = max(passes[0], low), min(passes[1], high)
                new[key] = Condition(
                    cut if cut[0] <= cut[1] else (low, high), (low, high), "set by the user"
                )
        return Conditions(MappingProxyType(new))


def _default() -> Conditions:
    from vae_course.report.measures import MEASURES

    return Conditions(MappingProxyType({key: m.condition for key, m in MEASURES.items()}))


def __getattr__(name: str) -> Any:
    """``DEFAULT``: the thresholds of the registry, ``measures.MEASURES``."""
    if name != "DEFAULT":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = _default()
    return globals()[name]
