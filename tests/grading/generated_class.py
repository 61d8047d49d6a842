"""A generated class: what two hundred students might hand in for chapter 01, and what each earns.

    PYTHONPATH=tools python -m tests.grading.generated_class FOLDER  # and grading.json beside it

Every submission is the notebook that students get, with its answer cells filled in. What it earns
is found without the grader: its cells run here, in one namespace, and otter grades each question
where the notebook checks it. For code that must not run here ``tests.grading.hostile`` says what it
would leave behind, which runs instead.
"""

import argparse
import ast
import asyncio
import contextlib
import copy
import functools
import inspect
import io
import itertools
import json
import random
import re
import sys
import unittest.mock
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.grading import hostile
from tests.grading.hostile import Cell
from tests.labs.independent.cells import MASTERS, PATHS, ROOT, listed

NAME = "01-points-and-balls"
QUESTIONS = tuple(listed(NAME))
SHARES = {"correct": 31, "partial": 31, "wrong": 60, "damaged": 33, "broken": 15, "hostile": 30}


@dataclass(frozen=True)
class Submission:
    """A file or a folder in the class's folder, and the code that earns its points."""

    kind: str
    title: str  # what is special about it
    files: dict[str, bytes | Path | None]  # contents; None: a folder; Path: where a link points
    earning: list[Cell] = field(repr=False)  # the cells to run for the points: none for a zero
    counted: tuple[str, ...] = QUESTIONS  # questions that are graded before the code kills itself

    @property
    def student(self) -> str:
        """The name in the table: Canvas' and Moodle's numbers end it."""
        first, _, inside = next(iter(self.files)).partition("/")
        name = first if inside or None in self.files.values() else first.removesuffix(".ipynb")
        name = re.split(r"(?:_LATE)?_\d+_", name, maxsplit=1)[0]
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")

    @functools.cached_property
    def expected(self) -> float:
        return points(self.earning, self.counted)


# ---- what a notebook earns


class Shell:
    """IPython's magics: those that time run their code, all else does nothing."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names

    def run_line_magic(self, magic: str, line: str) -> None:
        if magic == "time":
            exec(line, self.names)

    def getoutput(self, command: str) -> list[str]:
        return []

    def run_cell_magic(self, magic: str, line: str, body: str) -> None:
        if magic in ("time", "capture"):
            exec(body, self.names)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Checks:
    """Stands for ``grader``: a question counts where it is checked last, or at the end if more."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.points: dict[str, float] = {}

    def check(self, question: str) -> None:
        self.points[question] = self.score(question)

    def solution(self, question: str) -> None: ...

    def end(self) -> None:
        for question in QUESTIONS:
            self.points[question] = max(self.points.get(question, 0), self.score(question))

    def score(self, question: str) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a student's warning is no failure
            return MASTERS[NAME].questions[question].grade(dict(self.names)).score


def points(cells: list[Cell], counted: tuple[str, ...] = QUESTIONS) -> float:
    """The points of a notebook's cells, run here one after the other: code that can be trusted."""
    if not cells:
        return 0.0
    import matplotlib.pyplot
    from IPython.core.inputtransformer2 import TransformerManager

    matplotlib.use("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    names["get_ipython"] = functools.partial(Shell, names)
    names["display"] = unittest.mock.MagicMock()
    checks = Checks(names)
    for cell in cells:
        if cell.role == "setup":
            names["grader"] = checks
        elif cell.code:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                with contextlib.suppress(Exception):  # the next cell runs all the same
                    source = TransformerManager().transform_cell(cell.source)
                    awaits = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                    made = eval(compile(source, "<cell>", "exec", awaits), names)
                    if inspect.iscoroutine(made):
                        asyncio.run(made)
    checks.end()
    matplotlib.pyplot.close("all")
    return sum(checks.points[question] for question in counted)


# ---- answers

Piece = tuple[frozenset[str], str]  # the names that a statement defines, and its text


def pieces(source: str) -> list[Piece]:
    """The statements of a cell, each with the names that it defines."""
    lines, found = source.split("\n"), []
    for node in ast.parse(source).body:
        named = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        targets = getattr(node, "targets", [])
        defined = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)} & named
        if isinstance(node, ast.FunctionDef):
            defined = {node.name}
        found.append((frozenset(defined), "\n".join(lines[node.lineno - 1 : node.end_lineno])))
    return found


def spliced(base: str, *instead: str) -> str:
    """A cell in which other statements stand for those that define the same names."""
    for source in instead:
        new, kept = pieces(source), pieces(base)
        names = frozenset[str]().union(*(defined for defined, _ in new))
        first = next((i for i, (defined, _) in enumerate(kept) if defined & names), len(kept))
        rest = [piece for piece in kept[first:] if not piece[0] & names]
        base = "\n\n\n".join(text for _, text in [*kept[:first], *new, *rest])
    return base


def solution(question: str) -> str:
    import masters

    return masters.without_marks(MASTERS[NAME].questions[question].solution)


