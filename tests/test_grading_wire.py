"""Through the sandbox's wall a test says the same as in the student's own process."""

import os
import re
import warnings

import pytest
from grading_help import MASTERS, given_assignment, needs_sandbox
from independent.cells import execute, given

from vae_course.grading import grade
from vae_course.grading.assignment import Session
from vae_course.grading.sandbox import Limits, Sandbox

# All of them take ten minutes: VAE_COURSE_GRADING=all
EVERY = os.environ.get("VAE_COURSE_GRADING") == "all"
CHAPTERS = [name for name in MASTERS if EVERY or name[:2] in ("01", "05")]


def variants(question):
    yield "solution", ""
    yield "stub", None
    for mistake in question.mistakes:
        yield mistake.title, mistake.code


def in_process(question, name, code):
    # In one namespace, as in a notebook: a mistake also reaches the functions that call it.
    body = question.stub if code is None else question.solution + "\n" + code
    names = execute(body, given(name, question.name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a student's warning is no failure
        results = question.grade(names).test_case_results
    return [(r.passed, r.passed or plain(r.message)) for r in results]


def plain(said):
    """The last line without the error's class, which otter shows and the grader does not."""
    return re.sub(r"^\w+Error: ", "", said.split("\n")[-1]).strip("'")


@needs_sandbox
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CHAPTERS)
def test_every_answer_gets_the_same_points_and_hints_as_in_process(name):
    master, assignment = MASTERS[name], given_assignment(name)
    for question in master.questions.values():
        with Sandbox(Limits(total=600)) as sandbox:
            session = Session(sandbox)
            for title, code in variants(question):
                body = question.stub if code is None else question.solution + "\n" + code
                _, error = session.cell(master.preamble + question.given)
                assert error is None
                _, error = session.cell(body)
                assert error is None, title
                through = [
                    (r["passed"], r["passed"] or plain(r["said"]))
                    for r in grade.question(question.name, assignment, session)
                ]
                direct = in_process(question, name, code)
                assert [p for p, _ in through] == [p for p, _ in direct], (question.name, title)
                if code is not None:
                    assert through == direct, (question.name, title)
