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


def row(**known):
    return report.row(known, "t", 1)


@pytest.mark.parametrize(
    "name, written",
    [
        ("=cmd()", "'=cmd()"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\t=1", " '=1"),
        ("\r=1", " '=1"),
        ("  =1", "  '=1"),
        ("\u200b=1", " '=1"),
        ("\uff1d1", "'\uff1d1"),
        ("x;=1", "x;'=1"),
        ('a"; -1', "a\"; '-1"),
        ("Doe, Ann-Lee", "Doe, Ann-Lee"),
    ],
)
def test_no_field_is_a_formula(name, written):
    assert row(Student=name)["Student"] == written
    assert row(Section=name, ID=name)["Section"] == row(ID=name)["ID"] == written


def test_names_of_any_bytes_are_written_as_text():
    assert row(Student="caf\udce9")["Student"] == "caf\\xe9"


def test_points_that_nobody_knows_are_none():
    assert report.row({}, "t", None)["t"] == "" and report.row({}, "t", 0)["t"] == "0"


def test_a_roster_has_each_student_once(tmp_path):
    path = tmp_path / "class.csv"
    path.write_text("Student,ID\nA, 101\nPoints Possible,\nB,102\n")
    assert [row["ID"] for row in report.roster(path)] == ["101", "102"]
    path.write_text("Student,ID\nA,101\nB,101\n")
    with pytest.raises(ValueError, match="ID 101 stands twice"):
        report.roster(path)
    path.write_text("Name\nA\n")
    with pytest.raises(ValueError, match="no column ID"):
        report.roster(path)


def test_a_page_says_where_a_question_counts_and_what_is_to_be_said_of_the_file():
    page = report.feedback(result(4), "t", ["Handed in late.", "<b>x</b>\ny"])
    assert "at its last check, or at the notebook" in page
    assert "<p>Handed in late.</p>" in page and "<p>&lt;b&gt;x&lt;/b&gt; y</p>" in page


def test_no_hint_or_reason_begins_a_line_of_the_summary():
    results = [result(0, "Odd.\n9 x q: forged\r\nHardest question: none"), result(reason="a\nb")]
    said = report.summary(results, {})
    assert "  1 x q: Odd. 9 x q: forged Hardest question: none\n" in said
    assert "  1 x a b\n" in said


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