def by_other_means(question: str) -> str:
    """The tests' second solution, with all that it imports."""
    source = (ROOT / "tests/labs/independent/balls.py").read_text(encoding="utf-8")
    return f"{source}\n\nglobals().update(ANSWERS[{question!r}](globals()))"


def sloppy(name: str, made: str) -> str:
    """An answer, or what a function answers, of another type or shape; ``y`` is the right one."""
    imports = "import collections, fractions, functools, math, types\n\nimport numpy"
    if name in ("empty_core", "fools_precision", "findings"):
        return f"{imports}\n\ny = {name}\n{name} = {made}"
    return f"""{imports}

right = {name}


def {name}(*args, right=right):
    y = right(*args)
    return {made}"""


SLOPPY = {
    "price": [
        ("our_beta", "numpy.float64(y)"),
        ("our_beta", "torch.tensor(y)"),
        ("our_beta", "str(y)"),
        ("our_beta", "fractions.Fraction(y)"),
        ("loss_terms", "list(y)"),
        ("loss_terms", "collections.namedtuple('Terms', 'loss distortion rate')(*y)"),
        ("loss_terms", "tuple(t.numpy() for t in y)"),
        ("loss_terms", "tuple(t.unsqueeze(1) for t in y)"),
        ("loss_terms", "tuple(t * math.nan for t in y)"),
        ("loss_terms", "tuple(t.half() for t in y)"),
        ("loss_terms", "tuple(t.requires_grad_() for t in y)"),
        ("loss_terms", "print(y)"),
    ],
    "bubble": [
        ("mean_radius", "numpy.float64(y)"),
        ("mean_radius", "numpy.float32(y)"),
        ("mean_radius", "round(y, 3)"),
        ("share_inside", "torch.tensor(y)"),
        ("share_inside", "complex(y)"),
        ("share_inside", "1 / 0"),
        ("empty_core", "float(y)"),
        ("empty_core", "numpy.int64(y)"),
        ("empty_core", "str(y)"),
        ("empty_core", "bool(y)"),
        ("empty_core", "torch.tensor(y)"),
    ],
    "judges": [
        ("energy_distance", "numpy.float64(y)"),
        ("energy_distance", "torch.tensor(y)"),
        ("energy_distance", "-y"),
        ("precision_recall", "list(y)"),
        ("precision_recall", "tuple(map(numpy.float64, y))"),
        ("precision_recall", "torch.tensor(y)"),
        ("fools_precision", "y.lower()"),
        ("fools_precision", "numpy.str_(y)"),
        ("fools_precision", "type('Model', (str,), {})(y)"),
        ("fools_precision", "[y]"),
    ],
    "generate": [
        ("generate", "y.float()"),
        ("generate", "y.numpy()"),
        ("generate", "y.requires_grad_()"),
        ("generate", "y.to_sparse()"),
        ("rescale", "list(y)"),
        ("rescale", "tuple(map(functools.partial, y))"),
        ("rescale", "(y[0], 'decode')"),
        ("findings", "{k: numpy.float64(v) for k, v in y.items()}"),
        ("findings", "collections.OrderedDict(y)"),
        ("findings", "types.SimpleNamespace(**y)"),
        ("findings", "{k: str(v) for k, v in y.items()}"),
    ],
}


def mistaken(question: str) -> Iterator[tuple[str, str]]:
    """Wrong answers without end: each known mistake, each sloppy type, two mistakes at once."""
    known = MASTERS[NAME].questions[question].mistakes
    right = solution(question)
    single = [(m.title, spliced(right, m.code)) for m in known]
    single += [(f"{n}: {made}", f"{right}\n\n{sloppy(n, made)}") for n, made in SLOPPY[question]]
    for number, (title, code) in enumerate(itertools.cycle(single)):
        yield title, code
        if number % 4 == 3:
            a, b = random.Random(title).sample(known, 2)
            yield f"{a.title}, and {b.title}", spliced(right, a.code, b.code)


# ---- the class


