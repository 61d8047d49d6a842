"""Grade one submission: its cells inside the sandbox, the tests outside, in its order."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vae_course.grading import wire
from vae_course.grading.assignment import Assignment, Session, Test
from vae_course.grading.clock import at_most
from vae_course.grading.sandbox import Limits, Sandbox, SandboxError

Outcomes = list[dict[str, Any]]
TOO_LONG = "its answers keep a test for over {:g} s"


def legible(text: str) -> str:
    """What may be shown: some lines of it, and nothing that a terminal obeys."""
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text[:600]
    )


class Unreadable(Exception):
    """A submission that is no notebook, with the reason."""


def cells(path: Path, limits: Limits) -> list[str]:
    """The code of a notebook's cells; metadata and outputs do not matter."""
    if path.is_symlink() or not path.is_file():
        raise Unreadable("there is no file" if not path.is_symlink() else "a link, not a file")
    if path.stat().st_size > limits.notebook:
        raise Unreadable(f"the file has more than {limits.notebook >> 20} MiB")
    data = path.read_bytes()
    if not data.strip():
        raise Unreadable("the file is empty")
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable("the file is no notebook: it is not valid JSON") from error
    found = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(found, list):
        raise Unreadable("the file is no notebook: it has no cells")
    sources = []
    for cell in found:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            lines = source if isinstance(source, list) else [source]
            sources.append("".join(str(line) for line in lines))
    if not any(source.strip() for source in sources):
        raise Unreadable("the notebook has no code")
    return sources


CHECKS = re.compile(r"""^\s*grader\.check\(\s*(["'])(.+?)\1""", re.MULTILINE)
PACKED = re.compile(r"""Path\(["']checks-([\w-]+)["']\)""")


def another(sources: list[str], told: Assignment) -> str | None:
    """The assignment that a notebook was handed out for, if it is another one."""
    code = "\n".join(sources)
    names = set(PACKED.findall(code))
    if names and told.name not in names:
        return ", ".join(sorted(names))
    checks = {name for _, name in CHECKS.findall(code)}
    if not names and checks and not checks & told.questions.keys():
        return f"one that asks for {', '.join(sorted(checks)[:4])}"
    return None


def run(test: Test, session: Session) -> tuple[bool, str]:
    """Whether a test passes, and what it says if not; SandboxError if nothing more can be asked."""
    try:
        names = session.ask(test.names)
        missing = [name for name in test.names if name not in names]
        if missing:
            return False, f"{', '.join(missing)} is not defined."
        # An answer such as 10**18 can keep a test busy out here.
        seconds = session.sandbox.limits.test
        with at_most(seconds, SandboxError(TOO_LONG.format(seconds))):
            test.function()(**names)
    except AssertionError as error:
        return False, legible(str(error))
    except SandboxError:
        raise
    except Exception as error:  # the student's own, or a test's on a strange answer
        return False, legible(f"{type(error).__name__}: {error}")
    return True, ""


def question(name: str, assignment: Assignment, session: Session) -> Outcomes:
    return [outcome(test, *run(test, session)) for test in assignment.questions[name]]


def outcome(test: Test, passed: bool, said: str) -> dict[str, Any]:
    told = {"name": test.name, "points": test.points, "hidden": test.hidden}
    return told | {"passed": passed, "said": said}


def score(outcomes: Outcomes) -> float:
    return sum(told["points"] for told in outcomes if told["passed"])


def silent(state: dict[str, Any], seconds: float) -> None:
    """Nobody listens."""


def submission(
    path: Path,
    assignment: Assignment,
    limits: Limits,
    safe: bool = True,
    tell: Callable[[dict[str, Any], float], None] = silent,
) -> dict[str, Any]:
    """A submission's points, question by question, as plain data; it never raises for its sake.

    Raises OSError for a file that this user may not read, RuntimeError if no sandbox starts.
    Each question counts where it earns more: where the notebook checks it (last), or at its end.
    Before each step ``tell`` hears what is known so far, and how many seconds the step may take.
    """
    state: dict[str, Any] = {"done": {}, "notes": []}
    done, notes, reason, other = state["done"], state["notes"], None, None
    longest = len(max(assignment.questions.values(), key=len)) * limits.test

    def better(name: str, session: Session) -> None:
        tell(state, longest)
        found = question(name, assignment, session)
        if name not in done or score(found) >= score(done[name]):
            done[name] = found

    try:
        sources = cells(path, limits)
        other = another(sources, assignment)
        tell(state, limits.start)
        with Sandbox(limits, safe) as sandbox:
            session = Session(sandbox)
            for number, source in enumerate(sources, 1):
                tell(state, 2 * limits.cell)
                try:
                    checked, error = session.cell(source)
                except wire.WireError as too_long:
                    checked, error = [], too_long
                if error is not None and len(notes) < 20:
                    notes.append(legible(f"Code cell {number}: {type(error).__name__}: {error}"))
                for name in [n for n in dict.fromkeys(checked) if n in assignment.questions]:
                    # Of several checks the last one counts: nobody tries all answers in turn.
                    done.pop(name, None)
                    better(name, session)
            full = {name: sum(t.points for t in q) for name, q in assignment.questions.items()}
            # First those that have nothing yet: time may run out.
            for name in sorted(assignment.questions, key=done.__contains__):
                if score(done.get(name, [])) < full[name]:
                    better(name, session)
    except Unreadable as error:
        reason = str(error)
    except SandboxError as error:
        reason = legible(f"stopped: {error}")
    if other is not None and not any(map(score, done.values())):
        reason = f"this is the notebook of another assignment, {legible(other)}" + (
            f"; {reason}" if reason else ""
        )
    return result(assignment, done, notes, reason)


def result(
    assignment: Assignment, done: dict[str, Outcomes], notes: list[str], reason: str | None
) -> dict[str, Any]:
    """What is kept of a submission; a question that was not reached has no points."""
    questions = []
    for name, tests in assignment.questions.items():
        results = done.get(name) or [outcome(test, False, "") for test in tests]
        failed = [r for r in results if not r["passed"]]
        questions.append(
            {
                "name": name,
                "score": score(results),
                "possible": sum(r["points"] for r in results),
                "hint": next((r["said"] for r in failed if not r["hidden"]), ""),
                "tests": results,
            }
        )
    return {
        "score": sum(q["score"] for q in questions),
        "possible": assignment.points,
        "reason": reason,
        "questions": questions,
        "notes": notes,
    }
