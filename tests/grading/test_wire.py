"""Through the sandbox's wall a test says the same as in the student's own process."""

import json
import os
import re
import warnings
from fractions import Fraction

import pytest
import torch

from tests.grading.helpers import MASTERS, given_assignment, needs_sandbox
from tests.labs.independent.cells import execute, given
from vae_course.grading import grade, wire
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


@pytest.mark.parametrize(
    "cell, python",
    [
        ("x = 7 \\\n  % 4", "x = 7 \\\n  % 4"),
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("if True:\n    !pip install x\ny = 2", "if True:\n    pass\ny = 2"),
        ("files = !ls\nhere = %pwd\ntorch.cdist?", "files = None\nhere = None\npass"),
        ("%%time\nx = 1", "x = 1"),
        ("%%bash\nrm -rf /", ""),
    ],
)
def test_ipythons_own_syntax_does_nothing_and_pythons_is_kept(cell, python):
    assert wire.python_lines(cell) == python


def test_data_cross_the_wall_as_they_are():
    values = [Fraction(1, 3), 2 + 1j, (1, [2.5, None]), {"a": {3}}, b"x", torch.float16, ...]
    sent = json.loads(json.dumps(wire.Encoder(refuse)(values)))
    assert wire.Decoder(refuse)(sent) == values
    for made in (torch.eye(2, dtype=torch.bfloat16), torch.empty(3, 0), torch.tensor([1j])):
        back = wire.Decoder(refuse)(json.loads(json.dumps(wire.Encoder(refuse)(made))))
        assert back.dtype == made.dtype and torch.equal(back, made)


def test_a_tensor_of_no_data_and_many_rows_stays_where_it_is():
    assert wire.Encoder(lambda x: "kept")(torch.empty(10**7, 0, 3)) == "kept"
    told = {"t": "tensor", "dtype": "float32", "shape": [10**8, 0], "data": ""}
    with pytest.raises(wire.WireError, match="too many rows"):
        wire.Decoder(refuse)(told)


def refuse(x):
    raise AssertionError(f"{x!r} has a form of its own")
