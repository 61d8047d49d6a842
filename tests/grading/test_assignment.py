"""Through the sandbox's wall a test says the same as in the student's own process."""

import re
import warnings
from collections.abc import Iterator

import pytest

from tests.grading import toy
from tests.grading.toy import given_assignment, needs_sandbox
from tests.labs.independent.cells import MASTERS, execute, given
from vae_course.grading import grade
from vae_course.grading.assignment import Session
from vae_course.grading.sandbox import Limits, Sandbox


def variants(question) -> Iterator[tuple[str, str, bool]]:
    """Title and code of each answer, and whether its hints must agree: a stub has none."""
    # In one namespace, as in a notebook: a mistake also reaches the functions that call it.
    yield "solution", question.solution, True
    yield "stub", question.stub, False
    for mistake in question.mistakes:
        yield mistake.title, question.solution + "\n" + mistake.code, True


def in_process(question, name, code):
    names = execute(code, given(name, question.name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a student's warning is no failure
        results = question.grade(names).test_case_results
    return [(r.passed, r.passed or plain(r.message)) for r in results]


def plain(said):
    """The last line without the error's class, which otter shows and the grader does not."""
    return re.sub(r"^\w+Error: ", "", said.split("\n")[-1]).strip("'")


def compare(session, name, question, title, code, hints):
    master = MASTERS[name]
    for source in (master.preamble + question.given, code):
        _, error = session.cell(source)
        assert error is None, (question.name, title)
    through = [
        (r["passed"], r["passed"] or plain(r["said"]))
        for r in grade.question(question.name, given_assignment(name), session)
    ]
    direct = in_process(question, name, code)
    assert [p for p, _ in through] == [p for p, _ in direct], (question.name, title)
    assert not hints or through == direct, (question.name, title)


@pytest.mark.parametrize("name", ["01-points-and-balls", "05-vq-compactness"])
def test_every_answer_gets_the_same_points_and_hints_by_messages_as_in_process(name):
    for question in MASTERS[name].questions.values():
        if question.name == "nearest":
            continue  # its test watches tensors being made, which it may do in one process as well
        session = Session(toy.Open(Limits(cell=600, call=600, test=600)))
        for title, code, hints in variants(question):
            compare(session, name, question, title, code, hints)


@needs_sandbox
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "name, questions, answers",
    [("01-points-and-balls", None, 2), ("05-vq-compactness", ["nearest"], 99)],
    ids=["solutions and stubs", "a test that watches tensors being made"],
)
def test_an_answer_gets_the_same_points_and_hints_through_the_wall(name, questions, answers):
    with Sandbox(Limits(total=1800)) as sandbox:
        for question in questions or MASTERS[name].questions:
            told = MASTERS[name].questions[question]
            for title, code, hints in [*variants(told)][:answers]:
                compare(Session(sandbox), name, told, title, code, hints)


@needs_sandbox
@pytest.mark.slow(reason="all answers of all chapters, a sandbox for each question")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", MASTERS)
def test_every_answer_gets_the_same_points_and_hints_as_in_process(name):
    for question in MASTERS[name].questions.values():
        with Sandbox(Limits(total=3600)) as sandbox:
            for title, code, hints in variants(question):
                compare(Session(sandbox), name, question, title, code, hints)
