"""Lock each question's solution by the right answers to its hidden tests.

A hidden test makes ``answers`` of the student's names, then compares them with ``expected``. What
makes them goes with the lock as a *probe*; how far each may be off is found by moving it until the
comparison fails. Neither ``expected`` nor the comparison leaves this file.
"""

import ast
import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from types import CodeType
from typing import Any

import masters

from vae_course.lab.solutions import leaves, lock

MOST = 0.1  # of 1 + |answer|: a wider cell would take a wrong answer for a right one


def hidden(
    question: masters.Question,
) -> Iterator[tuple[str, Callable[[Any], bool], tuple[str, ...]]]:
    """Of each hidden test: the probe, whether answers pass, and the names that the probe takes."""
    for function in ast.parse(question.test_source).body:
        if not isinstance(function, ast.FunctionDef):
            continue
        if not any("hidden=True" in ast.unparse(mark) for mark in function.decorator_list):
            continue
        cut = next(
            number
            for number, statement in enumerate(function.body)
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets) == "expected"
        )
        names = tuple(argument.arg for argument in function.args.args)
        probe = f"def probe({', '.join(names)}):\n"
        body = [*function.body[:cut], ast.parse("return answers").body[0]]
        probe += "\n".join(f"    {line}" for part in body for line in ast.unparse(part).split("\n"))
        rest = compile(ast.Module(function.body[cut:], []), question.name, "exec")

        def passes(answers: Any, rest: CodeType = rest) -> bool:
            try:
                exec(rest, {"answers": answers})
            except Exception:
                return False
            return True

        yield probe, passes, names


def replaced(answers: Any, number: int, value: Any) -> Any:
    """Nested answers with another leaf of that number."""
    count = iter(range(10**9))

    def visit(part: Any) -> Any:
        if isinstance(part, Mapping):
            return {visit(k): visit(v) for k, v in part.items()}
        if isinstance(part, list | tuple):
            return type(part)(map(visit, part))
        if hasattr(part, "tolist"):
            return visit(part.tolist())
        return value if next(count) == number else part

    return visit(answers)


def tolerance(answers: Any, number: int, passes: Callable[[Any], bool]) -> float:
    """How far that leaf may be off, to both sides, until the comparison fails; 0 for a word."""
    leaf = list(leaves(answers))[number]
    if isinstance(leaf, bool) or not isinstance(leaf, Real):
        return 0.0

    def fits(step: float) -> bool:
        return all(passes(replaced(answers, number, leaf + s)) for s in (step, -step))

    low, most = 0.0, MOST * (1 + abs(leaf))
    high = (abs(leaf) or 1e-9) * 2**-43
    while high <= most and fits(high):
        low, high = high, 4 * high
    for _ in range(4):  # the middle of logs
        middle = (low * high) ** 0.5
        low, high = (middle, high) if low and middle <= most and fits(middle) else (low, middle)
    return low


def locked(question: masters.Question, names: Mapping[str, Any]) -> dict[str, Any]:
    """Probes and lock of a question, from the names that its solution has defined."""
    probes, answers, tolerances = [], [], []
    for probe, passes, taken in hidden(question):
        made: dict[str, Any] = {}
        exec(probe, made)
        found = made["probe"](*(names[name] for name in taken))
        if not passes(found):
            raise ValueError(f"{question.name}: the solution fails its own hidden test")
        probes.append(probe)
        answers += list(found)
        tolerances += [tolerance(found, i, passes) for i in range(len(list(leaves(found))))]
    text = masters.without_marks(question.solution).strip("\n")
    return {"probes": probes, "lock": lock(question.name, text, answers, tolerances)}


def solutions(master: masters.Master) -> dict[str, dict[str, Any]]:
    """Of each question its probes and its lock; the solutions are run for it."""
    made = {}
    for name, question in master.questions.items():
        names: dict[str, Any] = {"__name__": "__main__"}
        source = master.preamble + question.given + question.solution
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, master.path.name, "exec"), names)
        made[name] = locked(question, names)
    return made
