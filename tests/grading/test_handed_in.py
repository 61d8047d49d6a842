"""Whose a file is: the names that Canvas, Moodle and Gradescope give, and plain ones."""

import os
from pathlib import Path

import pytest

from vae_course.grading import handed_in, report
from vae_course.grading.handed_in import Work


def put(folder: Path, *names: str) -> list[Work]:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return handed_in.read(folder)


def student(name: str, number: str, login: str = "", sis: str = "") -> dict[str, str]:
    return {"Student": name, "ID": number, "SIS Login ID": login, "SIS User ID": sis}


def rows(works, *roster):
    known, astray = handed_in.pupils(works, list(roster), report.COLUMNS)
    return {p.row["Student"]: [w.path.name for w in p.works] for p in known}, astray


ANN, BO = student("Ames, Ann", "101", "ann", "s1"), student("Bohr, Bo", "102", "bo", "s2")


@pytest.mark.parametrize(
    "name, who, number, late, order",
    [
        ("amesann_101_9001_01-balls.ipynb", "amesann", "101", False, (9001, 0)),
        ("amesann_LATE_101_9001_01-balls-2.ipynb", "amesann", "101", True, (9001, 2)),
        ("amesann_101_9001_my_102_5_try.ipynb", "amesann", "101", False, (9001, 0)),
        ("o_neil_101_9001_x.ipynb", "o_neil", "101", False, (9001, 0)),
        ("Ann Ames_777_assignsubmission_file_x.ipynb", "Ann Ames", "777", False, (0, 0)),
    ],
)
def test_a_number_is_read_at_its_place(tmp_path, name, who, number, late, order):
    (work,) = put(tmp_path, name)
    assert (work.who, work.ids, work.late, work.order) == (who, (number,), late, order)


def test_one_student_is_one_row_whatever_came(tmp_path):
    works = put(
        tmp_path,
        "amesann_101_9001_balls.ipynb",
        "amesann_101_9002_notes.pdf",
        "amesann_LATE_101_9007_balls-1.ipynb",
        "bohrbo_102_9003_balls.ipynb",
    )
    found, astray = rows(works)
    assert {k: len(v) for k, v in found.items()} == {"amesann": 3, "bohrbo": 1} and not astray
    found, astray = rows(works, ANN, BO)
    assert {k: len(v) for k, v in found.items()} == {"Ames, Ann": 3, "Bohr, Bo": 1} and not astray


def test_folders_of_moodles_hold_one_student_each(tmp_path):
    works = put(
        tmp_path,
        "Zoë Müller_701_assignsubmission_file_/a.ipynb",
        "Zoë Müller_701_assignsubmission_file_/deep/b.ipynb",
        "Zoë Müller_701_assignsubmission_file_/.ipynb_checkpoints/a.ipynb",
        "Zoë Müller_701_assignsubmission_file_/._a.ipynb",
        "Zoë Müller_701_assignsubmission_file_/__MACOSX/a.ipynb",
        "Ann Ames_702_assignsubmission_file_/a.ipynb",
    )
    assert rows(works)[0] == {"Zoë Müller": ["a.ipynb", "b.ipynb"], "Ann Ames": ["a.ipynb"]}
    # Its numbers are those of one assignment: the name tells.
    found, astray = rows(works, ANN, student("Muller, Zoe", "702"), BO)
    assert found == {"Ames, Ann": [], "Muller, Zoe": ["a.ipynb", "b.ipynb"], "Bohr, Bo": []}
    (ann,) = astray
    assert "two of the roster: Muller, Zoe (702) and Ames, Ann (101)" in ann.notes[0]


METADATA = """\
---
submission_11:
  :submitters:
  - :name: Ann Ames
    :sid: s1
    :email: ann@x.edu
  :created_at: 2026-01-01 10:00:00 Z
  :results: !ruby/hash:X
    tests:
    - name: not a student
submission_12:
  :submitters:
  - :name: 'Bo O''Bohr'
    :sid: 's2'
    :email: bo@x.edu
  - :name: Cy
    :sid:
    :email: cy@x.edu
  :status: processed
"""


def test_gradescopes_folders_are_named_by_its_metadata_and_a_group_is_all_of_its_students(tmp_path):
    names = [f"submission_{n}/x.ipynb" for n in (11, 12, 13)]
    (tmp_path / "submission_metadata.yml").write_text(METADATA)
    works = put(tmp_path, *names)
    assert list(rows(works)[0]) == ["Ann Ames", "Bo O'Bohr", "Cy", "submission_13"]
    told = {p.row["Student"]: p.row for p in handed_in.pupils(works, [], report.COLUMNS)[0]}
    assert (told["Ann Ames"]["SIS User ID"], told["Ann Ames"]["SIS Login ID"]) == (
        "s1", "ann@x.edu"
    )  # fmt: skip
    assert told["Cy"]["SIS User ID"] == told["Cy"]["ID"] == ""
    found, astray = rows(works, ANN, BO, student("Zed, Cy", "103", "cy"))
    assert all(found.values()) and [p.row["Student"] for p in astray] == ["submission_13"]


@pytest.mark.parametrize("name", ["101", "ann", "s1", "Ann Ames", "ames-ann", "Ámes, ANN"])
def test_a_plain_name_is_a_number_a_login_or_the_students(tmp_path, name):
    assert rows(put(tmp_path, f"{name}.ipynb"), ANN, BO)[0]["Ames, Ann"] == [f"{name}.ipynb"]
    assert not rows(put(tmp_path / "b", f"{name}/x.ipynb"), ANN, BO)[1]


@pytest.mark.parametrize(
    "name", ["1011.ipynb", "x_101.ipynb", "amesann_999_101_x.ipynb", "x_9_9_101_102_ann.ipynb"]
)
def test_a_number_elsewhere_in_a_name_is_nobodys(tmp_path, name):
    found, (stray,) = rows(put(tmp_path, name), ANN, BO)
    assert found == {"Ames, Ann": [], "Bohr, Bo": []}
    assert stray.notes == ["not in the roster"]


def test_two_of_the_roster_who_fit_are_a_doubt_and_no_guess(tmp_path):
    twin = student("Ames, Ann", "103", "102")
    for name in ("Ann Ames.ipynb", "102.ipynb"):
        folder = tmp_path / name
        folder.mkdir()
        found, (stray,) = rows(put(folder, name), ANN, BO, twin)
        assert not any(found.values()) and "fits two" in stray.notes[0]


def test_one_number_of_two_names_is_said(tmp_path):
    works = put(tmp_path, "ames_101_1_x.ipynb", "eve_101_2_x.ipynb")
    ((pupil,), _) = handed_in.pupils(works, [], report.COLUMNS)
    assert pupil.notes == ["one number, several names: ames and eve"]


def test_what_systems_leave_is_nobodys(tmp_path):
    put(tmp_path, ".DS_Store", "Thumbs.db", "desktop.ini", "__MACOSX/x.ipynb")
    assert handed_in.read(tmp_path) == []
    with pytest.raises(ValueError, match="is not a folder"):
        handed_in.read(tmp_path / "none")


def test_a_name_of_any_bytes_and_an_empty_folder_have_a_student(tmp_path):
    (tmp_path / "bo").mkdir()
    (work, empty) = put(tmp_path, os.fsdecode(b"caf\xe9_700_1_x.ipynb"))[::-1]
    assert work.who == "caf\udce9" and (empty.who, empty.path.name) == ("bo", "bo")
