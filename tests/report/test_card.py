"""A report as an object: the worst verdict, other thresholds, text and files."""

import dataclasses
import math
from dataclasses import replace

import pytest

from tests.report.made_up import made_up, measure
from vae_course.report.card import ORDER, Report
from vae_course.report.conditions import DEFAULT
from vae_course.report.page import page


def of(**values: float) -> Report:
    return Report({}, {key: measure(key, v) for key, v in values.items()}, ())


def test_the_verdict_is_the_worst_of_those_measured():
    assert of(fit=0.9, psnr=20.0).verdict == "pass"
    assert of(fit=0.9, rate=0.01).verdict == "look"
    assert of(fit=0.1, rate=0.01, psnr=20.0).verdict == "fail"
    assert of(psnr=20.0).verdict == "info"
    assert of().verdict == "skipped"


def test_a_skipped_number_is_no_worse_than_none():
    made = of(fit=0.9, rate=1.0)
    gone = replace(made.measures["rate"], verdict="skipped", value=math.nan)
    assert Report({}, dict(made.measures) | {"rate": gone}, ()).verdict == "pass"
    assert Report({}, {"rate": gone}, ()).verdict == "skipped"
    assert ORDER[-1] == "skipped"


def test_other_thresholds_change_verdicts_and_no_number():
    made = made_up(broken=True)
    mild = DEFAULT.replace(**{key: None for key in DEFAULT})
    again = made.judged(mild)
    assert {m.verdict for m in again.measures.values()} == {"info", "skipped"}
    assert {k: m.value for k, m in again.measures.items()} == pytest.approx(
        {k: m.value for k, m in made.measures.items()}, nan_ok=True
    )
    back = again.judged(DEFAULT)
    assert [m.verdict for m in back.measures.values()] == [
        m.verdict for m in made.measures.values()
    ]


def test_a_skipped_number_stays_skipped_under_any_thresholds():
    made = made_up()
    skipped = [k for k, m in made.measures.items() if m.verdict == "skipped"]
    assert skipped
    judged = made.judged(DEFAULT.replace(**dict.fromkeys(skipped, (0, 1))))
    assert all(judged.measures[k].verdict == "skipped" for k in skipped)


def test_it_prints_the_verdict_suspects_and_a_line_a_number():
    made = made_up("mine", broken=True)
    first, *rest = str(made).splitlines()
    assert first == "mine: fail"
    assert rest[0].startswith("suspect: ") and made.suspects[0].remedy in rest[0]
    assert len(rest) == len(made.suspects) + len(made.measures)
    assert repr(made) == str(made)


def test_it_is_frozen():
    made = made_up()
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.meta = {}
    with pytest.raises(TypeError):
        made.measures["fit"] = None


def test_its_page_is_written_whole(tmp_path):
    made = made_up("µ ÷ ü")
    made.save_html(tmp_path / "r.html")
    made.save_html(str(tmp_path / "r.html"))
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page(made)
    assert made._repr_html_().startswith('<div class="vaer')
    with pytest.raises(OSError, match="make the folder first"):
        made.save_html(tmp_path / "none" / "r.html")
