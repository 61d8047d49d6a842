"""The report of a saved model: ``python -m vae_course.report MODEL --data DATA --out r.html``.

MODEL is a .safetensors file of ``model.save``, a folder of diffusers or pythae, or
``module:function``, a function that returns (encode, decode) or ``adapted(model)``. Two models are
compared on the same images. DATA is a folder of images, ``file.npz[:array]``, or a name of
``vae_course.data.load``, of which the test images are taken. Nothing is downloaded but such a set.

Exit status: 0 passed; 1 something to look at, with ``--fail-on look``; 2 failed; 3 the command or a
file is wrong, and nothing was measured; 130 interrupted, and what there was has been written.
"""

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from vae_course.files import prepare
from vae_course.report import conditions as thresholds, sources
from vae_course.report.adapters import Adapted, opened
from vae_course.report.card import ORDER, Report
from vae_course.report.compare import Difference, compare
from vae_course.report.conditions import Band, Condition, Conditions
from vae_course.report.measures import LEFT_OUT, MEASURES
from vae_course.report.plan import Sizes
from vae_course.report.study import Study

PASSED, LOOK, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 3, 130
QUICK_BUDGET, QUICK_IMAGES, QUICK_SHARE = 40.0, 400, 0.3
"""Of ``--quick``: seconds, images, and the share of all sizes; within a minute with the imports."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Not argparse's 2, which says here that a model failed."""
        self.exit(WRONG, f"{self.format_usage()}{self.prog}: {message}\n")


