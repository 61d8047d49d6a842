"""Claims: what a page says, what was expected, what was measured, and whether they agree.

A lab calls ``claim``. Its record becomes one JSON file, and the book prints
numbers only from those files: prose and measurement cannot part company.
"""

import json
import math
import os
import platform
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vae_course.files import write_atomically

TIERS = ("smoke", "class", "full")
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")


@runtime_checkable
class Detachable(Protocol):
    """A tensor; torch itself is imported by those who have one, for the book reads claims too."""

    def detach(self) -> Any: ...


class ClaimFailed(AssertionError):
    """A measurement left its bounds while ``VAE_COURSE_STRICT=1``."""


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
    tier: str
    machine: Mapping[str, str]

    @property
    def value(self) -> float:
        return statistics.median(self.values)

    @property
    def in_bounds(self) -> bool | None:
        """Whether the median obeys every stated bound; None where none is stated."""
        checks = []
        if self.expected is not None and self.tolerance is not None:
            checks.append(abs(self.value - self.expected) <= self.tolerance)
        if self.at_least is not None:
            checks.append(self.value >= self.at_least)
        if self.at_most is not None:
            checks.append(self.value <= self.at_most)
        return all(checks) if checks else None

    @property
    def verdict(self) -> str:
        """``holds``, ``fails``, ``refuted``, ``measured`` (no bound) or ``not judged`` (smoke)."""
        if self.in_bounds is None:
            return "measured"
        if self.tier == "smoke":  # a few training steps can neither confirm nor refute
            return "not judged"
        if self.refuted:  # we say the claim is false; should it come true, that is our failure
            return "fails" if self.in_bounds else "refuted"
        return "holds" if self.in_bounds else "fails"

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
        spread = f" [{show(min(self.values))}, {show(max(self.values))}]" * (len(self.values) > 1)
        return f"{self.verdict:>10}  {self.id} = {show(self.value)}{spread}, expected {self.bounds}"


def claim(
    id: str,
    value: float | Iterable[float] | Detachable,
    *,
    statement: str,
    source: str,
    expected: float | None = None,
    tolerance: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    seeds: Iterable[int] | None = None,
    refuted: str = "",
) -> Claim:
    """Record what was measured, print the verdict, and judge it only under ``VAE_COURSE_STRICT=1``.

    Args:
        id: ``chapter.what_was_measured``, lower case.
        value: A number, or one number a seed, a tensor too; the *median* is judged.
        statement: The claim in a sentence, for the Scoreboard.
        source: Who says so: a paper, or "derived, see the chapter".
        expected: The value theory gives; judged when ``tolerance`` is given too.
        tolerance: Largest distance of the median from ``expected``.
        at_least: Lower bound on the median.
        at_most: Upper bound on the median.
        seeds: The seeds behind ``value``.
        refuted: Why the claim, as its source states it, is false. Its bounds are then the
            source's, and must *not* hold.

    Raises:
        ValueError: Ill-formed id, no or non-finite values, a count of seeds that differs from the
            count of values, a tolerance without an expected value.
        ClaimFailed: Bounds violated (or a refuted claim confirmed) under ``VAE_COURSE_STRICT=1``.
    """
    given: Any = value.detach().flatten().tolist() if isinstance(value, Detachable) else value
    values = tuple(float(v) for v in (given if isinstance(given, Iterable) else [given]))
    if not _ID.fullmatch(id):
        raise ValueError(f"id must look like 'chapter.what_was_measured', got {id!r}")
    if not values or not all(math.isfinite(v) for v in values):
        raise ValueError(f"value of claim {id!r} must be finite numbers, got {values}")
    seeds = None if seeds is None else tuple(seeds)
    if seeds is not None and len(seeds) != len(values):
        raise ValueError(f"claim {id!r} has {len(values)} values for {len(seeds)} seeds")
    if tolerance is not None and (expected is None or tolerance < 0):
        raise ValueError(f"tolerance of claim {id!r} needs expected=, and must not be negative")

    result = Claim(
        id=id,
        statement=statement,
        source=source,
        values=values,
        seeds=seeds,
        expected=expected,
        tolerance=tolerance,
        at_least=at_least,
        at_most=at_most,
        refuted=refuted,
        tier=tier(),
        machine=machine(),
    )
    record("claims", id, asdict(result))
    print(result)
    if result.verdict == "fails" and os.environ.get("VAE_COURSE_STRICT") == "1":
        raise ClaimFailed(str(result))
    return result


def tier() -> str:
    """``smoke``, ``class`` (the default) or ``full``, from ``VAE_COURSE_TIER``."""
    name = os.environ.get("VAE_COURSE_TIER", "class")
    if name not in TIERS:
        raise ValueError(f"VAE_COURSE_TIER must be one of {', '.join(TIERS)}, got {name!r}")
    return name


def machine() -> dict[str, str]:
    """What the number was measured on: processor or GPU, torch, Python."""
    import torch  # here: the book reads claims without it

    name = platform.machine()
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
    elif Path("/proc/cpuinfo").exists():
        model = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        name = model[1].strip() if model else name
    return {"device": name, "torch": torch.__version__, "python": platform.python_version()}


def record(kind: str, name: str, content: dict) -> Path | None:
    """Write ``content`` to ``$VAE_COURSE_RESULTS/kind/name.json``; without the variable, nowhere.

    Atomic: a reader or a killed writer never leaves half a file.
    """
    folder = os.environ.get("VAE_COURSE_RESULTS")
    if not folder:
        return None
    path = Path(folder) / kind / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))
    return path


def read_claims(folder: str | Path) -> dict[str, Claim]:
    """All claims recorded anywhere under a folder, by id; empty where nothing was recorded."""
    claims = {}
    for path in sorted(Path(folder).glob("**/claims/*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            seeds = content.pop("seeds")
            result = Claim(
                **{**content, "values": tuple(content["values"])},
                seeds=None if seeds is None else tuple(seeds),
            )
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(
                f"{path} is not a claim's record ({error}): delete it and run its lab"
            ) from error
        claims[result.id] = result
    return claims


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
