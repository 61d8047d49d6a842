"""Claims: what a page says, what was expected, what was measured, and whether they agree.

A lab calls ``claim``. Its record becomes one JSON file, and the book prints
numbers only from those files: prose and measurement cannot part company.
"""

import json
import math
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from vae_course.files import write_atomically
from vae_course.lab.claims import Claim, Values

TIERS = ("smoke", "class", "full", "paper")
_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")


@runtime_checkable
class Detachable(Protocol):
    """A tensor; torch itself is imported by those who have one, for the book reads claims too."""

    def detach(self) -> Any: ...


class ClaimFailed(AssertionError):
    """A measurement left its bounds while ``VAE_COURSE_STRICT=1``."""


Number = float | Iterable[float] | Detachable


def claim(
    id: str,
    value: Number,
    *,
    statement: str,
    source: str,
    expected: float | None = None,
    tolerance: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    seeds: Iterable[int] | None = None,
    halfway: Number | None = None,
    null: Mapping[str, Number] = MappingProxyType({}),
    control: Mapping[str, Number] = MappingProxyType({}),
    refuted: str = "",
    power: Mapping[str, Number] = MappingProxyType({}),
    identity: str = "",
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
        halfway: The value in a second run of half the steps, with its own whole schedule and the
            same seeds. None: what such a run recorded in the folder ``VAE_COURSE_HALFWAY``, which
            ``make full`` sets.
        null: The same measure where there is nothing to find, by a name in words: a perfect code
            with as many points, permuted labels, an untrained network.
        control: The same measure without what the claim is about, all else being equal.
        refuted: Why the claim, as its source states it, is false. Its bounds are then the
            source's, and must *not* hold.
        power: For a refuted claim: a case in which the same measure says yes.
        identity: Why the bounds can't but hold, for a claim that checks arithmetic.

    Raises:
        ValueError: Ill-formed id, no or non-finite values, a count of seeds that differs from the
            count of values, a tolerance without an expected value, power for a claim that is not
            refuted, an identity that is.
        ClaimFailed: Bounds violated (or a refuted claim confirmed) under ``VAE_COURSE_STRICT=1``.

    Example:
        >>> claim("demo.gap", 1.6, statement="Gap in nats.", source="measured", at_least=1.4,
        ...       null={"a perfect code of as many images": 1.28}).verdict
         holds  demo.gap = 1.6, expected ≥ 1.4; a perfect code of as many images 1.28
        'holds'
    """
    if not _ID.fullmatch(id):
        raise ValueError(f"id must look like 'chapter.what_was_measured', got {id!r}")
    values = _finite(value, f"value of claim {id!r}")
    seeds = None if seeds is None else tuple(seeds)
    if seeds is not None and len(seeds) != len(values):
        raise ValueError(f"claim {id!r} has {len(values)} values for {len(seeds)} seeds")
    if tolerance is not None and (expected is None or tolerance < 0):
        raise ValueError(f"tolerance of claim {id!r} needs expected=, and must not be negative")
    if power and not refuted:
        raise ValueError(f"power= of claim {id!r} is for a claim that is refuted=")
    if identity and refuted:
        raise ValueError(f"claim {id!r} is refuted= and identity=: what can't fail can't be false")

    def finite(references: Mapping[str, Number], kind: str) -> Values:
        return {k: _finite(v, f"{kind} {k!r} of claim {id!r}") for k, v in references.items()}

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
        identity=identity,
        halfway=_halfway(id) if halfway is None else _finite(halfway, f"halfway of claim {id!r}"),
        null=finite(null, "null"),
        control=finite(control, "control"),
        power=finite(power, "power"),
        tier=tier(),
        machine=machine(),
    )
    record("claims", id, asdict(result))
    print(result)
    if result.verdict == "fails" and os.environ.get("VAE_COURSE_STRICT") == "1":
        raise ClaimFailed(str(result))
    return result


def _finite(value: Number, name: str) -> tuple[float, ...]:
    given: Any = value.detach().flatten().tolist() if isinstance(value, Detachable) else value
    values = tuple(float(v) for v in (given if isinstance(given, Iterable) else [given]))
    if not values or not all(math.isfinite(v) for v in values):
        raise ValueError(f"{name} must be finite numbers, got {values}")
    return values


def _halfway(id: str) -> tuple[float, ...] | None:
    folder = os.environ.get("VAE_COURSE_HALFWAY")
    path = Path(folder) / "claims" / f"{id}.json" if folder else None
    return _read(path).values if path is not None and path.exists() else None


def tier() -> str:
    """``smoke``, ``class`` (the default), ``full`` or ``paper``, from ``VAE_COURSE_TIER``."""
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
    claims = (_read(path) for path in sorted(Path(folder).glob("**/claims/*.json")))
    return {result.id: result for result in claims}


def _read(path: Path) -> Claim:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        for name in ("values", "seeds", "halfway"):
            content[name] = None if content[name] is None else tuple(content[name])
        for name in ("null", "control", "power"):
            content[name] = {k: tuple(v) for k, v in content[name].items()}
        return Claim(**content)
    except (AttributeError, TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is not a claim's record ({error!r}): delete it and run its lab"
        ) from error
