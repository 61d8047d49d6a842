"""Every notebook gets a score, hints that give nothing away, and where it ends early the reason."""

import pytest

from tests.grading import toy
from tests.grading.toy import GOOD, SQUARES, TOY, assigned, graded, needs_sandbox
from vae_course.grading import grade, wire
from vae_course.grading.sandbox import Limits

GRADER = "import otter\ngrader = otter.Notebook()"


def test_a_right_notebook_has_all_points_without_any_metadata_or_test_cell(opened, tmp_path):
    result = graded(tmp_path, "%pip install x\n!ls", GOOD)
    assert (result["score"], result["possible"], result["reason"]) == (5, 5, None)
    assert result["notes"] == []


def test_what_a_hidden_test_says_is_no_hint(opened, tmp_path):
    double = "def double(x):\n    if len(x) < 2: raise ValueError(str(x))\n    return 2 * x"
    result = graded(tmp_path, double, "answer = 42")
    told = result["questions"][0]
    assert (told["score"], told["hint"]) == (1, "")
    assert "7.5" in told["tests"][1]["said"], "the teacher sees it"


CHECK = "grader.check('double')"


@pytest.mark.parametrize(
    "cells, score",
    [
        ([GOOD, CHECK, "double = 1"], 4),  # a later name spoils it
        ([CHECK, GOOD], 4),  # answered below its failed check
        (["double = 1", CHECK, GOOD, CHECK, "del double"], 4),  # checked again
        ([GOOD, CHECK, "double = 1", CHECK], 0),  # the last check: nobody tries all answers
        ([GOOD], 4),
        ([SQUARES, CHECK, "double = 1"], 0),
    ],
)
def test_a_question_counts_where_it_earns_more_at_its_last_check_or_the_end(
    opened, tmp_path, cells, score
):
    assert graded(tmp_path, GRADER, *cells)["questions"][0]["score"] == score


def test_a_right_answer_is_not_asked_for_twice(opened, tmp_path, monkeypatch):
    asked = []
    question = grade.question
    monkeypatch.setattr(grade, "question", lambda *a: asked.append(a[0]) or question(*a))
    graded(tmp_path, GRADER, "double = 1", CHECK, GOOD, CHECK)
    assert asked == ["double", "double", "answer"]


@pytest.mark.parametrize(
    "cell, other",
    [
        ('checks = Path("checks-03-when-balls-meet")', "03-when-balls-meet"),
        ("grader.check(\"pair\")\ngrader.check('knn')", "one that asks for knn, pair"),
        ("checks = Path(\"checks-00-toy\")\ngrader.check('pair')", None),
        ("grader.check('double')\ngrader.check('pair')", None),
        ("n = 1", None),
    ],
)
def test_a_notebook_of_another_assignment_is_told_so(opened, tmp_path, cell, other):
    result = graded(tmp_path, cell)
    said = f"this is the notebook of another assignment, {other}"
    assert result["score"] == 0 and result["reason"] == (said if other else None)
    # What is right counts all the same.
    assert graded(tmp_path, cell, GOOD)["reason"] is None


def test_a_file_that_may_not_be_read_is_an_error_and_no_zero(tmp_path, monkeypatch):
    (tmp_path / "one.ipynb").write_text(toy.notebook(GOOD))

    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(grade.Path, "read_bytes", forbidden)
    with pytest.raises(PermissionError):
        grade.submission(tmp_path / "one.ipynb", assigned(tmp_path), Limits())


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "empty"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "no cells"),
        ('{"cells": 3}', "no cells"),
        ('{"cells": [1, {}, {"cell_type": "markdown"}]}', "no code"),
        ("\udcff", "not valid JSON"),
    ],
)
def test_a_broken_file_is_a_zero_with_its_reason(tmp_path, text, reason):
    path = tmp_path / "one.ipynb"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = grade.submission(path, assigned(tmp_path), Limits())
    assert result["score"] == 0 and reason in result["reason"]


def test_a_missing_file_and_a_link_are_zeros_with_their_reasons(tmp_path):
    toy_ = assigned(tmp_path)
    assert "no file" in grade.submission(tmp_path / "none", toy_, Limits())["reason"]
    (tmp_path / "link").symlink_to(tmp_path / "grading.json")
    assert "a link" in grade.submission(tmp_path / "link", toy_, Limits())["reason"]
    (tmp_path / "large").write_text(toy.notebook(GOOD))
    assert "more than" in grade.submission(tmp_path / "large", toy_, Limits(notebook=9))["reason"]


def test_an_answer_cannot_keep_a_test_busy_out_here(opened, tmp_path):
    source = "def check_answer(answer):\n    for _ in range(answer): pass"
    counting = {**toy.CHECK_ANSWER, "source": source}
    told = {"name": "00-toy", "questions": {"answer": [counting]}}
    result = graded(tmp_path, "answer = 10**18", told=told, limits=Limits(test=0.5))
    assert (result["score"], result["reason"]) == (
        0, "stopped: its answers keep a test for over 0.5 s"
    )  # fmt: skip


def test_each_cell_more_is_one_request_more_and_the_notes_stay_few(opened, tmp_path, monkeypatch):
    asked = []

    def request(self, seconds, **message):
        asked.append(len(message.get("source", "")))
        return answer(self, seconds, **message)

    answer = toy.Open.request
    monkeypatch.setattr(toy.Open, "request", request)
    counts = []
    for cells in (0, 100, 200):
        asked.clear()
        result = graded(tmp_path, *["1 / 0"] * cells, GOOD)
        assert result["score"] == 5 and len(result["notes"]) == min(cells, 20)
        counts.append((len(asked), sum(asked)))
    (n, size), *more = counts
    assert n < 20 and more == [(n + k, size + 5 * k) for k in (100, 200)]


@needs_sandbox
@pytest.mark.slow(reason="ten thousand answers through a pipe; by default requests are counted")
@pytest.mark.timeout(3600)
def test_ten_thousand_cells_get_what_they_have_earned(tmp_path):
    result = graded(tmp_path, *["n = 1"] * 10_000, GOOD, limits=Limits(total=3600))
    assert (result["score"], result["reason"]) == (5, None)


@needs_sandbox
@pytest.mark.slow(reason="the largest answer of no numbers that may cross, in a sandbox")
@pytest.mark.timeout(3600)
def test_an_answer_of_as_many_empty_rows_as_may_cross_is_graded_all_the_same(tmp_path):
    for rows, said in [(wire.ROWS, "Not the double."), (wire.ROWS + 1, "has no attribute")]:
        code = f"import torch\ndef double(x): return torch.empty({rows}, 0)\nanswer = 42"
        result = graded(tmp_path, code)
        assert (result["score"], result["reason"]) == (1, None)
        assert said in result["questions"][0]["hint"]
    assert TOY["questions"].keys() == {q["name"] for q in result["questions"]}
