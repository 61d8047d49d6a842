"""The registry: complete, consistent, and with functions behind every row."""

import inspect
import math
import tomllib
from pathlib import Path

import pytest

from vae_course.report import measures
from vae_course.report.conditions import DEFAULT
from vae_course.report.measures import LEFT_OUT, MEASURES, ROWS, STAGES

BOOK = Path(__file__).resolve().parents[2] / "book"


def test_rows_stand_in_the_order_of_their_stages():
    order = [STAGES.index(row.stage) for row in ROWS.values()]
    assert order == sorted(order) and set(order) == set(range(len(STAGES)))


def test_no_row_is_lost():
    assert len(ROWS) == 27
    assert {"rows", "samples", "codebook", "sphere", "bend"} <= ROWS.keys()


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_row_has_a_function_and_a_page(row):
    assert list(inspect.signature(row.measure).parameters) == ["study"]
    assert (BOOK / f"{row.chapter}.md").exists()
    assert any(q.row == row.name for q in MEASURES.values())


@pytest.mark.parametrize("q", MEASURES.values(), ids=list(MEASURES))
def test_a_number_is_whole(q):
    assert q.question.endswith("?") or q.question.endswith("?)")
    assert q.formula and q.stage == ROWS[q.row].stage and q.kinds == ROWS[q.row].kinds
    judged = q.condition.passes or q.condition.fails
    assert not judged or q.condition.ground, "a threshold needs a ground"


def test_no_entry_of_the_file_is_misspelt():
    data = tomllib.loads(Path(measures.__file__).with_suffix(".toml").read_text("utf-8"))
    known = {"row", "question", "formula", "unit", "null", "passes", "fails", "ground", "held_out"}
    assert all(set(said) <= known for said in data["numbers"].values())
    assert set(data) == {"rows", "numbers", "left_out"}


def test_conditions_are_those_of_the_registry():
    assert {k: q.condition for k, q in MEASURES.items()} == dict(DEFAULT)
    # An open band is an infinity in the file.
    assert DEFAULT["contract"].fails is not None and DEFAULT["contract"].fails[0] == -math.inf


def test_what_is_left_out_is_not_measured():
    assert LEFT_OUT and not LEFT_OUT.keys() & MEASURES.keys()
