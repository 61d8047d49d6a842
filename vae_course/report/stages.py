"""Row after row, stage by stage, within what is left of the budget."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tqdm.auto import tqdm

from vae_course.evaluation import Estimate
from vae_course.report.card import Measure
from vae_course.report.conditions import Conditions
from vae_course.report.measures import MEASURES, ROWS, Found, Unmeasured
from vae_course.report.plan import RESTS, USES, costs, enough, plan
from vae_course.report.study import Study

LATE = 1.15
"""A row that would end later than this times the budget is not begun."""


class Work:
    """The measuring of one study, and what has come of it so far.

    Args:
        study: its sizes are the most of everything that is looked at.
        conditions: that judge.
        budget: seconds from ``began``, a reading of ``time.perf_counter``.
        left_out: row -> why it is not measured, known beforehand.
    """

    def __init__(
        self,
        study: Study,
        conditions: Conditions,
        budget: float,
        began: float,
        *,
        left_out: Mapping[str, str],
    ) -> None:
        self.study, self.conditions, self.wanted = study, conditions, study.sizes
        self.budget, self.began = budget, began
        self.left_out = dict(left_out)
        self.measures: dict[str, Measure] = {}
        self.stopped = ""
        """The stage that failed."""
        self.interrupted = False
        self._used: dict[str, int] = {}

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.began

    def measure(self, rows: Sequence[str], *, channels: int, stop: bool, progress: bool) -> None:
        """All of the rows; after a failed stage the rest is skipped, if ``stop``."""
        self.study.time()
        bar = tqdm(rows, disable=not progress, unit="row", leave=False)
        for i, row in enumerate(bar):
            bar.set_description(f"{ROWS[row].stage}: {row}")
            if not (self.stopped or self.interrupted) and row not in self.left_out:
                self._fit_in(row, [r for r in rows[i:] if r not in self.left_out], channels, i > 0)
            before = self.spent
            found = self._found(row)
            self._keep(row, found, self.spent - before)
            failed = any(m.verdict == "fail" for m in self.measures.values() if m.key in _of(row))
            if stop and failed and not self.stopped:
                self.stopped = ROWS[row].stage
        bar.close()

    def _fit_in(self, row: str, rest: Sequence[str], channels: int, encoded: bool) -> None:
        """Sizes for what is left of the budget; a row has no turn where its least is too much.

        Anew before each row, for models take longer or less long than they did when timed; but a
        size that a row before has used stays.
        """
        study = self.study
        if (under := RESTS.get(row)) in self.left_out:
            self.left_out[row] = self.left_out[str(under)]
            return
        drawn_up = plan(
            max(self.budget - self.spent, 1e-9),
            study.speed,
            channels=channels,
            rows=rest,
            wanted=self.wanted,
            encoded=encoded,
        )
        study.sizes = replace(drawn_up.sizes, **self._used)
        cost = costs(study.sizes, study.speed, channels).get(row, 0)
        late = self.spent + cost > LATE * self.budget
        if late or row in drawn_up.left_out:
            ask = enough(self.spent + drawn_up.seconds + sum(drawn_up.left_out.values()))
            self.left_out[row] = (
                f"left out: its least takes about {cost:.0f} s, after {self.spent:.0f} s of "
                f"{self.budget:.0f}; budget={ask} would do"
            )
            return
        for name in ("images", "decoded", *USES.get(row, ())):
            self._used[name] = getattr(study.sizes, name)

    def _found(self, row: str) -> Mapping[str, Found | Unmeasured] | Unmeasured:
        if self.interrupted:
            return Unmeasured("interrupted before its turn")
        if self.stopped and ROWS[row].stage != self.stopped:
            return Unmeasured(
                f"not measured: the stage {self.stopped!r} failed, and this rests on it"
            )
        if row in self.left_out:
            return Unmeasured(self.left_out[row])
        try:
            return self.study.row(row)
        except Unmeasured as why:
            return why
        except (ArithmeticError, MemoryError, RuntimeError, TypeError, ValueError) as why:
            # A model can break one number in many ways; the others are still worth having.
            return Unmeasured(f"could not be measured: {why}")
        except KeyboardInterrupt:
            self.interrupted = True
            return Unmeasured("interrupted while it was measured")

    def _keep(
        self, row: str, found: Mapping[str, Found | Unmeasured] | Unmeasured, seconds: float
    ) -> None:
        keys = _of(row)
        for key in keys:
            one = found if isinstance(found, Unmeasured) else found.get(key)
            self.measures[key] = _judged(key, one, self.conditions, seconds / len(keys))
            if isinstance(one, Found) and one.each is not None:
                self.study.tables[f"each.{key}"] = one.each


def _of(row: str) -> list[str]:
    return [key for key, q in MEASURES.items() if q.row == row]


def _judged(
    key: str, found: Found | Unmeasured | None, conditions: Conditions, seconds: float
) -> Measure:
    """One number with its verdict; skipped with its reason where there is none."""
    q, condition = MEASURES[key], conditions[key]
    if isinstance(found, Found):
        reading = found.reading
    else:
        reading = str(found or "could not be told here")
    blank = Measure(
        key,
        q.question,
        math.nan,
        None,
        q.unit,
        "skipped",
        condition,
        None,
        reading,
        q.chapter,
        seconds,
    )
    if not isinstance(found, Found):
        return blank
    estimate = found.value if isinstance(found.value, Estimate) else None
    value = float(found.value.value if isinstance(found.value, Estimate) else found.value)
    verdict = condition.verdict(value)
    return replace(blank, value=value, estimate=estimate, verdict=verdict, null=found.null)