def student_notebook(made: Path) -> list[Cell]:
    """The cells of the notebook that students get, with the part that each plays."""
    cells, question = [], ""
    coming = iter(QUESTIONS)
    notebook = json.loads((made / "student" / f"{NAME}.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        role, source = cell["cell_type"], "".join(cell["source"])
        if source.startswith("## "):
            question = next(coming)
        if source.startswith("# @title Setup"):
            role = "setup"
        elif "otter_answer_cell" in cell["metadata"].get("tags", []):
            role = "answer"
        elif source == f'grader.check("{question}")':
            role = "check"
        elif source.startswith("### "):
            question = ""
        cells.append(Cell(source, role, question, cell["metadata"]))
    return cells


def answered(cells: list[Cell], answers: dict[str, str]) -> list[Cell]:
    """The notebook with these answers in place of the stubs."""
    return [
        replace(cell, source=answers[cell.question])
        if cell.role == "answer" and cell.question in answers
        else cell
        for cell in copy.deepcopy(cells)
    ]


class Class:
    """All submissions, each made when it is asked for; the first twenty hold every kind."""

    def __init__(self, made: Path, count: int = 200, seed: int = 0) -> None:
        self.cells, self.seed = student_notebook(made), seed
        places = [((i + 0.5) / n, kind, i) for kind, n in SHARES.items() for i in range(n)]
        self.order = [(kind, i) for _, kind, i in sorted(places)][:count]
        rng, mistakes = random.Random(seed), {q: mistaken(q) for q in QUESTIONS}
        # Each in its turn, so that the class makes all of them.
        self.mistakes = [
            {q: next(mistakes[q]) for q in rng.sample(QUESTIONS, rng.randint(2, 4))}
            for _ in range(SHARES["wrong"])
        ]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, number: int) -> Submission:
        kind, i = self.order[number]
        rng = random.Random(f"{self.seed} {kind} {i}")
        name = f"student{number:03d}_{1000 + number}_{9000 + number}_{NAME}.ipynb"
        if kind == "broken":
            title, files = list(hostile.broken(name, self.cells).items())[i]
            return Submission(kind, title, files, [])
        if kind == "damaged":
            return self.damaged(i, name, rng)
        if kind == "hostile":
            return self.hostile(i, name)
        title, answers = getattr(self, kind)(i, rng)
        cells = signed(answered(self.cells, answers), number)
        return Submission(kind, title, {name: hostile.dumped(cells)}, cells)

    def correct(self, i: int, rng: random.Random) -> tuple[str, dict[str, str]]:
        # The first is the course's own solution, the second solved by other means throughout.
        ways = [[solution], [by_other_means]][i] if i < 2 else [solution, by_other_means]
        return "all is right", {q: rng.choice(ways)(q) for q in QUESTIONS}

    def partial(self, i: int, rng: random.Random) -> tuple[str, dict[str, str]]:
        right = rng.sample(QUESTIONS, rng.randint(1, 3))
        answers = {q: rng.choice([solution, by_other_means])(q) for q in right}
        title = f"only {', '.join(right)}"
        if i % 2:
            # One of its names is left as it was handed out.
            question = rng.choice(right)
            stub = pieces(MASTERS[NAME].questions[question].stub)
            names, text = rng.choice([piece for piece in stub if piece[0]])
            answers[question] = spliced(solution(question), text)
            title += f", without {', '.join(sorted(names))}"
        return title, answers

    def wrong(self, i: int, rng: random.Random) -> tuple[str, dict[str, str]]:
        title = "; ".join(f"{q}: {what}" for q, (what, _) in self.mistakes[i].items())
        answers = {q: code for q, (_, code) in self.mistakes[i].items()}
        return title, {q: solution(q) for q in QUESTIONS} | answers

    def damaged(self, i: int, name: str, rng: random.Random) -> Submission:
        damage = hostile.DAMAGES[i]
        answers = {q: solution(q) for q in QUESTIONS}
        if damage.wrong:
            question, (_, code) = rng.choice(list(self.mistakes[i].items()))
            answers[question] = code
        cells = damage.change(signed(answered(self.cells, answers), 1000 + i))
        files = damage.files(name, damage.dump(cells))
        return Submission("damaged", damage.title, files, cells)

    def hostile(self, i: int, name: str) -> Submission:
        attack = hostile.ATTACKS[i]

        def cells(code: str) -> list[Cell]:
            answers = {q: solution(q) for q in QUESTIONS}
            answers[attack.question] += "\n\n" + code
            return answered(self.cells, answers)

        reached = QUESTIONS[: QUESTIONS.index(attack.question)] if attack.fatal else QUESTIONS
        extra = [Cell("n = 1", "code")] * attack.cells
        data = hostile.dumped(cells(attack.code) + extra)
        return Submission("hostile", attack.title, {name: data}, cells(attack.twin), reached)


def signed(cells: list[Cell], number: int) -> list[Cell]:
    """No two students hand in the same bytes: the grader cannot grade two at once."""
    return [
        replace(cell, source=f"# my answer, {number}\n{cell.source}")
        if cell.role == "answer"
        else cell
        for cell in cells
    ]


def write(folder: Path, submissions: list[Submission]) -> None:
    """Hand them in."""
    folder.mkdir(parents=True)
    for submission in submissions:
        for name, contents in submission.files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            if contents is None:
                path.mkdir()
            elif isinstance(contents, Path):
                path.symlink_to(contents)
            else:
                path.write_bytes(contents)


def make(folder: Path) -> tuple[Path, Path]:
    """What ``make exercises`` makes of the chapter, and the grading file in it."""
    import make_exercises

    make_exercises.make(PATHS[NAME], folder)
    return folder, folder / "instructor" / f"{NAME}-grading.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=sum(SHARES.values()))
    options = parser.parse_args()
    made, grading = make(options.folder / "made")
    students = list(Class(made, options.count))
    write(options.folder / "submissions", students)
    told = {s.student: [s.kind, s.title, s.expected] for s in students}
    (options.folder / "expected.json").write_text(json.dumps(told, indent=1))
    print(f"{len(students)} submissions; --assignment {grading}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
