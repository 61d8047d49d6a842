"""What a report holds: measures, suspects, tables of its pictures; and how it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.conditions import Condition, Conditions, Verdict

ORDER: tuple[Verdict, ...] = "fail", "look", "pass", "info", "skipped"


@dataclass(frozen=True)
class Measure:
    """One number of a report, with all that is needed to believe it or not."""

    key: str
    question: str
    value: float
    """NaN where it was skipped."""
    estimate: Estimate | None
    """With the error and the 95 % interval; None for what has none."""
    unit: str
    verdict: Verdict
    condition: Condition
    null: float | None
    """What chance, or sampling alone, would show; None where there is no such level."""
    reading: str
    """The number in a sentence, or why it was skipped."""
    chapter: str
    """The page of the book that explains it, without its ending."""
    cost_s: float
    """Wall seconds of the row it belongs to, shared between the row's numbers."""

    def __str__(self) -> str:
        shown = "–" if self.verdict == "skipped" else str(self.estimate or f"{self.value:.3g}")
        return f"{self.verdict:7} {self.key:18} {shown:>16} {self.unit:10} {self.reading}"


@dataclass(frozen=True)
class Suspect:
    """A fault that would explain what a report shows."""

    key: str
    sentence: str
    remedy: str
    evidence: tuple[str, ...]
    """Keys of the measures that point to it."""
    chapter: str


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """The report of one VAE; made by ``report``, read again by ``Report.load``.

    ``meta`` says on what: name, kind, shapes, sizes, seed, versions, seconds, what was left out,
    ``stopped`` (the stage that failed, or ``""``), checksum of the images. ``tables`` hold what the
    pictures are drawn of, and as ``each.KEY`` what each image brings to a number.
    """

    meta: Mapping[str, Any]
    measures: Mapping[str, Measure]
    suspects: tuple[Suspect, ...]
    tables: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all measures that were not skipped; ``"skipped"`` for none."""
        return min((m.verdict for m in self.measures.values()), key=ORDER.index, default="skipped")

    def judged(self, conditions: Conditions) -> "Report":
        """The same numbers under other thresholds, with the suspects that then remain."""
        from vae_course.report.suspects import suspects

        measures = {
            key: m
            if m.verdict == "skipped" or key not in conditions
            else replace(m, condition=conditions[key], verdict=conditions[key].verdict(m.value))
            for key, m in self.measures.items()
        }
        return Report(self.meta, MappingProxyType(measures), suspects(measures), self.tables)

    def save_json(self, path: str | Path) -> None:
        """Write all of it to a file that ``load``, ``compare`` and any other program can read."""
        from vae_course.report.written import write

        write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Report":
        """Read what ``save_json`` wrote; ValueError names the file and what is wrong with it."""
        from vae_course.report.written import read

        return read(Path(path))

    def save_html(self, path: str | Path) -> None:
        """Write one page that needs no network and no other file."""
        from vae_course.files import write_atomically
        from vae_course.report.page import page

        text = page(self)
        write_atomically(Path(path), lambda file: file.write_text(text, encoding="utf-8"))

    def _repr_html_(self) -> str:
        from vae_course.report.page import fragment

        return fragment(self)

    def __str__(self) -> str:
        lines = [f"{self.meta.get('name') or 'VAE'}: {self.verdict}"]
        lines += [f"suspect: {s.sentence} {s.remedy}" for s in self.suspects]
        lines += [str(m) for m in self.measures.values()]
        return "\n".join(lines)

    __repr__ = __str__
