"""Every notebook gets a score, hints that give nothing away, and where it ends early the reason."""

import pytest

from tests.grading import toy
from tests.grading.toy import GOOD, TOY, assigned, graded, needs_sandbox
from vae_course.grading import grade
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


def test_a_question_is_graded_where_it_is_checked_last_or_else_at_the_end(opened, tmp_path):
    check = "grader.check('double')"
    result = graded(tmp_path, GRADER, check, GOOD, check, "double = 1", "answer = 41")
    first, second = result["questions"]
    assert (first["score"], second["score"], second["hint"]) == (4, 0, "Not 42.")
    missing = graded(tmp_path, GRADER, GOOD, check, "del double", check)["questions"][0]
    assert (missing["score"], missing["hint"]) == (0, "double is not defined.")


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
@pytest.mark.slow(reason="the largest answer of no numbers that may cross: ten million lists")
@pytest.mark.timeout(3600)
def test_an_answer_of_as_many_empty_rows_as_may_cross_is_graded_all_the_same(tmp_path):
    code = "import torch\ndef double(x): return torch.empty(10**7, 0)\nanswer = 42"
    result = graded(tmp_path, code, limits=Limits(test=600))
    assert (result["score"], result["reason"]) == (1, None)
    assert TOY["questions"].keys() == {q["name"] for q in result["questions"]}
