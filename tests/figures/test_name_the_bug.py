"""Name the bug, the Python side: what a report shows, and when it stops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.figures.contract import FigureContract
from tests.figures.exhibits import HEALTHY, IMAGES, SUSPECTS, card, exhibits, pictures
from vae_course.figures.name_the_bug import Exhibit, NameTheBug
from vae_course.report.measures import MEASURES

ONE = exhibits()[1]


class TestNameTheBug(FigureContract):
    kind = NameTheBug
    other = {"seed": 1}
    page = 90_000  # thirteen reports of two dozen lines, with pictures
    refused = [
        ({"exhibits": []}, "exhibits must be 1 to 40, got 0"),
        ({"suspects": {"variance": "variance for σ"}}, "suspects must be 2 to 24, got 1"),
        ({"exhibits": [ONE._replace(fault="nobody")]}, r"fault must be one of .* \['nobody'\]"),
        ({"exhibits": [ONE._replace(proof=["shift"])]}, r"proof must be measured.* \['shift'\]"),
        ({"lines": ["ruler_slope", "price"]}, r"lines must be measured .* \['price'\]"),
        ({"lines": ["gain"]}, r"proof must be measured in some report and shown"),
        ({"images": None}, "pictures must come with images"),
        ({"exhibits": [ONE._replace(pictures=None)]}, "pictures must come with images"),
        ({"images": IMAGES[:2]}, r"\(2, 2, 4, 4\), got \(2, 3, 4, 4\)"),
        ({"images": 2 * IMAGES}, r"images must be in \[0, 1\]"),
    ]

    def given(self) -> dict:
        return {"exhibits": exhibits(), "suspects": SUSPECTS, "images": IMAGES}

    def largest(self) -> NameTheBug:
        images = torch.rand(3, 14, 14)
        many = [
            e._replace(pictures=torch.rand(2, 3, 14, 14), why="w" * 150)
            for e in (exhibits() * 4)[:13]
        ]
        return NameTheBug(
            many, {f"suspect {i}": "w" * 24 for i in range(9)} | SUSPECTS, images=images
        )


@pytest.fixture
def figure() -> NameTheBug:
    return NameTheBug(exhibits(), SUSPECTS, images=IMAGES)


def test_a_report_ends_with_its_first_failed_stage_and_the_rest_is_a_hint(figure):
    healthy, variance, ranged, _ = figure.exhibits
    assert healthy["stopped"] == "" and healthy["further"] == {}
    assert [*healthy["lines"]] == [key for key in MEASURES if key in HEALTHY]
    assert variance["stopped"] == "geometry" and variance["further"] == {}
    assert ranged["stopped"] == "range"
    assert {MEASURES[key].stage for key in ranged["lines"]} == {"wiring", "range"}
    assert {*ranged["lines"], *ranged["further"]} == {*HEALTHY}
    assert ranged["further"]["fit"][4] == "fail"  # which alone would not have come to light


def test_a_line_has_the_reports_number_interval_null_and_verdict(figure):
    lines = figure.exhibits[3]["lines"]
    low, high = 5.5 - 0.06, 5.5 + 0.06  # t with 59 degrees of freedom: 2.001 errors
    assert lines["gain"] == pytest.approx([5.5, low, high, 1.0, "fail"], abs=1e-3)
    assert figure.exhibits[0]["lines"]["ruler_slope"] == [0.86, None, None, None, "pass"]
    judged = {line["key"]: line for line in figure.spec["lines"]}
    slope = MEASURES["ruler_slope"].condition
    assert judged["ruler_slope"]["passes"] == pytest.approx(list(slope.passes))
    assert judged["ruler_slope"]["fails"] == pytest.approx(list(slope.fails))
    assert judged["contract"]["passes"][0] is None  # JSON has no infinity
    assert judged["scale"]["passes"] is None  # information


def test_whom_the_rules_named_first_is_told_in_the_suspects_words_or_in_their_own(figure):
    named = [(e["named"], e["other"]) for e in figure.exhibits]
    assert named == [("", ""), ("variance", ""), ("scale", ""), ("", "It is moved.")]


def test_what_was_skipped_or_is_not_finite_is_not_shown():
    report = card(gain=math.inf)
    report.measures["fit"] = replace(report.measures["fit"], verdict="skipped")
    figure = NameTheBug([Exhibit(report, "healthy", (), "")], SUSPECTS)
    assert {*HEALTHY} - {*figure.exhibits[0]["lines"]} == {"gain", "fit"}


def test_pictures_are_packed_image_by_image_and_what_is_beyond_grey_is_clamped():
    wild = pictures(0) * 3 - 1
    figure = NameTheBug([ONE._replace(pictures=wild)], SUSPECTS, images=IMAGES)
    packed = np.frombuffer(figure.pictures, np.uint8).reshape(3, 3, 4, 4)
    expected = torch.stack([IMAGES, *wild.clamp(0, 1)])
    assert np.abs(packed / 255 - expected.numpy()).max() <= 0.5 / 255 + 1e-6


def test_other_exhibits_have_another_score_and_a_shuffle_has_not(figure):
    again = NameTheBug(exhibits(), SUSPECTS, images=IMAGES, seed=7)
    other = NameTheBug(exhibits()[:3], SUSPECTS, images=IMAGES)
    assert figure.spec["mark"] == again.spec["mark"] != other.spec["mark"]
