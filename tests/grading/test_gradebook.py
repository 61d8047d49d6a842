"""Which of a student's files counts, and that no doubt becomes a zero."""

from pathlib import Path

import pytest

from tests.grading.toy import assigned
from vae_course.grading import gradebook, handed_in, report
from vae_course.grading.handed_in import Pupil, Work

TITLE = "00-toy"


def told(score, reason=None):
    return {"score": score, "possible": 5, "reason": reason, "questions": [], "notes": []}


def work(name, late=False, order=(0, 0), platform="canvas"):
    return Work(name.removesuffix(".ipynb"), Path(name), platform, "ann", ("101",), late, order)


def pupil(name, *works):
    return Pupil(dict.fromkeys(report.COLUMNS, "") | {"Student": name}, list(works))


@pytest.fixture
def graded(tmp_path):
    def graded(pupils, results, astray=()):
        made = gradebook.Graded(list(pupils), list(astray), assigned(tmp_path))
        made.results_of = {Path(name): result for name, result in results.items()}
        return made

    return graded


def points(made):
    return {row["Student"]: row[TITLE] for row in made.rows(TITLE)}


def test_of_several_notebooks_the_best_counts_and_of_equals_the_one_in_time(graded):
    a, b, late = work("a.ipynb"), work("b.ipynb", order=(2, 0)), work("l.ipynb", True, (9, 0))
    made = graded([pupil("ann", a, b, late, work("notes.pdf"))], {})
    for scores, counts, points in [
        ((3, 5, 1), b, 5),
        ((3, 1, 3), a, 3),
        ((3, 1, 4), late, 4),
        ((0, 0, 0), b, 0),
    ]:
        names = ("a.ipynb", "b.ipynb", "l.ipynb")
        made.results_of = {Path(n): told(s) for n, s in zip(names, scores, strict=True)}
        best, result = made.best(made.pupils[0])
        assert (best, result["score"]) == (counts, points), scores
    assert len(made.rows(TITLE)) == 1
    made.results_of[Path("b.ipynb")] = told(0, "another assignment's")
    assert made.best(made.pupils[0])[0] is a


def test_late_work_is_said_to_the_student_and_in_the_list_of_files(graded):
    student = pupil("ann", work("a.ipynb"), work("l.ipynb", True, (9, 0)))
    made = graded([student], {"a.ipynb": told(3), "l.ipynb": told(5)})
    assert made.notes(student) == [
        "Handed in late.",
        "Of your 2 notebooks the best counts: l.ipynb.",
        "In time it was 3 points.",
    ]
    rows = {row["File"]: (row["Late"], row["Points"], row["Counts"]) for row in made.files()}
    assert rows == {"a.ipynb": ("", "3", "no"), "l.ipynb": ("late", "5", "yes")}
    assert made.doubts() == ""


def test_who_handed_in_no_notebook_has_a_zero_that_says_so(graded, tmp_path):
    empty = Work("bo", tmp_path, "", "bo")
    made = graded([pupil("ann", work("a.pdf"), work("b.zip")), pupil("bo", empty)], {})
    assert points(made) == {"ann": "0", "bo": "0"}
    reasons = [result["reason"] for result in made.results()]
    assert reasons == [
        "there is no notebook, only a.pdf, b.zip",
        "there is no notebook: the folder is empty",
    ]


def test_the_last_five_notebooks_of_a_student_are_graded(graded):
    works = [work(f"{n}.ipynb", order=(n, 0)) for n in range(7)]
    made = graded([pupil("ann", *works)], {f"{n}.ipynb": told(n) for n in range(7)})
    assert [p.name for p in made.wanted()] == [f"{n}.ipynb" for n in (6, 5, 4, 3, 2)]
    notes = {row["File"]: row["Note"] for row in made.files()}
    assert "not graded: the last 5" in notes["1.ipynb"] and notes["6.ipynb"] == ""


def test_what_could_not_be_graded_has_no_points_and_is_said(graded):
    made = graded([pupil("ann", work("a.ipynb"))], {"a.ipynb": None})
    made.errors = {Path("a.ipynb"): "no\nsandbox"}
    assert points(made) == {"ann": ""}
    assert "ann: a.ipynb was not graded, no sandbox; no points yet" in made.doubts()
    assert made.files()[0]["Note"] == "not graded: no sandbox"
    assert made.pages() == [] and made.results() == []


def test_work_of_nobody_leaves_no_zero_behind_and_is_said(graded):
    stray = pupil("eve\n  ann: 24 points", work("e\nve.ipynb", platform=""))
    stray.notes = ["not in the roster"]
    absent = pupil("bo")
    here = pupil("ann", work("a.ipynb"))
    made = graded([here, absent], {"a.ipynb": told(2), "e\nve.ipynb": told(4)}, [stray])
    assert points(made) == {"ann": "2", "bo": ""}
    said = made.doubts()
    assert "  e ve: not in the roster\n" in said and "  bo: nothing handed in, unless" in said
    assert [row["Counts"] for row in made.files()] == ["yes", "no"]
    # A stray file that can earn nothing takes no zero away.
    stray.works = [work("readme.txt", platform="")]
    assert points(made) == {"ann": "2", "bo": "0"}


def test_every_field_of_the_list_of_files_is_harmless(graded):
    bad = Work("x", Path("=1+1.ipynb"), "", "=cmd")
    made = graded([pupil("=cmd", bad)], {"=1+1.ipynb": told(0, "=2")})
    (row,) = made.files()
    assert (row["Student"], row["File"], row["Note"]) == ("'=cmd", "'=1+1.ipynb", "'=2")


def test_one_class_from_the_folder_to_the_table(graded, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("ames_101_1_x.ipynb", "ames_101_2_notes.pdf", "bohr_LATE_102_3_x.ipynb"):
        (tmp_path / "in" / name).write_text("{}")
    works = handed_in.read(tmp_path / "in")
    made = graded(*[handed_in.pupils(works, [], report.COLUMNS)[0]], {})
    made.results_of = {path: told(4) for path in made.wanted()}
    assert [(r["Student"], r["ID"], r[TITLE]) for r in made.rows(TITLE)] == [
        ("ames", "101", "4"), ("bohr", "102", "4")
    ]  # fmt: skip
    assert [name for name, _, _ in made.pages()] == ["ames_101_1_x", "bohr_LATE_102_3_x"]
