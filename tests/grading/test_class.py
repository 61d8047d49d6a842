"""The generated class: what it holds, and exact points for its first twenty."""

import csv
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.grading import generated_class
from tests.grading.generated_class import MASTERS, NAME, QUESTIONS, SHARES, SLOPPY, Class, points
from tests.grading.helpers import needs_sandbox
from tests.labs.independent.cells import ROOT, execute, given


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return generated_class.make(tmp_path_factory.mktemp("class") / "made")


def test_the_class_is_the_same_whenever_it_is_made_and_no_two_hand_in_the_same(made):
    folder, _ = made
    students, again = list(Class(folder)), Class(folder)
    assert len({s.student for s in students}) == len(students) == 200
    assert Counter(s.kind for s in students) == SHARES
    assert {s.kind for s in students[:20]} == SHARES.keys()
    for number in (0, 3, 4, 150, 199):
        assert again[number].files == students[number].files
    gradeable = [s for s in students if s.kind != "broken"]
    assert len({next(iter(s.files.values())) for s in gradeable}) == len(gradeable)


def test_it_makes_every_known_mistake_and_every_sloppy_answer(made):
    said = "\n".join(Class(made[0]).wrong(i, None)[0] for i in range(SHARES["wrong"]))
    for question in QUESTIONS:
        titles = [f"{question}: {m.title}" for m in MASTERS[NAME].questions[question].mistakes]
        titles += [f"{question}: {name}: {how}" for name, how in SLOPPY[question]]
        assert [title for title in titles if title not in said] == []


def test_points_of_a_notebook_are_those_of_its_questions_each_by_itself(made):
    students = Class(made[0])
    chosen = [students[n] for n, (kind, i) in enumerate(students.order) if kind == "wrong"][:6]
    for student in chosen:
        alone = 0
        for cell in student.earning:
            if cell.role == "answer":
                names = execute(cell.source, given(NAME, cell.question))
                alone += MASTERS[NAME].questions[cell.question].grade(names).score
        assert student.expected == alone, student.title


def test_an_untouched_notebook_earns_nothing_and_a_right_one_everything(made):
    students = Class(made[0])
    assert points(students.cells) == points([]) == 0
    right = [
        students[n]
        for n, (kind, i) in enumerate(students.order)
        if (kind, i < 2) == ("correct", True)
    ]
    assert [student.expected for student in right] == [24, 24]


@needs_sandbox
@pytest.mark.timeout(600)
def test_twenty_of_the_class_get_exactly_what_they_have_earned(made, tmp_path):
    students = list(Class(made[0], 20))
    generated_class.write(tmp_path / "in", students)
    command = [sys.executable, "-m", "vae_course.grading", tmp_path / "in", "--jobs", "2"]
    command += ["--assignment", made[1], "--out", tmp_path / "grades.csv"]
    subprocess.run(
        [*command, "--cell", "15", "--call", "5"],
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    with (tmp_path / "grades.csv").open(encoding="utf-8", newline="") as file:
        found = {row["Student"]: float(row[NAME]) for row in csv.DictReader(file)}
    assert found == {student.student: student.expected for student in students}
