"""Reports of VAEs that are broken, or not: the reader finds the fault and the line behind it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import traitlets
from torch import Tensor

from vae_course.figures.base import Figure
from vae_course.figures.codes import check_images
from vae_course.report.measures import MEASURES, STAGES

if TYPE_CHECKING:
    from vae_course.report.card import Measure, Report

_CSS = """
.vf-bug .vf-paper { flex: 1.7 1 24rem; min-width: 0; }
.vf-bug .vf-lineup { flex: 1 1 15rem; min-width: 0; align-self: flex-start; position: sticky;
  top: 1rem; display: flex; flex-direction: column; gap: .75rem; }
.vf-bug [aria-label=Suspects] { display: grid; gap: .3rem;
  grid-template-columns: repeat(auto-fit, minmax(7.6rem, 1fr)); }
.vf-bug [aria-label=Suspects] button { font-size: 14px; line-height: 1.15; padding: .2rem .5rem; }
.vf-bug .vf-stage { font-size: 13px; color: var(--vf-muted);
  border-bottom: 1px solid var(--vf-line); margin-top: .6rem !important; }
.vf-bug .vf-stage:first-child { margin-top: 0 !important; }
.vf-bug ul { list-style: none; margin: 0 !important; padding: 0 !important; }
.vf-bug li { display: flex; flex-wrap: wrap; align-items: center; gap: 0 .75rem;
  margin: 0 !important; padding: .15rem .4rem; border-left: 4px solid transparent; }
.vf-bug li.vf-proof { border-left-color: var(--vf-accent); outline: 1px solid var(--vf-line); }
.vf-bug .vf-text { flex: 1.3 1 12rem; min-width: 0; }
.vf-bug .vf-question { font-size: 14px; line-height: 1.25; }
.vf-bug .vf-found { font-size: 13px; line-height: 1.4; color: var(--vf-muted); }
.vf-bug .vf-number { font-variant-numeric: tabular-nums; font-weight: 600; color: var(--vf-ink); }
.vf-bug .vf-verdict { margin: 0 .4em; color: var(--vf-ink); }
.vf-bug .vf-verdict[data-verdict=fail] { color: var(--vf-warn); font-weight: 700; }
.vf-bug .vf-verdict[data-verdict=look] { font-weight: 700; }
.vf-bug .vf-verdict:empty { display: none; }
.vf-bug li .vf-canvas { flex: 1 1 10rem; min-width: 0; }
.vf-bug li canvas { height: 36px; aspect-ratio: auto !important; }
.vf-bug .vf-album { margin-top: .75rem; }
.vf-bug .vf-album > div { display: flex; gap: .4rem; align-items: center; margin-bottom: .4rem; }
.vf-bug .vf-album .vf-note { flex: 0 0 2.6rem; }
.vf-bug .vf-album .vf-image { width: 64px; flex: 0 1 64px; min-width: 0; }
.vf-bug button.vf-culprit { border: 3px solid var(--vf-accent); font-weight: 700; }
.vf-bug .vf-readout { font-size: 16px; min-height: 1.4em; }
.vf-bug .vf-answer:empty { display: none; }
@media (max-width: 640px) { .vf-bug .vf-lineup { position: static; }
  .vf-bug .vf-readout { min-height: 2.8em; } }
