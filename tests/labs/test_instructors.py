"""The instructors' pages: what they say of chapters, labs and exercises is what stands there."""

import dataclasses
import functools
import re
from typing import NamedTuple

import pytest
import yaml

from tests.labs.independent.cells import PATHS, ROOT, sources
from vae_course.grading import __main__ as program, report, sandbox

PAGES = ROOT / "book" / "instructors"
CHAPTERS = list(PATHS)

chapters = pytest.mark.parametrize("chapter", CHAPTERS)


class Graded(NamedTuple):
    """A graded exercise, as its master has it; the points are those that its tests give."""

    number: str
    title: str
    name: str
    level: str
    minutes: int
    points: int


@functools.cache
def cells(folder: str, chapter: str) -> list[str]:
    return sources(ROOT / folder / f"{chapter}.ipynb")


@functools.cache
def graded(chapter: str) -> list[Graded]:
    found: list[Graded] = []
    name = ""
    for source in cells("exercises", chapter):
        if source.startswith("# BEGIN QUESTION"):
            name = yaml.safe_load(source)["name"]
        elif head := re.match(r"## (\d+) · (.+)\n\*(.+) · (\d+) minutes · \d+ points\*", source):
            number, title, level, minutes = head.groups()
            found.append(Graded(number, title, name, level, int(minutes), 0))
        elif config := re.match(r'""" # BEGIN TEST CONFIG\n(.+?)"""', source, re.DOTALL):
            points = yaml.safe_load(config[1])["points"]
            found[-1] = found[-1]._replace(points=found[-1].points + points)
    return found


@functools.cache
def page(chapter: str) -> str:
    return (ROOT / "book" / f"{chapter}.md").read_text()


def section(name: str, chapter: str) -> str:
    """The part of an instructors' page that is headed by the chapter's number and title."""
    title = re.search(r"^# (.+)$", page(chapter), re.MULTILINE)[1]
    heading = f"## {int(chapter[:2])} · {title}\n"
    _, found, rest = (PAGES / f"{name}.md").read_text().partition(heading)
    assert found, f"{name}.md has no section headed {heading!r}"
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def on_page(chapter: str) -> list[str]:
    return re.findall(r"^```\{exercise\} (.+)$", page(chapter), re.MULTILINE)


@chapters
def test_a_master_promises_the_points_that_its_tests_give(chapter):
    text = "\n".join(cells("exercises", chapter))
    promised = re.findall(r"^\*.+ · \d+ minutes · (\d+) points\*", text, re.MULTILINE)
    exercises = graded(chapter)
    assert [int(points) for points in promised] == [e.points for e in exercises]
    whole = re.search(r"about (\d+) minutes, (\d+) points", text)
    assert int(whole[1]) == sum(e.minutes for e in exercises)
    assert int(whole[2]) == sum(e.points for e in exercises)


@chapters
def test_a_page_says_once_what_its_graded_exercises_take_and_give(chapter):
    """The matrix says the same, by the test of its rows."""
    sentence = "The graded exercises of this chapter ask for "
    said = re.findall(sentence + r"[^.\n]+: about (\d+) minutes, (\d+) points\.", page(chapter))
    exercises = graded(chapter)
    minutes, points = (sum(getattr(e, what) for e in exercises) for what in ("minutes", "points"))
    assert said == [(str(minutes), str(points))]


@chapters
def test_the_matrix_has_the_objectives_of_the_chapters_page(chapter):
    stated = re.search(r":class: objectives\n\n(.+?)\n:::", page(chapter), re.DOTALL)[1]
    listed = re.findall(r"^\d\. (.+)$", section("objectives", chapter), re.MULTILINE)
    assert listed == [line.removeprefix("- ").rstrip(";.") for line in stated.splitlines()]


@chapters
def test_the_matrix_lists_every_exercise_once_with_its_level_minutes_and_points(chapter):
    exercises = graded(chapter)
    minutes, points = (sum(getattr(e, what) for e in exercises) for what in ("minutes", "points"))
    found = [row[:4] for row in rows(section("objectives", chapter))[2:]]
    assert found == [
        *([f"{e.number} {e.title}, `{e.name}`", e.level, f"{e.minutes}", f"{e.points}"]
          for e in exercises),
        *([f"*{title}*", "on the page", "", ""] for title in on_page(chapter)),
        ["**graded in all**", "", f"**{minutes}**", f"**{points}**"],
    ]  # fmt: skip


