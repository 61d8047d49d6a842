"""The museum of wrong VAEs: ``python -m tests.report.museum [--json FILE] [BASES…]``.

Each sabotage on each base: the first number that does not pass, the suspect that is named first,
and whether it is the right one; then healthy models, which should be accused of nothing.
"""

import argparse
import json
import math
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tests.report import bases, own_sabotages, sabotages
from tests.report.bases import Base
from tests.spatial_world import SpatialLinearGaussian
from vae_course.report.card import Report
from vae_course.report.plan import Sizes
from vae_course.report.run import report

SMALL = Sizes(
    images=400,
    decoded=128,
    gain=32,
    channels=4,
    swapped=16,
    samples=128,
    holes=32,
    shifted=64,
    codes=8,
    probes=2,
    steps=16,
    coordinates=32,
)
"""What a report of a small model needs at the least to tell faults apart."""
HEALTHY = (
    "mnist",
    "fashion",
    "photographs",
    "norm",
    "digits",
    "bernoulli",
    "autoencoder",
    "sphere",
    "codebook",
)


class Shown(NamedTuple):
    """One line of the museum."""

    group: str
    sabotage: str
    base: str
    expected: str
    card: Report

    @property
    def named(self) -> str:
        return self.card.suspects[0].key if self.card.suspects else ""

    @property
    def right(self) -> bool:
        return self.named in self.expected.split("|")

    @property
    def flag(self) -> str:
        """The first number of the worst verdict."""
        worst = self.card.verdict
        if worst not in ("fail", "look"):
            return "–"
        first = next(m for m in self.card.measures.values() if m.verdict == worst)
        return f"{first.key} {first.value:.3g} ({worst})"


def look_at(base: Base, only: Collection[str] | None = None) -> Report:
    """The report of one pair at the sizes of a small model."""
    return report(
        base.encode,
        base.decode,
        base.images,
        sizes=SMALL,
        budget=math.inf,
        only=only,
        progress=False,
        **base.declared,
    )


def oracles() -> tuple[Base, Base]:
    """Two models that are the best there are, in closed form."""
    worlds = (
        SpatialLinearGaussian(),
        SpatialLinearGaussian((0.5, 0.3, 0.2, 0.15, 0.06, 0.04, 0.03, 0.02, 0.01), 6, 6, 0.05),
    )
    first, second = (
        Base(w.encode, w.decode, w.images(400, dtype=torch.float32), {"beta": w.beta})
        for w in worlds
    )
    return first, second


def broken(base: Base, breaks: Any) -> Base:
    """A base with one sabotage, which may declare something, too."""
    encode, decode, declared = breaks(base.encode, base.decode)
    return base._replace(encode=encode, decode=decode, declared=base.declared | declared)


def cases(name: str) -> Iterator[tuple[str, str, str, Base]]:
    """Group, sabotage, the suspect expected and the broken pair, for one base."""
    whole = bases.base(name)
    for sabotage, (suspect, breaks) in sabotages.SABOTAGES.items():
        yield "listed", sabotage, suspect, broken(whole, breaks)
    for sabotage, (suspect, kind) in sabotages.TRAINED.items():
        yield "listed", sabotage, suspect, sabotages.trained(name, kind)
    for sabotage, (suspect, breaks) in sabotages.OWN_TUNED.items():
        yield "own, tuned on", sabotage, suspect, broken(whole, breaks)
    for sabotage, (suspect, kind) in sabotages.OWN_TRAINED.items():
        yield "own, tuned on", sabotage, suspect, sabotages.trained(name, kind)


def held_out(name: str) -> Iterator[tuple[str, str, str, Base]]:
    """The five that no rule was tuned on."""
    for sabotage, (breaks, suspect) in own_sabotages.OWN.items():
        yield "own, held out", sabotage, suspect, broken(bases.base(name), breaks)


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m tests.report.museum")
    parser.add_argument("bases", nargs="*", default=["mnist", "fashion", "photographs"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--held-out", action="store_true", help="with those held out, too")
    parser.add_argument("--only", default="", help="a part of the sabotages' names")
    options = parser.parse_args()
    shown: list[Shown] = []

    def show(group: str, sabotage: str, base: str, expected: str, what: Base) -> None:
        line = Shown(group, sabotage, base, expected, look_at(what))
        shown.append(line)
        mark = "✓" if line.right else "✗"
        others = ", ".join(s.key for s in line.card.suspects[1:])
        print(
            f"{mark} {sabotage:36} {base:12} {line.flag:32} {line.named or '–':20} "
            f"{'' if line.right else f'not {expected}; '}{others}",
            flush=True,
        )

    for base in options.bases:
        for make in (cases, held_out) if options.held_out else (cases,):
            for group, sabotage, expected, what in make(base):
                if options.only in sabotage:
                    show(group, sabotage, base, expected, what)
    if not options.only:
        for sabotage, (expected, make_one) in sabotages.OTHER_CODES.items():
            show("listed", sabotage, "digits", expected, make_one())
        for name in HEALTHY:
            show("healthy", "none", name, "", bases.base(name))
        for i, world in enumerate(oracles()):
            show("healthy", "none", f"oracle {i + 1}", "", world)
    if options.json:
        rows: list[dict[str, Any]] = [
            {
                "group": line.group,
                "sabotage": line.sabotage,
                "base": line.base,
                "expected": line.expected,
                "flag": line.flag,
                "named": line.named,
                "right": line.right,
                "verdict": line.card.verdict,
                "look": [m.key for m in line.card.measures.values() if m.verdict == "look"],
                "fail": [m.key for m in line.card.measures.values() if m.verdict == "fail"],
            }
            for line in shown
        ]
        options.json.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