"""


class Exhibit(NamedTuple):
    """One report, and what is wrong with what it reports on."""

    report: Report
    """Measured on past its failures (``report(..., stop=False)``): the figure hides the rest."""
    fault: str
    """The key of the suspect who did it."""
    proof: Sequence[str]
    """Keys of the measures that prove it."""
    why: str
    """Why they do, in a sentence or two."""
    pictures: Tensor | None = None
    """Some images, decoded from their centres and from a draw (2, n, h, w), clamped to 0..1."""


class NameTheBug(Figure, js="name_the_bug.js", css=_CSS):
    r"""Reports of VAEs that are broken, or not: the reader names the fault by the numbers alone.

    Each line shows a number with its interval and null on a strip of what passes, what is to be
    looked at and what fails. The report ends after the first stage that fails; measuring on, and
    pictures, are hints that cost a point of three. Once a suspect is named, the figure says who it
    was, marks the lines that prove it, and tells whom the report's own rules named first. Beside
    the reader's score stand that of the rules and that of a blind guess,
    :math:`1 / \text{suspects}` a report. The score is kept in the browser, for this page.

    After the reader's last touch the traits ``seed`` (of the order), ``shown`` (the place in it),
    ``answers`` (a suspect's key for each exhibit, "" where none was named) and ``hints`` hold
    where she is: 1 for pictures, 2 for measuring on, 3 for both, 4 more where that came after the
    answer. Setting them from Python moves the figure.

    Args:
        exhibits: 1 to 40 ``Exhibit``; all with pictures, or none.
        suspects: ``{key: words}``, 2 to 24, those who did nothing included; keys as in
            ``Suspect.key``, so that the rules' own answers can be compared.
        lines: Keys of the measures that are shown; default: all that any report has.
        images: The images that ``pictures`` were decoded for, (n, h, w), in 0..1.
        seed: Of the order of the exhibits.

    Raises:
        ValueError: For a fault that is no suspect, a proof or a line that no report has, pictures
            for some exhibits only, or of another size than the images, or sizes outside these.
    """

    spec = traitlets.Dict().tag(sync=True)
    # [{fault, named, other, proof, why, stopped, lines, further}]; a line is
    # [value, low, high, null, verdict], None for what is not there
    exhibits = traitlets.List(traitlets.Dict()).tag(sync=True)
    # uint8: the images (n, h, w), then two times n for each exhibit
    pictures = traitlets.Bytes().tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    shown = traitlets.Int(0).tag(sync=True)
    answers = traitlets.List(traitlets.Unicode()).tag(sync=True)
    hints = traitlets.List(traitlets.Int()).tag(sync=True)

    def __init__(
        self,
        exhibits: Sequence[Exhibit],
        suspects: Mapping[str, str],
        *,
        lines: Sequence[str] | None = None,
        images: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        _check(exhibits, suspects, images)
        measured = {key: m for e in exhibits for key, m in e.report.measures.items() if _found(m)}
        keys = [key for key in MEASURES if key in measured and (lines is None or key in lines)]
        for name, asked in (("lines", lines or ()), *(("proof", e.proof) for e in exhibits)):
            if missing := [key for key in asked if key not in keys]:
                raise ValueError(f"{name} must be measured in some report and shown: not {missing}")
        rows = [_exhibit(e, keys, suspects) for e in exhibits]
        height, width = (0, 0) if images is None else images.shape[1:]
        super().__init__(
            spec={
                "suspects": dict(suspects),
                "stages": list(dict.fromkeys(MEASURES[key].stage for key in keys)),
                "lines": [_line(measured[key]) for key in keys],
                "image": {
                    "count": 0 if images is None else len(images),
                    "rows": height,
                    "columns": width,
                },
                # of what the score is a score: other exhibits begin at 0
                "mark": hashlib.sha256(json.dumps([rows, [*suspects]]).encode()).hexdigest()[:12],
            },
            exhibits=rows,
            pictures=_packed(exhibits, images),
            seed=seed,
            answers=[""] * len(exhibits),
            hints=[0] * len(exhibits),
        )


def _check(exhibits: Sequence[Exhibit], suspects: Mapping[str, str], images: Tensor | None) -> None:
    if not 1 <= len(exhibits) <= 40:
        raise ValueError(f"exhibits must be 1 to 40, got {len(exhibits)}")
    if not 2 <= len(suspects) <= 24:
        raise ValueError(f"suspects must be 2 to 24, got {len(suspects)}")
    if faults := [e.fault for e in exhibits if e.fault not in suspects]:
        raise ValueError(f"fault must be one of the suspects {[*suspects]}, got {faults}")
    if images is not None:
        check_images(images, len(images))
    for e in exhibits:
        if (e.pictures is None) != (images is None):
            raise ValueError("pictures must come with images, and for all exhibits or for none")
        if images is not None and e.pictures is not None and e.pictures.shape != (2, *images.shape):
            raise ValueError(
                f"pictures must be (2, n, h, w) = (2, {', '.join(map(str, images.shape))}), got "
                f"{tuple(e.pictures.shape)}"
            )


def _found(measure: Measure) -> bool:
    return measure.verdict != "skipped" and math.isfinite(measure.value)


def _finite(value: float | None) -> float | None:
    """Four digits are enough to be drawn; what is not finite is not there."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.4g}")


def _band(band: tuple[float, float] | None) -> list[float | None] | None:
    return None if band is None else [_finite(end) for end in band]


def _line(measure: Measure) -> dict[str, Any]:
    return {
        "key": measure.key,
        "stage": MEASURES[measure.key].stage,
        "question": measure.question,
        "unit": measure.unit,
        "passes": _band(measure.condition.passes),
        "fails": _band(measure.condition.fails),
    }


def _numbers(measure: Measure) -> list[float | str | None]:
    e = measure.estimate
    ends = (e.low, e.high) if e else (None, None)
    return [*map(_finite, (measure.value, *ends, measure.null)), measure.verdict]


def _exhibit(exhibit: Exhibit, keys: Sequence[str], suspects: Mapping[str, str]) -> dict[str, Any]:
    report = exhibit.report.measures
    measures = {key: report[key] for key in keys if key in report and _found(report[key])}
    failed = {MEASURES[k].stage for k, m in measures.items() if m.verdict == "fail"}
    stopped = next((stage for stage in STAGES if stage in failed), "")
    before = STAGES[: STAGES.index(stopped) + 1] if stopped else STAGES
    numbers = {key: _numbers(m) for key, m in measures.items()}
    first = exhibit.report.suspects[0] if exhibit.report.suspects else None
    named = first.key if first else ""
    return {
        "fault": exhibit.fault,
        "named": named if named in suspects else "",
        "other": first.sentence if first and named not in suspects else "",
        "proof": list(exhibit.proof),
        "why": exhibit.why,
        "stopped": stopped,
        "lines": {k: v for k, v in numbers.items() if MEASURES[k].stage in before},
        "further": {k: v for k, v in numbers.items() if MEASURES[k].stage not in before},
    }


def _packed(exhibits: Sequence[Exhibit], images: Tensor | None) -> bytes:
    if images is None:
        return b""
    parts = [images, *(e.pictures.flatten(0, 1) for e in exhibits if e.pictures is not None)]
    grey = torch.cat([p.detach().cpu().float().nan_to_num().clamp(0, 1) for p in parts])
    return (255 * grey).round().to(torch.uint8).numpy().tobytes()
