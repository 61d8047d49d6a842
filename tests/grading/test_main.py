"""The command: a class in, a table and pages out; what is graded once is kept."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.grading.toy import GOOD, SQUARES, assigned, needs_sandbox, notebook
from tests.labs.independent.cells import ROOT
from vae_course.grading import __main__ as program, report, sandbox
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


@pytest.mark.parametrize("out", ["in.csv", "in/grades.csv"])
def test_what_it_writes_never_lies_among_the_submissions(tmp_path, run, out):
    (tmp_path / "in").mkdir()
    assigned(tmp_path)
    status, said = run(tmp_path, "--unsafe", "--out", str(tmp_path / out))
    assert status == 2 and "among the submissions" in said
    assert list((tmp_path / "in").iterdir()) == []


def test_without_bubblewrap_it_refuses_and_says_why(tmp_path, monkeypatch, run):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    status, said = run(tmp_path)
    assert status == 2 and "--unsafe" in said


@pytest.mark.timeout(1800)
def test_unsafe_it_grades_without_a_sandbox_and_a_roster_gives_absent_students_a_zero(
    tmp_path, run
):
    (tmp_path / "in").mkdir()
    assigned(tmp_path)
    (tmp_path / "in" / "ann_101_7_toy.ipynb").write_text(notebook(GOOD))
    (tmp_path / "class.csv").write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section\n    Points Possible,,,,\n"
        '"Ames, Ann",101,s1,ann,A\n"Bohr, Bo",102,s2,bo,A\n'
    )
    status, _ = run(tmp_path, "--unsafe", "--roster", str(tmp_path / "class.csv"))
    assert status == 0
    rows = table(tmp_path / "grades.csv")
    assert [(row["Student"], row["ID"], row["00-toy"]) for row in rows] == [
        ("Ames, Ann", "101", "5"), ("Bohr, Bo", "102", "0")
    ]  # fmt: skip


def test_a_page_has_a_name_that_a_file_may_have_and_two_students_never_one():
    first, second = (program.file_name("x" * 250 + end) for end in "ab")
    assert first != second and program.file_name("short") == "short"
    names = (first, program.file_name("é" * 120))
    assert all(len(os.fsencode(f"{name}.html")) < 255 for name in names)


def test_every_file_and_folder_of_a_class_has_a_row_of_its_own(tmp_path: Path):
    (tmp_path / "ann.ipynb").write_text("{}")
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "work.ipynb").write_text("{}")
    (tmp_path / "ann" / "._work.ipynb").write_text("a Mac's")
    (tmp_path / "bo").mkdir()
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".hidden").write_text("")
    found = program.submissions(tmp_path)
    assert {k: v.name for k, v in found.items()} == {
        "ann": "work.ipynb",
        "ann.ipynb": "ann.ipynb",
        "bo": "one notebook",
        "notes.txt": "notes.txt",
    }
