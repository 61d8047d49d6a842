"""What leaves the grader: tables that no spreadsheet executes, pages that tell no hidden test."""

import pytest

from vae_course.grading import report


def result(score=0, hint="", reason=None, hidden_says="expected 15.0"):
    tests = [
        {"name": "c", "points": 1, "hidden": False, "passed": not hint, "said": hint},
        {"name": "t", "points": 3, "hidden": True, "passed": score == 4, "said": hidden_says},
    ]
    question = {"name": "q", "score": score, "possible": 4, "hint": hint, "tests": tests}
    told = {"score": score, "possible": 4, "reason": reason, "notes": ["<b>NameError</b>"]}
    return told | {"questions": [question]}


def test_a_page_shows_hints_as_text_and_nothing_of_a_hidden_test():
    page = report.feedback(result(1, "You <i>square</i>."), "01 & all")
    assert "You &lt;i&gt;square&lt;/i&gt;." in page and "01 &amp; all" in page
    assert "&lt;b&gt;NameError" in page and "<b>" not in page and "15.0" not in page


def test_a_page_says_why_points_are_missing_where_all_checks_pass():
    assert "does not" not in report.feedback(result(4), "t")
    assert "a test with other numbers does not" in report.feedback(result(1), "t")
    assert "its process ended" in report.feedback(result(reason="its process ended"), "t")


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x"])
def test_no_name_is_a_formula(name):
    (row,) = report.rows({name: result()}, [], "t")
    assert row["Student"] == "'" + name


def test_names_of_any_bytes_are_written_as_text():
    (row,) = report.rows({"caf\udce9": result()}, [], "t")
    assert row["Student"] == "caf\\xe9"


def test_a_student_is_found_by_number_or_login_and_never_by_part_of_one():
    ann = {"ID": "101", "SIS Login ID": "ann"}
    bo = {"ID": "10", "SIS Login ID": "annabo"}
    assert report.owner("ann_101_7_toy", [ann, bo]) == ann
    assert report.owner("x annabo", [ann, bo]) == bo
    assert report.owner("x_1011_y", [ann, bo]) is None
    assert report.owner("101 10", [ann, bo]) is None, "two students match"


def test_the_summary_names_the_hardest_question_and_counts_misconceptions():
    good = result(4)
    results = [good, result(0, "You square."), result(0, "You square."), result(1, "Not this.")]
    mistakes = {"q": [["squares", "You square"], ["cubes", "You cube"]]}
    said = report.summary([*results, result(reason="empty")], mistakes)
    assert "5 submissions" in said and "mean 1.00, median 0" in said
    assert "Hardest question: q" in said
    assert said.index("Most common misconceptions:\n  2 x q: squares\n") < said.index(
        "Other hints:\n  1 x q: Not this.\n"
    )
    assert "cubes" not in said
    assert "1 x empty" in said
