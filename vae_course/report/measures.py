"""The registry: every number that can be asked of a trained VAE, for the report and the Atlas."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.conditions import Condition

if TYPE_CHECKING:
    from vae_course.report.posterior import Kind
    from vae_course.report.study import Study

Stage = Literal["wiring", "range", "moments", "cycle", "samples", "space", "geometry"]
STAGES: tuple[Stage, ...] = (
    "wiring",
    "range",
    "moments",
    "cycle",
    "samples",
    "space",
    "geometry",
)


class Unmeasured(Exception):
    """Why a row can't be measured here; its numbers are skipped with this sentence."""


class Found(NamedTuple):
    """What a row found for one of its numbers."""

    value: float | Estimate
    reading: str
    """The number in a sentence a reader can act on, units included."""
    null: float | None = None
    each: Tensor | None = None
    """One number a unit (an image, a code, a group of images) whose mean is the value, to first
    order: what ``compare`` pairs. The units are the same for any model of the same images."""


@dataclass(frozen=True)
class Question:
    """One number: what it answers, for which codes it is defined, and when it is good."""

    key: str
    row: str
    """The row that measures it, with others of the same question."""
    stage: Stage
    question: str
    formula: str
    """In words and Unicode, as it stands on the page."""
    unit: str
    chapter: str
    condition: Condition
    null: str
    """What the null is; "" where there is none."""
    kinds: frozenset[Kind]
    """The kinds of codes that it is defined for."""
    held_out: bool
    """Whether images that the model was not trained on can show another value."""

    def of(self, study: Study) -> Found:
        """The number for one VAE and its images; ``Unmeasured`` says why there is none.

        A row is measured once a study. A number that its row could not find is unmeasured too.
        """
        if study.kind not in self.kinds:
            raise Unmeasured(f"not defined for codes of kind {study.kind!r}")
        found = study.row(self.row).get(self.key, Unmeasured("its row could not tell it here"))
        if isinstance(found, Unmeasured):
            raise found
        return found


@dataclass(frozen=True)
class Row:
    """What is measured at once."""

    name: str
    stage: Stage
    chapter: str
    kinds: frozenset[Kind]
    home: str
    """The module of ``vae_course.report`` with a function of the row's name."""

    @property
    def measure(self) -> Callable[[Study], Mapping[str, Found | Unmeasured]]:
        """The function: a study -> what was found by key, or why it was not."""
        from vae_course.report import (
            codebook,
            cycle,
            directions,
            gains,
            geometry,
            moments,
            ranges,
            rates,
            responses,
            samples,
            space,
            wiring,
        )

        # Imported by their names, and passed on as values: so a lab's key follows them.
        return getattr({
            "codebook": codebook, "cycle": cycle, "directions": directions, "gains": gains,
            "geometry": geometry, "moments": moments, "ranges": ranges, "rates": rates,
            "responses": responses, "samples": samples, "space": space, "wiring": wiring,
        }[self.home], self.name)  # fmt: skip


_DATA = tomllib.loads(Path(__file__).with_name("measures.toml").read_text(encoding="utf-8"))


def _question(key: str, said: Mapping[str, Any]) -> Question:
    row = ROWS[said["row"]]
    passes, fails = (tuple(said[name]) if name in said else None for name in ("passes", "fails"))
    return Question(
        key,
        row.name,
        row.stage,
        said["question"],
        said["formula"],
        said.get("unit", ""),
        row.chapter,
        Condition(passes, fails, said.get("ground", "")),
        said.get("null", ""),
        row.kinds,
        said.get("held_out", True),
    )


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        name: Row(name, **said | {"kinds": frozenset(said["kinds"])})
        for name, said in _DATA["rows"].items()
    }
)
"""Name → what is measured at once, in the order of the stages."""

MEASURES: Mapping[str, Question] = MappingProxyType(
    {key: _question(key, said) for key, said in _DATA["numbers"].items()}
)
"""Name → what the number is; ``MEASURES[key].of(study)`` measures it."""

LEFT_OUT: Mapping[str, str] = MappingProxyType(_DATA["left_out"])
"""What is left out on purpose, and why."""