def parser() -> Parser:
    said = __doc__.partition("\n\n")
    p = Parser(
        prog="python -m vae_course.report",
        description=said[0].partition(":")[0] + ".",
        epilog=said[2].replace("``", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("models", nargs="*", metavar="MODEL", help="one to report, or two to compare")
    add("--data", help="images that the model was not trained on")
    add("--out", type=Path, metavar="R.html", help="the page")
    add("--json", type=Path, metavar="R.json", help="all numbers")
    add("--budget", type=float, default=300.0, metavar="S", help="seconds a model (300)")
    add("--images", type=int, default=1000, metavar="N", help="at most, drawn by the seed (1000)")
    add("--quick", action="store_true", help="within a minute: fewer of everything")
    add("--factor", type=float, help="that your pipeline multiplies codes by")
    add("--shift", type=float, help="that it takes off them before")
    add("--beta", type=float, help="the price of a nat, D + beta KL, D a sum of squares")
    add("--range", type=float, nargs=2, metavar=("LO", "HI"), help="of the images it takes")
    add("--size", type=int, metavar="PIXELS", help="to cut images of a folder to")
    add("--channels", choices=("grey", "colour"), help="to read images of a folder in")
    add("--set", action="append", default=[], metavar="KEY.fail=A,B", help="or KEY.pass=A,B")
    add("--fail-on", choices=("fail", "look", "never"), default="fail", help="(fail)")
    add("--only", action="append", default=[], metavar="NAME,…", help="stages, rows or numbers")
    add("--keep-going", action="store_true", help="after a stage that failed")
    add("--seed", type=int, default=0, help="of all noise (0)")
    add("--device", help="cpu, cuda, mps; by default where the model is")
    add("--threads", type=int, help="of the CPU")
    add("--trust", action="store_true", help="read pickles, which can run code")
    add("--explain", metavar="KEY", help="a number, or left-out, and end")
    return p


def main(arguments: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError):  # where Python's own streams were replaced
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    p = parser()
    asked = p.parse_args(arguments)
    try:
        if asked.explain:
            print(explained(asked.explain))
            return PASSED
        if not 1 <= len(asked.models) <= 2:
            p.error(f"{len(asked.models)} models: give one, or two to compare")
        if asked.data is None:
            p.error(f"--data is missing: {sources.GIVE}")
        return run(asked)
    except KeyboardInterrupt:
        print("Interrupted before anything was measured; nothing was written.", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # a model, a file and its library can break in any way
        kind = "" if isinstance(error, ValueError | OSError | ImportError) else type(error).__name__
        text = " ".join(str(error).split()) or "no detail"
        print(f"{p.prog}: {kind and f'{kind}: '}{text}", file=sys.stderr)
        return WRONG


def run(asked: argparse.Namespace) -> int:
    if asked.threads is not None:
        torch.set_num_threads(max(1, asked.threads))
    for path in (asked.out, asked.json):
        if path is not None:
            prepare(path)
    sizes = Sizes()
    if asked.quick:
        asked.budget = min(asked.budget, QUICK_BUDGET)
        asked.images = min(asked.images, QUICK_IMAGES)
        sizes = replace(sizes.shrunk(QUICK_SHARE), images=QUICK_IMAGES)
    judged = changed(asked.set)
    models = [model(name, asked) for name in asked.models]
    if len(models) == 2 and models[0].declared["value_range"] != models[1].declared["value_range"]:
        models = [m.seeing((0.0, 1.0)) for m in models]
    images, said = seen(asked, models)
    print(said)
    given = models
    if len(models) == 2:  # the slower one says how much of everything there is time for
        models = sorted(models, key=lambda m: -seconds(m, images))
    how = {
        "budget": asked.budget,
        "seed": asked.seed,
        "conditions": judged,
        "only": [n for names in asked.only for n in names.split(",") if n] or None,
        "stop": not asked.keep_going,
    }
    reports = [one.report(images, sizes=sizes, **how) for one in models[:1]]
    print(told(reports[0]))
    whole: Any = reports[0]
    if len(models) == 2 and not reports[0].meta["interrupted"]:
        reports.append(models[1].report(images, **alike(reports[0], how)))
        print(told(reports[1]))
        whole = compare(*(reports if models == given else reports[::-1]))
        print("\n".join([f"\n{' and '.join(whole.names)}:", *map(str, filter(differ, whole.rows))]))
    for path, save in ((asked.out, "save_html"), (asked.json, "save_json")):
        if path is not None:
            getattr(whole, save)(path)
            print(f"Written to {path}")
    if reports[-1].meta["interrupted"]:
        print("Interrupted: what had been measured is above, and in the files that were asked for.")
        return INTERRUPTED
    return status(reports, asked.fail_on)


def seconds(one: Adapted, images: Tensor) -> float:
    """What it takes to encode and decode an image."""
    study = Study(one.encode, one.decode, images[:2], device=one.declared.get("device", "cpu"))
    began = time.perf_counter()
    study.decoded(study.mean_code(images[:2]))
    return time.perf_counter() - began


def alike(report: Report, how: Mapping[str, Any]) -> dict[str, Any]:
    """What makes another report that can be compared with this one: its sizes, and no more rows."""
    rows = {MEASURES[key].row for key in report.measures} - set(report.meta["left_out"])
    sizes = Sizes(**report.meta["sizes"])
    return {**how, "sizes": sizes, "budget": math.inf, "only": rows}


def differ(row: Difference) -> bool:
    return row.differs or row.a.verdict != row.b.verdict


def model(name: str, asked: argparse.Namespace) -> Adapted:
    """A model with what the command line says of it."""
    found = opened(name, trust=asked.trust, device=asked.device)
    said = {"factor": asked.factor, "shift": asked.shift, "beta": asked.beta}
    said |= {"value_range": tuple(asked.range) if asked.range else None, "device": asked.device}
    known = {"value_range": (0.0, 1.0), **found.declared}
    known["name"] = name if ":" in name else Path(name).stem or name
    return replace(found, declared=known | {k: v for k, v in said.items() if v is not None})


def seen(asked: argparse.Namespace, models: Sequence[Adapted]) -> tuple[Tensor, str]:
    """The images, for all of the models at once."""
    shapes = [m.shape for m in models if m.shape]
    if len(shapes) == 2 and len(shapes[0]) == len(shapes[1]):
        merged = tuple(b if a is None else a for a, b in zip(*shapes, strict=True))
    else:
        merged = shapes[0] if shapes else ()
    return sources.images(
        asked.data,
        shape=merged,
        value_range=models[0].declared["value_range"],
        size=asked.size,
        channels=asked.channels,
        limit=asked.images,
        seed=asked.seed,
    )


def changed(settings: Sequence[str]) -> Conditions:
    """The thresholds with ``key.fail=low,high`` and ``key.pass=low,high``; an end may be empty."""
    new = thresholds.DEFAULT
    for setting in settings:
        name, _, band = setting.partition("=")
        key, _, which = name.partition(".")
        try:
            ends = band.split(",")
            low, high = (
                float(e) if e else s * math.inf for e, s in zip(ends, (-1, 1), strict=True)
            )
        except ValueError:
            which = ""
        if which not in ("fail", "pass"):
            raise ValueError(f"--set {setting}: give key.fail=low,high or key.pass=low,high")
        value: Condition | Band = (low, high)
        if which == "pass" and key in new:
            value = Condition((low, high), new[key].fails, "set by the user")
        new = new.replace(**{key: value})
    return new


def told(report: Report) -> str:
    """The verdict, suspects, what did not pass, and what was left out."""
    meta, measures = report.meta, report.measures.values()
    counts = ((sum(m.verdict == verdict for m in measures), verdict) for verdict in ORDER)
    said = ", ".join(f"{n} {verdict}" for n, verdict in counts if n)
    lines = [f"\n{meta['name']}: {report.verdict.upper()} ({said}; {meta['seconds']:.0f} s)"]
    lines += [f"  Suspect: {s.sentence} {s.remedy}" for s in report.suspects]
    lines += [f"  {m}" for m in measures if m.verdict in ("fail", "look")]
    if meta["stopped"]:
        lines.append(
            f"  Stopped after the stage {meta['stopped']!r}; --keep-going measures the rest"
        )
    reasons: dict[str, list[str]] = {}
    for row, why in meta["left_out"].items():
        reasons.setdefault(why.removeprefix("left out: "), []).append(row)
    lines += [f"  Left out {', '.join(rows)}: {why}" for why, rows in reasons.items()]
    return "\n".join(lines)


def status(reports: Sequence[Report], fail_on: str) -> int:
    verdicts = {report.verdict for report in reports}
    if fail_on == "never":
        return PASSED
    if "skipped" in verdicts:
        raise ValueError("nothing could be measured: see the reasons in --out or --json")
    if "fail" in verdicts:
        return FAILED
    return LOOK if "look" in verdicts and fail_on == "look" else PASSED


def explained(key: str) -> str:
    """What a number asks and when it is good; or what is left out on purpose, and why."""
    if key == "left-out":
        return "\n".join(f"{name}: {why}" for name, why in LEFT_OUT.items())
    if key not in MEASURES:
        raise ValueError(f"--explain {key!r}: give left-out, or one of {', '.join(MEASURES)}")
    m, condition = MEASURES[key], MEASURES[key].condition
    lines = [m.question, f"{m.formula}{m.unit and f' [{m.unit}]'}"]
    for words, band in (("passes inside", condition.passes), ("fails outside", condition.fails)):
        lines += [f"{words} {band[0]:g}, {band[1]:g}"] if band else []
    lines += [condition.ground] if condition.ground else []
    lines += [f"null: {m.null}"] if m.null else []
    return "\n".join([*lines, f"chapter: {m.chapter}"])


if __name__ == "__main__":
    sys.exit(main())
