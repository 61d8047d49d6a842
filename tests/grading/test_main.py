"""The command: a class in, a table and pages out; what is graded once is kept."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest

from tests.grading import toy
from tests.grading.toy import AS_A_USER, GOOD, SQUARES, assigned, needs_sandbox, notebook
from tests.labs.independent.cells import ROOT
from vae_course.grading import __main__ as program, grade, judge, report, walls
from vae_course.grading.sandbox import Limits


def words(folder: Path, *more: str) -> list[str]:
    """The command's, for what is handed in in a folder."""
    told = [str(folder / "in"), "--assignment", str(folder / "grading.json")]
    return [*told, "--out", str(folder / "grades.csv"), "--jobs", "1", *more]


@pytest.fixture
def run(monkeypatch, capsys):
    """The command, in this process: its status, and what it says."""

    def run(folder: Path, *more: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["grading", *words(folder, *more)])
        status = program.main()
        said = capsys.readouterr()
        return status, said.err if status else said.out

    return run


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def handed_in(folder: Path) -> None:
    (folder / "in").mkdir(parents=True)
    assigned(folder)
    for number, code in enumerate([GOOD, SQUARES, SQUARES]):
        (folder / "in" / f"student{number}_10{number}_7_toy.ipynb").write_text(notebook(code))
    (folder / "in" / "broken_200_8_toy.ipynb").write_text("{")
    name = os.fsdecode(b"caf\xe9_201_9_toy.ipynb")
    (folder / "in" / name).write_text(notebook("n = 1", GOOD))


