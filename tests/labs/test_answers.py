"""Other right answers earn full marks, other wrong ones don't: eight and more of each, a question.

And a solution opens for the right ones, and for no wrong one.

``answers/NN-question.py`` holds them as cells, which run on top of the solution's names:

    # %% right: with torch.distributions
    def loss_terms(...): ...

    # %% wrong: clamps sigma at 1e-3
    def loss_terms(...): ...
"""

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.labs.independent.cells import MASTERS, execute, given, listed, solved
from vae_course.lab import Solutions

FOLDER = Path(__file__).parent / "answers"
CELL = re.compile(r"^# %% (right|wrong): (.+)\n", re.MULTILINE)


class Answer(NamedTuple):
    """A student's answer to a question, and whether it is right."""

    right: bool
    title: str
    code: str


def answers(path: Path) -> Iterator[Answer]:
    """The cells of a file of answers."""
    _, *cells = CELL.split(path.read_text(encoding="utf-8"))
    for verdict, title, code in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
        yield Answer(verdict == "right", title, code)


def path_of(chapter: str, question: str) -> Path:
    return FOLDER / f"{chapter[:2]}-{question}.py"


ASKED = [(chapter, question) for chapter in MASTERS for question in listed(chapter)]
ALL = [
    pytest.param(chapter, question, answer, id=f"{chapter[:2]}-{question}-{answer.title}")
    for chapter, question in ASKED
    if path_of(chapter, question).exists()
    for answer in answers(path_of(chapter, question))
]


def test_every_question_has_eight_right_and_eight_wrong_answers_and_no_file_has_none():
    assert {path_of(*asked) for asked in ASKED} == set(FOLDER.glob("*.py"))
    for path in FOLDER.glob("*.py"):
        found = list(answers(path))
        assert len({answer.title for answer in found}) == len(found), path.name
        assert min(sum(a.right for a in found), sum(not a.right for a in found)) >= 8, path.name


@pytest.mark.parametrize("chapter, question, answer", ALL)
def test_a_right_answer_earns_all_and_a_wrong_one_loses_a_hidden_test(chapter, question, answer):
    names = execute(answer.code, solved(chapter, question))
    result = MASTERS[chapter].questions[question].grade(names)
    if answer.right:
        assert result.passed_all, result.summary()
    else:
        failed = [case for case in result.test_case_results if not case.passed]
        assert any(case.test_case.hidden for case in failed), "it earned every hidden point"
    assert opens(chapter, question, names) == answer.right


# ---- solutions that open


@functools.cache
def locked(chapter: str, question: str) -> dict[str, Any]:
    import locks

    return locks.locked(MASTERS[chapter].questions[question], solved(chapter, question))


def opens(chapter: str, question: str, names: dict[str, Any]) -> bool:
    shown: list[str] = []
    solutions = json.loads(json.dumps({question: locked(chapter, question)}))
    Solutions(solutions, names, shown.append)(question)
    return bool(shown)


@pytest.mark.parametrize("chapter, question", ASKED, ids=lambda value: value)
def test_a_solution_opens_for_itself_and_neither_for_the_stub_nor_for_a_mistake(chapter, question):
    asked, names = MASTERS[chapter].questions[question], solved(chapter, question)
    assert opens(chapter, question, names)
    assert not opens(chapter, question, execute(asked.stub, given(chapter, question)))
    for mistake in asked.mistakes:
        assert not opens(chapter, question, execute(mistake.code, names)), mistake.title


@pytest.mark.parametrize("chapter, question", ASKED, ids=lambda value: value)
def test_a_solution_opens_for_an_independent_answer(chapter, question):
    from tests.labs import independent

    names = given(chapter, question)
    assert opens(chapter, question, names | independent.ANSWERS[question](names))