@chapters
def test_every_objective_meets_an_exercise_and_if_none_that_is_graded_a_line_says_so(chapter):
    text = section("objectives", chapter)
    header, _, *exercises, _ = rows(text)
    assert all(len(row) == len(header) for row in exercises)
    assert {mark for row in exercises for mark in row[4:]} <= {"", "●"}
    where = {
        number: {row[1] == "on the page" for row in exercises if row[column] == "●"}
        for column, number in enumerate(header[4:], 4)
    }
    assert all(where.values())
    owned = re.search(r"^([\d, and]+) (?:is|are) met on the page only", text, re.MULTILINE)
    said = re.findall(r"\d", owned[1]) if owned else []
    assert said == [number for number, kinds in where.items() if kinds == {True}]


def test_the_matrix_adds_up():
    everything = [e for chapter in CHAPTERS for e in graded(chapter)]
    text = (PAGES / "objectives.md").read_text()
    assert re.search(r"In all: (\d+) .+?, (\d+) minutes .+?, (\d+) points", text).groups() == (
        str(len(everything)),
        str(sum(e.minutes for e in everything)),
        str(sum(e.points for e in everything)),
    )


@chapters
def test_the_lessons_last_45_and_90_minutes(chapter):
    head, _, *steps = rows(section("lessons", chapter))
    for lesson in (0, 1):
        assert sum(int(step[lesson] or 0) for step in steps) == int(head[lesson])


@chapters
def test_a_lesson_drags_figures_of_its_chapter_and_runs_cells_of_its_lab(chapter):
    text = section("lessons", chapter)
    named = re.findall(r"\{numref\}`(.+?)`", text)
    pages = [path.read_text() for path in (ROOT / "book").glob(f"{chapter[:2]}-*.md")]
    figures = re.findall(r"^:name: (.+)$", "\n".join(pages), re.MULTILINE)
    assert named and set(named) <= set(figures)
    lab = "\n".join(cells("notebooks", chapter))
    headings = set(re.findall(r"^## (.+)$", lab, re.MULTILINE))
    runs = [step[2] for step in rows(text) if step[2].startswith("**Run**")]
    assert len(runs) == 1 and set(re.findall("“(.+?)”", runs[0])) <= headings
    assert "“" in runs[0]


@chapters
def test_a_lesson_names_exercises_that_exist_and_exposes_a_mistake(chapter):
    text = section("lessons", chapter)
    names = {e.name for e in graded(chapter)}
    for step in rows(text):
        if step[2].startswith("**Begin**"):
            assert set(re.findall("`(.+?)`", step[2])) <= names
        if step[2].startswith("**Pairs.**"):
            assert re.search(r"\*([^*]+)\*, on the page", step[2])[1] in on_page(chapter)
    mistakes = re.findall(r"^- \*“.+”\* Ask.*[?.]$", text, re.MULTILINE)
    assert len(mistakes) >= 2
    assert len(re.findall(r"^- \*\*Report\.\*\*", text, re.MULTILINE)) == 1


def test_the_grading_page_has_the_graders_limits_columns_and_options(monkeypatch, capsys):
    text = (PAGES / "grading.md").read_text()
    assert len(text.split()) <= 900
    limits = sandbox.Limits()
    seconds = [limits.cell, limits.call, limits.total, limits.test, limits.start]
    assert [row[1] for row in rows(text) if re.match(r"\d", row[1])] == [
        *(f"{number:g} s" for number in seconds),
        f"{limits.memory / 2**30:g} GiB",
        f"{limits.processes}",
        f"{limits.scratch / 2**20:g} MiB",
        f"{limits.files}",
        *(f"{size / 2**20:g} MiB" for size in (limits.message, limits.notebook)),
    ]
    assert len(dataclasses.fields(limits)) == 11
    columns = re.search(r"The columns are (.+?) and the assignment, `(.+)`", text)
    assert re.findall("`(.+?)`", columns[1]) == list(report.COLUMNS)
    assert columns[2] == CHAPTERS[0]
    monkeypatch.setattr("sys.argv", ["grading", "--help"])
    with pytest.raises(SystemExit):
        program.main()
    known = set(re.findall(r"--[a-z]+", capsys.readouterr().out))
    named = set(re.findall(r"--[a-z]+", text))
    assert len(named) >= 8 and named <= known


def test_the_rubric_asks_for_a_paragraph_on_every_investigation():
    text = (PAGES / "rubric.md").read_text()
    asked = [(row[0], row[1].strip("`")) for row in rows(text) if row[1].startswith("`")]
    assert asked == [
        (str(int(chapter[:2])), e.name)
        for chapter in CHAPTERS
        for e in graded(chapter)
        if "Investigate" in e.level
    ]