@needs_sandbox
@pytest.mark.timeout(1800)
def test_killed_half_way_and_resumed_it_makes_the_same_table(tmp_path, run):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    handed_in(whole), handed_in(broken)
    status, said = run(whole)
    assert status == 0
    stopped = subprocess.Popen(
        [sys.executable, "-m", "vae_course.grading", *words(broken)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    kept = broken / "grades" / "results"
    while len(list(kept.glob("*.json"))) < 2:
        assert stopped.poll() is None, "it was over before it could be stopped"
        time.sleep(0.05)
    stopped.send_signal(signal.SIGKILL)
    stopped.wait()
    before = {p.name: p.stat().st_mtime_ns for p in kept.glob("*.json")}
    assert 0 < len(before) < 4
    assert run(broken) == (0, said)
    after = {p.name: p.stat().st_mtime_ns for p in kept.glob("*.json")}
    assert before.items() <= after.items(), "a kept result was made again"
    assert len(after) == 4, "the same notebook, handed in twice, is graded once"
    assert (whole / "grades.csv").read_bytes() == (broken / "grades.csv").read_bytes()
    rows = table(whole / "grades.csv")
    assert {row["ID"]: row["00-toy"] for row in rows} == {
        "100": "5", "101": "1", "102": "1", "200": "0", "201": "5"
    }  # fmt: skip
    assert list(rows[0]) == [*report.COLUMNS, "00-toy"]
    assert (
        "2 x double: takes the square for the double" in said and "Hardest question: double" in said
    )


def test_a_result_is_kept_for_the_same_notebook_tests_and_limits_alone(tmp_path):
    path, other = tmp_path / "a.ipynb", tmp_path / "b.ipynb"
    path.write_text(notebook(GOOD))
    shutil.copy(path, other)
    key = program.key(path, b"tests", Limits())
    assert program.key(other, b"tests", Limits()) == key
    assert program.key(path, b"other tests", Limits()) != key
    path.write_text(notebook(SQUARES))
    assert program.key(path, b"tests", Limits()) != key
    other.unlink()
    assert program.key(other, b"tests", Limits()) != key


def test_any_change_of_the_course_grades_anew(tmp_path, monkeypatch):
    (tmp_path / "sphere" / "__pycache__").mkdir(parents=True)
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "sphere" / "cauchy.py").write_text("x = 1")
    monkeypatch.setattr(program.vae_course, "__file__", str(tmp_path / "__init__.py"))
    before = program.code()
    (tmp_path / "sphere" / "__pycache__" / "cauchy.pyc").write_text("x")
    assert program.code() == before
    (tmp_path / "sphere" / "cauchy.py").write_text("x = 2")
    assert program.code() != before
    monkeypatch.setattr(program.torch, "__version__", "0")
    changed = program.code()
    assert changed != before
    (tmp_path / "data.npz").write_bytes(b"x")
    assert program.code() != changed


def test_a_file_that_may_not_be_read_has_a_key_of_its_own(tmp_path, monkeypatch):
    path = tmp_path / "a.ipynb"
    path.write_text(notebook(GOOD))
    readable = program.key(path, b"tests", Limits())

    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    assert program.key(path, b"tests", Limits()) != readable


@pytest.mark.parametrize(
    "out, said",
    [
        ("in.csv", "among the submissions"),
        ("in/grades.csv", "among the submissions"),
        ("grades", "ends in .csv"),
        ("grades.txt", "ends in .csv"),
        ("folder.csv", "ends in .csv"),
        ("file/grades.csv", "Not a directory"),
    ],
)
def test_where_it_cannot_or_must_not_write_it_refuses_before_it_grades(tmp_path, run, out, said):
    (tmp_path / "in").mkdir()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    assigned(tmp_path)
    status, message = run(tmp_path, "--unsafe", "--out", str(tmp_path / out))
    assert status == 2 and said in message
    assert list((tmp_path / "in").iterdir()) == []


def test_what_students_code_could_read_it_refuses(tmp_path, run, monkeypatch):
    (tmp_path / "in").mkdir()
    assigned(tmp_path)
    monkeypatch.setattr(walls, "available", lambda: True)
    monkeypatch.setattr(walls, "sees", lambda path: "/opt" if path.name == "in" else None)
    status, said = run(tmp_path)
    assert status == 2 and "/in lies in /opt, which students' code can read" in said
    monkeypatch.setattr(walls, "sees", lambda path: "/opt" if path.suffix == ".json" else None)
    assert run(tmp_path)[0] == 2


def test_a_grading_file_that_is_none_is_refused(tmp_path, run):
    (tmp_path / "in").mkdir()
    (tmp_path / "grading.json").write_text('{"cells": []}')
    status, said = run(tmp_path, "--unsafe")
    assert status == 2 and "grading.json is no grading file" in said


def test_without_bubblewrap_it_refuses_and_says_why(tmp_path, monkeypatch, run):
    monkeypatch.setattr(walls.shutil, "which", lambda name: None)
    status, said = run(tmp_path)
    assert status == 2 and "--unsafe" in said


class Now(Executor):
    """No threads: alarms ring in the first one alone."""

    def __init__(self, jobs):
        pass

    def submit(self, function, *given):
        done = Future()
        try:
            done.set_result(function(*given))
        except judge.JudgeError as error:
            done.set_exception(error)
        return done


@pytest.fixture
def judged(monkeypatch):
    """A judge in this process: submissions cost nothing, and some cannot be graded."""
    failing: list[str] = []

    class Here(judge.Judge):
        def __call__(self, path):
            if any(name in str(path) for name in failing):
                raise judge.JudgeError("the sandbox did not start")
            return grade.submission(path, self.told, self.limits, self.safe)

    monkeypatch.setattr(program, "Judge", Here)
    monkeypatch.setattr(program, "ThreadPoolExecutor", Now)
    monkeypatch.setattr(grade, "Sandbox", toy.Open)
    return failing


ROSTER = (
    "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"
    '"Ames, Ann",101,s1,ann,=A\n"Bohr, Bo",102,s2,bo,A\n"Curie, Cy",103,s3,cy,A\n'
)


def in_folder(folder: Path, files: dict[str, str], roster: str | None = ROSTER) -> list[str]:
    """A class's folder; the options for its roster."""
    for name, text in files.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assigned(folder)
    (folder / "class.csv").write_text(roster or "")
    return ["--unsafe", *(["--roster", str(folder / "class.csv")] if roster else [])]


def points(folder: Path) -> dict[str, str]:
    return {row["Student"]: row["00-toy"] for row in table(folder / "grades.csv")}


RIGHT, HALF = notebook(GOOD), notebook(SQUARES)
CANVAS = {
    "amesann_101_7_toy.ipynb": HALF,
    "amesann_LATE_101_9_toy-1.ipynb": RIGHT,
    "amesann_101_8_notes.pdf": "%PDF",
    "bohrbo_102_7_toy.ipynb": HALF,
}
MOODLE = {
    "Ann Ames_771_assignsubmission_file_/toy.ipynb": RIGHT,
    "Ann Ames_771_assignsubmission_file_/other.ipynb": notebook("grader.check('knn')"),
    "Bo Bohr_772_assignsubmission_file_/toy.ipynb": HALF,
    "Bo Bohr_772_assignsubmission_file_/notes.pdf": "%PDF",
}
GRADESCOPE = {
    "submission_metadata.yml": "submission_1:\n  :submitters:\n  - :name: Ann\n    :sid: s1\n"
    "  :status: x\nsubmission_2:\n  :submitters:\n  - :name: Bo Bohr\n    :email: bo@x.edu\n",
    "submission_1/toy.ipynb": RIGHT,
    "submission_2/toy.ipynb": HALF,
}
PLAIN = {"ann/toy.ipynb": RIGHT, "102.ipynb": HALF, "102.pdf": "%PDF"}


@pytest.mark.parametrize("files", [CANVAS, MOODLE, GRADESCOPE, PLAIN])
def test_whatever_gave_the_folder_a_roster_has_one_row_of_each(tmp_path, run, judged, files):
    status, said = run(tmp_path, *in_folder(tmp_path, files))
    assert status == 0, said
    assert points(tmp_path) == {"Ames, Ann": "5", "Bohr, Bo": "1", "Curie, Cy": "0"}
    assert {row["Section"] for row in table(tmp_path / "grades.csv")} == {"'=A", "A"}
    listed = table(tmp_path / "grades" / "files.csv")
    assert len(listed) == len(files.keys() - {"submission_metadata.yml"})
    assert [row["Points"] for row in listed if row["Counts"] == "yes"] == ["5", "1"]
    late = [page for page in (tmp_path / "grades" / "feedback").iterdir() if "LATE" in page.name]
    assert all("Handed in late." in page.read_text() for page in late)
    assert len(late) == (files is CANVAS)


@pytest.mark.parametrize("files", [CANVAS, MOODLE, GRADESCOPE, PLAIN])
def test_without_a_roster_too(tmp_path, run, judged, files):
    status, said = run(tmp_path, *in_folder(tmp_path, files, None))
    assert status == 0, said
    assert sorted(points(tmp_path).values()) == ["1", "5"]


def test_a_doubt_is_no_zero_and_is_said(tmp_path, run, judged):
    files = {"amesann_101_7_toy.ipynb": HALF, "eve_999_8_toy.ipynb": RIGHT}
    status, _ = run(tmp_path, *in_folder(tmp_path, files))
    assert status == 1
    assert points(tmp_path) == {"Ames, Ann": "1", "Bohr, Bo": "", "Curie, Cy": ""}
    said = (tmp_path / "grades" / "summary.txt").read_text()
    assert "eve_999_8_toy: not in the roster" in said
    assert (tmp_path / "grades" / "feedback" / "eve_999_8_toy.html").exists()


def test_what_could_not_be_graded_is_no_zero_and_is_graded_the_next_time(tmp_path, run, judged):
    options = in_folder(tmp_path, {"ann.ipynb": RIGHT, "bo.ipynb": HALF})
    judged.append("ann")
    assert run(tmp_path, *options)[0] == 1
    assert points(tmp_path) == {"Ames, Ann": "", "Bohr, Bo": "1", "Curie, Cy": "0"}
    judged.clear()
    assert run(tmp_path, *options)[0] == 0
    assert points(tmp_path)["Ames, Ann"] == "5"


@needs_sandbox
@pytest.mark.timeout(1800)
def test_one_file_that_may_not_be_read_does_not_end_the_class(tmp_path):
    in_folder(tmp_path, {"ann.ipynb": RIGHT, "bo.ipynb": HALF})
    (tmp_path / "in" / "ann.ipynb").chmod(0)
    program_ = [sys.executable, "-m", "vae_course.grading", *words(tmp_path, "--unsafe")]
    done = subprocess.run(
        [*(AS_A_USER if os.geteuid() == 0 else []), *program_],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "ann: ann.ipynb was not graded, PermissionError" in done.stdout
    assert points(tmp_path) == {"ann": "", "bo": "1"}


@pytest.mark.timeout(1800)
def test_unsafe_it_grades_without_a_sandbox(tmp_path, run):
    status, _ = run(tmp_path, *in_folder(tmp_path, {"ann.ipynb": RIGHT}))
    assert status == 0
    assert points(tmp_path) == {"Ames, Ann": "5", "Bohr, Bo": "0", "Curie, Cy": "0"}


def test_a_page_has_a_name_that_a_file_may_have_and_two_students_never_one():
    first, second = (program.file_name("x" * 250 + end) for end in "ab")
    assert first != second and program.file_name("short") == "short"
    names = (first, program.file_name("é" * 120))
    assert all(len(os.fsencode(f"{name}.html")) < 255 for name in names)
