"""The generated class: what it holds, and exact points for students of every kind."""

import csv
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.grading import generated_class
from tests.grading.generated_class import MASTERS, NAME, QUESTIONS, SHARES, SLOPPY, Class, points
from tests.grading.toy import needs_sandbox
from tests.labs.independent.cells import ROOT, execute, given

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


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
    students = Class(made[0])
    said = "\n".join(students.wrong(i, None)[0] for i in range(SHARES["wrong"]))
    for question in QUESTIONS:
        titles = [f"{question}: {m.title}" for m in MASTERS[NAME].questions[question].mistakes]
        titles += [f"{question}: {name}: {how}" for name, how in SLOPPY[question]]
        assert [title for title in titles if title not in said] == []


def test_points_of_a_notebook_are_those_of_its_questions_each_by_itself(made):
    students = Class(made[0])
    chosen = [students[n] for n, (kind, i) in enumerate(students.order) if kind == "wrong"][:3]
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


def graded_exactly(made, folder, students):
    generated_class.write(folder / "in", students)
    command = [sys.executable, "-m", "vae_course.grading", folder / "in", "--jobs", "2"]
    command += ["--assignment", made[1], "--out", folder / "grades.csv"]
    subprocess.run([*command, "--total", "2000"], check=True, env=ENVIRONMENT)
    with (folder / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row["Student"].removeprefix("'"): float(row[NAME]) for row in rows}
    assert found == {student.student: student.expected for student in students}


@needs_sandbox
@pytest.mark.timeout(1800)
def test_one_of_every_kind_gets_exactly_what_it_has_earned(made, tmp_path):
    students = Class(made[0])
    # The broken ones cost nothing: all of them.
    chosen = [n for n, (kind, i) in enumerate(students.order) if kind == "broken" or not i]
    assert {students[n].kind for n in chosen} == SHARES.keys()
    graded_exactly(made, tmp_path, [students[n] for n in chosen])


@needs_sandbox
@pytest.mark.slow(reason="seventeen notebooks in sandboxes; by default it is one of every kind")
@pytest.mark.timeout(3600)
def test_twenty_of_the_class_get_exactly_what_they_have_earned(made, tmp_path):
    graded_exactly(made, tmp_path, list(Class(made[0], 20)))
