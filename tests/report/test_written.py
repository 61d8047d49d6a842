"""A report as a file: what is read is what was written, and what is no report says so."""

import json
import math
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import torch

from tests.report.made_up import NASTY, made_up, measure
from vae_course.report import written
from vae_course.report.card import Report
from vae_course.report.compare import compare
from vae_course.report.conditions import Condition
from vae_course.report.page import page

SCHEMA = json.loads(Path(written.__file__).with_name("schema.json").read_text(encoding="utf-8"))
PICTURES = ("shown", "sample_")


@pytest.fixture(scope="module")
def report():
    made = made_up(broken=True, name=NASTY, image=[1, 8, 8])
    odd = {
        "tails": measure("tails", math.inf),
        "rate": replace(measure("rate", 0.0), value=math.nan, verdict="fail", null=0.25),
        "gap": replace(measure("gap", -1e-300, 1e-12), condition=Condition()),
        "bend": replace(
            measure("bend", 0.2), condition=Condition((-math.inf, math.inf), (-math.inf, math.inf))
        ),
    }
    tables = dict(made.tables) | {
        "each.odd": torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-300, 1e300]),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(-3.25),
    }
    return Report(made.meta, dict(made.measures) | odd, made.suspects, tables)


@pytest.fixture
def path(report, tmp_path):
    report.save_json(tmp_path / "report.json")
    return tmp_path / "report.json"


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def test_what_is_read_is_what_was_written(report, path):
    again = Report.load(path)
    assert dict(again.meta) == dict(report.meta) and again.suspects == report.suspects
    assert list(again.measures) == list(report.measures) and again.verdict == report.verdict
    for key, m in report.measures.items():
        other = again.measures[key]
        assert same(m.value, other.value)
        assert replace(m, value=0.0) == replace(other, value=0.0)


def test_tables_have_six_digits_and_pictures_256_levels(report, path):
    again = Report.load(path)
    assert list(again.tables) == list(report.tables)
    for name, table in report.tables.items():
        other, table = again.tables[name], table.double()
        assert other.shape == table.shape and other.dtype == torch.float64
        if name.startswith(PICTURES):
            bound = (table.max() - table.min()) / 510 * (1 + 1e-9)
            assert (other - table).abs().max() <= bound
            continue
        finite = table.isfinite()
        assert torch.equal(table[~finite].nan_to_num(0.5), other[~finite].nan_to_num(0.5))
        assert ((other - table)[finite].abs() <= 5.001e-6 * table[finite].abs()).all()


def test_written_again_it_is_the_same_file(path, tmp_path):
    Report.load(path).save_json(tmp_path / "again.json")
    first, again = (json.loads(p.read_text()) for p in (path, tmp_path / "again.json"))
    assert first == again


def test_its_page_is_the_same(report, path):
    again = Report.load(path)
    strip = {"tables": {}}
    assert page(Report(again.meta, again.measures, again.suspects, **strip)) == page(
        Report(report.meta, report.measures, report.suspects, **strip)
    )


def test_any_reader_of_json_takes_it_and_the_schema_holds(path):
    text = path.read_text(encoding="utf-8")

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    said = json.loads(text, parse_constant=refuse)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(said, SCHEMA)
    assert said["version"] == 1 == SCHEMA["properties"]["version"]["const"]
    assert said["tables"]["each.odd"]["data"][:3] == [None, "inf", "-inf"]
    assert said["measures"]["contract"]["condition"]["passes"][0] == "-inf"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda said: said.pop("meta"),
        lambda said: said.update(version=2),
        lambda said: said["measures"]["fit"].update(verdict="good"),
        lambda said: said["measures"]["fit"].update(value="0.5"),
        lambda said: said["measures"]["fit"]["condition"].update(passes=[0.1]),
        lambda said: said["tables"]["shown"].pop("high"),
        lambda said: said["suspects"][0].update(remedy=3),
    ],
)
def test_the_schema_and_the_reader_refuse_the_same(path, spoil):
    said = json.loads(path.read_text())
    spoil(said)
    path.write_text(json.dumps(said))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(said, SCHEMA)
    with pytest.raises(ValueError, match=r"report\.json'.*(again|newer)"):
        Report.load(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_short_is_named_with_the_remedy(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"report\.json' is not a whole JSON.*save_json"):
        Report.load(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no report"),
        ("{}", "no report"),
        ('{"schema": "vega", "version": 5}', "no report"),
        ('{"schema": "vae_course.report"}', "version None"),
        ('{"schema": "vae_course.report", "version": true}', "version True"),
        ('{"schema": "vae_course.report", "version": 7}', "version 7.*install a newer one"),
        ('{"schema": "vae_course.report", "version": 1}', "damaged.*meta.*save_json"),
        ("[" * 100_000, "not a whole JSON"),
        ("\x80PNG", "not a whole JSON"),
    ],
)
def test_another_file_is_named_with_the_remedy(tmp_path, text, said):
    path = tmp_path / "a report.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=f"a report.json'.*{said}"):
        Report.load(path)


def test_no_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.json"):
        Report.load(tmp_path / "none.json")


def test_a_failed_write_leaves_what_was_there(report, path, monkeypatch):
    before = path.read_bytes()

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="make room"):
        report.save_json(path)
    monkeypatch.undo()
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_meta_with_what_json_has_no_word_for_is_still_written(tmp_path):
    report = made_up(path=Path("a/b"), pair=(1, 2.5), none=None, far=math.inf)
    report.save_json(tmp_path / "r.json")
    meta = Report.load(tmp_path / "r.json").meta
    assert (meta["path"], meta["pair"], meta["none"], meta["far"]) == ("a/b", [1, 2.5], None, "inf")


def test_large_pictures_are_shrunk_to_what_the_page_shows(tmp_path):
    made = made_up()
    large = torch.rand(8, 3, 256, 192, generator=torch.Generator("cpu").manual_seed(0))
    report = Report(made.meta, made.measures, made.suspects, {"shown": large})
    report.save_json(tmp_path / "r.json")
    again = Report.load(tmp_path / "r.json").tables["shown"]
    assert again.shape == (8, 3, 96, 72)
    assert again.mean() == pytest.approx(large.mean().item(), abs=2e-3)
    assert (tmp_path / "r.json").stat().st_size < 1_000_000


def test_a_comparison_is_written_too(tmp_path):
    made = compare(made_up("a"), made_up("b"))
    made.save_json(tmp_path / "c.json")
    said = json.loads((tmp_path / "c.json").read_text())
    assert said["schema"] == "vae_course.comparison" and said["names"] == ["a", "b"]
    assert [row["key"] for row in said["rows"]] == [row.key for row in made.rows]
    with pytest.raises(ValueError, match="no report"):
        Report.load(tmp_path / "c.json")
