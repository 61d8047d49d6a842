"""A class's gradebook: which of a student's files counts, and what a teacher must look at.

Of several notebooks of one student the best counts, and of equals the one that was in time. Nothing
doubtful becomes a zero: points that nobody can know yet stay empty, and the summary names them.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_course.grading import grade, report
from vae_course.grading.assignment import Assignment
from vae_course.grading.handed_in import Pupil, Work

MOST = 5  # notebooks of one student that are graded: the last ones
Result = dict[str, Any]


def candidates(pupil: Pupil) -> list[Work]:
    """The notebooks from which the best is taken, the latest first."""
    notebooks = sorted((w for w in pupil.works if w.notebook), key=lambda w: w.order, reverse=True)
    return notebooks[:MOST]


@dataclass
class Graded:
    """Students with their files, and the results of these."""

    pupils: list[Pupil]
    astray: list[Pupil]  # works that belong to nobody yet
    told: Assignment
    results_of: dict[Path, Result | None] = field(default_factory=dict)
    errors: dict[Path, str] = field(default_factory=dict)  # of files that were not graded

    def wanted(self) -> list[Path]:
        """The files to grade."""
        pupils = [*self.pupils, *self.astray]
        return list(dict.fromkeys(work.path for p in pupils for work in candidates(p)))

    def best(self, pupil: Pupil) -> tuple[Work | None, Result | None]:
        """The file that counts and its result; no result where there is none to know."""
        found = candidates(pupil)
        if not found:
            if not pupil.works:
                return None, None
            names = ", ".join(report.line(w.path.name) for w in pupil.works[:4])
            reason = f"there is no notebook, only {names}"
            if all(work.path.is_dir() for work in pupil.works):
                reason = "there is no notebook: the folder is empty"
            return pupil.works[0], grade.result(self.told, {}, [], reason)
        if any(self.results_of[work.path] is None for work in found):
            return None, None

        def rank(work: Work) -> tuple[float, bool, bool]:
            result = self.results_of[work.path] or {}
            return result["score"], result["reason"] is None, not work.late

        counts = max(found, key=rank)
        return counts, self.results_of[counts.path]

    def score(self, pupil: Pupil) -> float | None:
        """Points; None where a file could not be graded, or may be among those astray."""
        _, result = self.best(pupil)
        if result is not None:
            return result["score"]
        return None if pupil.works or self.unclaimed() else 0

    def unclaimed(self) -> bool:
        """Whether there is a notebook of which nobody knows whose it is."""
        return any(candidates(pupil) for pupil in self.astray)

    def rows(self, title: str) -> list[dict[str, str]]:
        return [report.row(pupil.row, title, self.score(pupil)) for pupil in self.pupils]

    def results(self) -> list[Result]:
        """One of each student who handed something in."""
        found = [self.best(pupil)[1] for pupil in [*self.pupils, *self.astray]]
        return [result for result in found if result is not None]

    def notes(self, pupil: Pupil) -> list[str]:
        """What a student should know of her files."""
        counts, result = self.best(pupil)
        if counts is None or result is None:
            return []
        found, said = candidates(pupil), []
        if counts.late:
            said.append("Handed in late.")
        if len(found) > 1:
            said.append(f"Of your {len(found)} notebooks the best counts: {counts.path.name}.")
        in_time = [w for w in found if not w.late]
        if counts.late and in_time:
            scores = [(self.results_of[w.path] or {}).get("score", 0) for w in in_time]
            said.append(f"In time it was {report.points(max(scores))} points.")
        return said

    def pages(self) -> list[tuple[str, Result, list[str]]]:
        """Name, result and notes of each student's page."""
        made = []
        for pupil in [*self.pupils, *self.astray]:
            counts, result = self.best(pupil)
            if counts is not None and result is not None:
                made.append((counts.name, result, self.notes(pupil)))
        return made

    def files(self) -> list[dict[str, str]]:
        """One row a file: whose it is, whether late, its points, and whether they count."""
        table = []
        for pupil in [*self.pupils, *self.astray]:
            counts, best = self.best(pupil)
            graded = candidates(pupil)
            for work in pupil.works:
                result = self.results_of.get(work.path) if work in graded else None
                said = [*pupil.notes, (result or best or {}).get("reason") or ""]
                if work.notebook and work not in graded:
                    said.append(f"not graded: the last {MOST} notebooks are")
                elif work in graded and result is None:
                    said.append(f"not graded: {self.errors.get(work.path)}")
                told = {
                    "Student": pupil.row["Student"],
                    "ID": next((pupil.row[k] for k in report.COLUMNS[1:4] if pupil.row[k]), ""),
                    "File": f"{work.path.parent.name}/{work.path.name}"
                    if work.path.parent.name == work.name
                    else work.path.name,
                    "Late": "late" if work.late else "",
                    "Points": report.points(result["score"]) if result else "",
                    "Counts": "yes" if work is counts and pupil in self.pupils else "no",
                    "Note": "; ".join(filter(None, said)),
                }
                table.append({key: report.harmless(text) for key, text in told.items()})
        return table

    def doubts(self) -> str:
        """What a teacher has to look at, as lines of the summary; nothing if there is nothing."""
        lines = []
        for pupil in self.astray:
            names = ", ".join(sorted({report.line(w.name) for w in pupil.works}))
            lines.append(f"  {names}: {'; '.join(map(report.line, pupil.notes))}")
        for pupil in self.pupils:
            who = report.line(pupil.row["Student"])
            lines += [f"  {who}: {report.line(note)}" for note in pupil.notes]
            for w in candidates(pupil):
                if (error := self.errors.get(w.path)) is not None:
                    said = f"{w.path.name} was not graded, {error}; no points yet"
                    lines.append(f"  {who}: {report.line(said)}")
        if self.unclaimed():
            absent = [p for p in self.pupils if not p.works]
            lines += [
                f"  {report.line(p.row['Student'])}: nothing handed in, unless it is one of those "
                "above; no points yet"
                for p in absent
            ]
        if not lines:
            return ""
        heading = "Look at these, set them right, and give the same command again:"
        return "\n".join(["", heading, *lines]) + "\n"
