"""The page of a report: all of it, nothing of anybody else's, and legible numbers and pictures."""

import base64
import doctest
import io
import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import torch
from PIL import Image

from tests.report.made_up import NASTY, made_up, measure, tables
from vae_course.evaluation import Estimate
from vae_course.report import book, numerals
from vae_course.report.card import Report, Suspect
from vae_course.report.cards import prose, sentence
from vae_course.report.conditions import Condition
from vae_course.report.measures import LEFT_OUT, MEASURES
from vae_course.report.numerals import band, interval, number, with_error
from vae_course.report.page import SENTENCES, fragment, page, style
from vae_course.report.pictures import pictures
from vae_course.report.plot import Axes, coloured, decades, row, ticks
from vae_course.report.strip import Scale, scale, strip

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "link", "img", "input", "br"}


class Read(HTMLParser):
    """A page as tags and text; raises for tags that don't close each other."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def healthy():
    return made_up()


@pytest.fixture(scope="module")
def broken():
    return made_up(broken=True)


def changed(report: Report, **fields) -> Report:
    parts = {n: getattr(report, n) for n in ("meta", "measures", "suspects", "tables")}
    return Report(**(parts | fields))


# --- all of it ---------------------------------------------------------------------------------
def test_every_number_is_on_the_page_and_skipped_ones_with_their_reason(healthy):
    read = Read(page(healthy))
    for key, m in healthy.measures.items():
        assert m.question in read.text and key in read.text
        assert sentence(m.reading) in read.text
        if m.verdict != "skipped":
            assert with_error(m.value, m.estimate) in read.text
            assert MEASURES[key].formula in read.text
            assert m.condition.ground in read.text
    ids = read.values("id")
    assert len(ids) == len(set(ids))
    assert {i.removeprefix("#") for i in read.values("href") if i.startswith("#")} <= set(ids)
    for name, why in LEFT_OUT.items():
        assert name[1:] in read.text and why.replace("`", "") in read.text


@pytest.mark.parametrize("key", ["rate", "fit", "gain"])
def test_the_verdict_comes_first_and_counts(healthy, key):
    verdicts = {"pass": 1.0, "look": {"rate": 0.01, "fit": 0.4, "gain": 1.6}[key], "fail": 1e3}
    for verdict, value in verdicts.items():
        measures = dict(healthy.measures) | {key: measure(key, value)}
        report = changed(healthy, measures=measures)
        text = page(report)
        assert report.verdict == verdict == re.search(r'data-verdict="(\w+)"', text)[1]
        assert text.index(SENTENCES[verdict]) < text.index("<main>")
        for name, count in re.findall(r'data-count="(\w+)">(\d+)<', text):
            assert int(count) == sum(m.verdict == name for m in measures.values())


def test_suspects_stand_before_the_numbers_with_remedy_and_evidence(broken):
    text = page(broken)
    first_card = text.index('class="vaer-card"')
    for suspect in broken.suspects:
        for said in (suspect.sentence, suspect.remedy, book.address(suspect.chapter)):
            assert text.index(said) < first_card
        for key in suspect.evidence:
            assert f'<a href="#m-{key}">' in text[:first_card]


def test_what_was_left_out_is_said_before_the_numbers(healthy):
    meta = {"stopped": "range", "interrupted": True, "left_out": {"isometry": "too dear"}}
    text = page(made_up(**meta))
    first_card = text.index('class="vaer-card"')
    for said in ("Stopped after the stage", "<em>range</em>", "Interrupted", "too dear", "300 s"):
        assert said in text[:first_card]
    assert "Stopped" not in page(healthy)


def test_a_number_of_another_version_is_shown_too(healthy):
    measures = dict(healthy.measures)
    measures["news"] = replace(measures["fit"], key="news", question="What is new?")
    text = page(changed(healthy, measures=measures))
    assert "What is new?" in text and "Numbers of another version" in text


def test_a_report_of_nothing_is_a_page():
    nothing = Report(MappingProxyType({}), MappingProxyType({}), ())
    for made in (page(nothing), fragment(nothing)):
        assert SENTENCES["skipped"] in Read(made).text


# --- nothing of anybody else's -----------------------------------------------------------------
@pytest.mark.parametrize("make", [page, fragment])
def test_what_users_write_is_text_and_nothing_else(healthy, make):
    key = "fit"
    nasty = replace(healthy.measures[key], reading=NASTY, question=NASTY, unit=NASTY, chapter=NASTY)
    skipped = replace(healthy.measures["rate"], verdict="skipped", reading=NASTY, value=math.nan)
    report = changed(
        made_up(name=NASTY, stopped=NASTY, left_out={NASTY: NASTY}, data=NASTY, kind=NASTY),
        measures=dict(healthy.measures) | {key: nasty, "rate": skipped, NASTY: nasty},
        suspects=(Suspect(NASTY, NASTY, NASTY, (NASTY, key), NASTY),),
    )
    made = make(report)
    read = Read(made)
    assert read.tags.count("script") == Read(make(healthy)).tags.count("script")
    assert read.text.count("alert(1)") > 8
    assert "<script>alert" not in made and made.count("</style>") == 1


def test_code_in_a_sentence_is_set_as_code_and_still_as_text():
    assert prose("give `x < 1`, not `<b>`") == (
        "give <code>x &lt; 1</code>, not <code>&lt;b&gt;</code>"
    )
    assert prose("a lone ` stays") == "a lone ` stays"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("codes differ", "Codes differ."),
        ("a draw moves", "A draw moves."),
        ("σ is small", "σ is small."),
        ("z is large", "z is large."),
        ("R² falls!", "R² falls!"),
        ("24 dB", "24 dB."),
        ("", "."),
    ],
)
def test_a_reading_becomes_a_sentence(words, said):
    assert sentence(words) == said


def test_it_asks_nobody_for_anything(broken):
    for made in (page(broken), fragment(broken)):
        read = Read(made)
        assert all(s.startswith("data:") for s in read.values("src"))
        links = [h for h in read.values("href") if not h.startswith(("data:", "#"))]
        assert all(link.startswith(book.BOOK) for link in links) and links
        assert not re.search(r"@import|url\(|\bfetch\(|XMLHttp|integrity", made)
        assert "xlink" not in made and "/tmp" not in made


def test_the_rules_of_a_notebooks_output_touch_nothing_else():
    bare = re.sub(r"/\*.*?\*/|@(media|page)[^{]*\{|\{[^{}]*\}", ";", style(), flags=re.S)
    for selectors in filter(str.strip, bare.replace("}", ";").split(";")):
        assert ".vaer" in selectors, selectors


def test_a_fragment_has_no_script_and_no_name_that_two_could_share(broken):
    read = Read(fragment(broken))
    assert "script" not in read.tags and read.values("id") == []
    assert not [h for h in read.values("href") if h.startswith("#")]
    assert read.tags.count("h1") == 0
    worst = re.findall(r'<summary><span class="vaer-v-(\w+)">', fragment(broken))
    assert worst == ["pass", "fail", "fail", "fail", "pass", "pass", "pass"]


def test_the_book_is_where_the_configuration_says():
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    assert re.search(r"baseurl: (\S+)", config)[1] == book.BOOK


@pytest.mark.parametrize("chapter", sorted({q.chapter for q in MEASURES.values()}))
def test_a_chapter_that_a_number_links_to_exists(chapter):
    assert (ROOT / "book" / f"{chapter}.md").exists()


def test_a_page_with_pictures_of_32_pixels_is_small(healthy):
    assert len(page(healthy).encode()) < 400_000
    assert len(fragment(healthy).encode()) < 400_000


# --- numbers -----------------------------------------------------------------------------------
@pytest.mark.parametrize("module", [numerals, book], ids=lambda m: m.__name__.split(".")[-1])
def test_the_examples_run(module):
    done = doctest.testmod(module)
    assert done.attempted and not done.failed


def parsed(text: str) -> float:
    """A number as a reader reads it."""
    text = text.replace("\u2009", "").replace("−", "-").replace("∞", "inf")
    digits, _, power = text.partition(" × 10")
    powers = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    return float(digits) * 10.0 ** int(power.translate(powers) or 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_number_is_off_by_less_than_half_a_hundredth_and_short(seed):
    g = torch.Generator("cpu").manual_seed(seed)
    exponents = 24 * torch.rand(400, generator=g).double() - 12
    signs = torch.rand(400, generator=g).sub(0.5).sign().double()
    for value in (signs * 10**exponents).tolist():
        said = number(value)
        slack = 5e-3 if 1e-3 <= abs(value) < 1e5 else 5e-2  # two digits beside a power of ten
        assert abs(parsed(said) - value) <= slack * abs(value) * 1.01
        assert len(said) <= 13


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 3.0, 99_999.6, 0.00099999, -1e-320])
def test_numbers_at_the_edges(value):
    assert parsed(number(value)) == pytest.approx(value, rel=0.06)
    assert number(-0.0) == "0" and number(math.nan) == "–" and number(-math.inf) == "−∞"


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (0.79861, 0.0008, "0.7986 ± 0.0008"),
        (0.79861, 0.00131, "0.7986 ± 0.0013"),
        (1234.5, 31.0, "1234 ± 31"),
        (3.2e-5, 4e-7, "(3.20 ± 0.04) × 10⁻⁵"),
        (-0.001, 0.02, "0.00 ± 0.02"),
        (12.0, 0.0, "12"),
        (12.0, math.inf, "12"),
        (math.nan, 0.1, "–"),
    ],
)
def test_the_error_decides_how_many_digits_are_shown(value, error, said):
    estimate = Estimate(value, error, value - 2 * error, value + 2 * error, 0.0, 50)
    assert with_error(value, estimate) == said
    assert "to" in interval(Estimate.t(1.0, 0.1, 20))


def test_a_band_says_each_of_its_ends_and_no_other():
    for low in (-math.inf, 0.3):
        for high in (math.inf, 0.7):
            said = band(Condition((low, high), (low, high)))
            assert ("0.3" in said, "0.7" in said) == (math.isfinite(low), math.isfinite(high))
    assert "no threshold" in band(Condition())


# --- strips ------------------------------------------------------------------------------------
@pytest.mark.parametrize("key", [k for k, q in MEASURES.items() if q.condition.passes])
def test_a_strip_shows_where_the_value_lies(key):
    condition = MEASURES[key].condition
    g = torch.Generator("cpu").manual_seed(0)
    values = (torch.randn(60, generator=g).double() * 10 ** torch.arange(-3, 3).repeat(10)).tolist()
    for value in values:
        spread = scale(condition, [value])
        assert spread is not None
        places = [spread.at(v) for v in sorted([*values, -math.inf, math.inf])]
        assert all(0 <= a <= b <= 1 for a, b in zip(places, places[1:], strict=False))
        low, high = (spread.at(v) for v in condition.passes)
        if condition.verdict(value) == "pass":
            assert low <= spread.at(value) <= high
        drawn = strip(measure(key, value))
        assert drawn.count("vaer-zone-pass") == 1 and drawn.count("vaer-dot") == 1


def test_a_value_far_out_does_not_squeeze_the_bands():
    spread = scale(Condition((-math.inf, 0.25), (-math.inf, 0.6)), [1e6])
    assert spread.at(0.6) - spread.at(0.25) > 0.1 and spread.at(1e6) == 1


def test_a_ratio_is_shown_by_its_logarithm():
    spread = scale(Condition((0.5, 2.0), (1 / 3, 3.0)), [1.0])
    assert spread.logarithmic
    assert (
        spread.at(1.0) == pytest.approx(0.5) == pytest.approx((spread.at(0.5) + spread.at(2)) / 2)
    )


def test_information_without_a_null_has_no_strip():
    assert strip(measure("psnr", 24.0)) == ""
    assert "vaer-null" in strip(measure("psnr", 24.0, null=11.0))
    assert scale(Condition(), [math.nan]) is None and Scale(0, 1).at(math.nan) == 0


# --- pictures ----------------------------------------------------------------------------------
def pixels(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


def test_a_row_of_images_holds_their_pixels():
    x = torch.rand(5, 3, 8, 8, generator=torch.Generator("cpu").manual_seed(0))
    shown = pixels(row(2 * x - 1, -1.0, 1.0))
    for i, image in enumerate(x):
        left = i * 9  # eight pixels and a gap of one
        found = shown[:, left : left + 8, :3].transpose(2, 0, 1) / 255
        assert np.abs(found - image.numpy()).max() <= 0.5 / 255 + 1e-6
    assert (shown[:, 8, 3] == 0).all() and (shown[:, 7, 3] == 255).all()


def test_an_image_of_256_is_shrunk_by_averaging():
    x = torch.rand(2, 1, 256, 192, generator=torch.Generator("cpu").manual_seed(0))
    shown = pixels(row(x, 0.0, 1.0))
    assert shown.shape[0] == 96
    assert abs(shown[..., 0][shown[..., 3] == 255].mean() / 255 - x.mean().item()) < 0.02
    assert len(row(x.expand(-1, 3, -1, -1), 0.0, 1.0)) < 30_000


def test_what_is_not_finite_or_out_of_range_is_drawn_at_the_end_of_the_range():
    x = torch.tensor([math.nan, -math.inf, math.inf, -3.0, 7.0, 0.5]).reshape(1, 1, 1, 6)
    assert pixels(row(x, 0.0, 1.0))[0, :, 0].tolist() == [0, 0, 255, 0, 255, 128]


def test_a_map_is_viridis_from_dark_to_light():
    shown = pixels(coloured(torch.linspace(0, 1, 16)[None], 0, 1))[0].astype(float)
    light = shown[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    assert pixels(coloured(torch.tensor([[math.nan, 1.0]]), 0, 1))[0, :, 3].tolist() == [0, 255]


def test_every_picture_is_drawn_with_alt_text_and_caption(healthy):
    drawn = list(pictures(healthy))
    assert len(drawn) >= 10 and len({p.title for p in drawn}) == len(drawn)
    for picture in drawn:
        alts = re.findall(
            r'(?:aria-label|<img class="vaer-images[^>]* alt)="([^"]+)"', picture.body
        )
        assert alts and min(map(len, alts)) >= 8 and len(picture.caption) > 30
        drawn_as = re.sub(r'"data:[^"]*"', "", picture.body)
        assert "nan" not in drawn_as and "inf" not in drawn_as


def test_a_picture_without_its_table_is_left_out(healthy):
    titles = {p.title for p in pictures(healthy)}
    for name in healthy.tables:
        rest = {n: t for n, t in healthy.tables.items() if n != name}
        left = {p.title for p in pictures(changed(healthy, tables=rest))}
        assert left < titles and len(left) >= len(titles) - 1 or left == titles
        assert left < titles or name.startswith(("each.", "sample_", "shown_", "radial_", "eigen_"))


@pytest.mark.parametrize("spoilt", [0.0, math.nan, math.inf, -1.0])
def test_tables_without_sense_give_a_page(healthy, spoilt):
    tables = {n: torch.full_like(t.double(), spoilt) for n, t in healthy.tables.items()}
    Read(page(changed(healthy, tables=tables)))


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (3, 5), (2, 3, 4), (1, 1, 1, 1)])
def test_tables_of_any_shape_give_a_page(healthy, shape):
    for name in healthy.tables:
        tables = dict(healthy.tables) | {name: torch.rand(shape)}
        list(pictures(changed(healthy, tables=tables)))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ((1, 28, 28), ""),
        ((28, 28), ""),
        ((784,), "Flat images are shown as 28 × 28"),
        ((50,), "one line of pixels"),
        ((5, 16, 16), "The first of 5 channels"),
        ((3, 2, 8, 8), "Flat images"),
    ],
)
def test_images_of_any_shape_are_shown(healthy, image, said):
    tables = dict(healthy.tables) | {"shown": torch.rand(4, *image), "shown_mean": torch.empty(0)}
    [shown] = [p for p in pictures(changed(healthy, tables=tables)) if p.title == "What comes back"]
    assert said in shown.caption and "4 images" in shown.body


@pytest.mark.parametrize("channels", [1, 4, 16, 64, 3000])
def test_pictures_of_any_number_of_channels(channels):
    of_any = tables(min(channels, 64), image=(1, 8, 8))
    sigma = torch.rand(channels, 5).sort(1).values
    of_any |= {"rate_channel": torch.rand(channels), "sigma_profile": sigma}
    report = changed(made_up(), tables=of_any | {"codebook_counts": torch.rand(channels)})
    drawn = list(pictures(report))
    assert len(drawn) >= 9
    assert sum(len(p.body) for p in drawn) < 200_000


def test_ticks_are_round_and_lie_inside():
    for low, high in [(0, 1), (-3.2, 4.1), (0, 1e-7), (12, 13), (0, 123_456), (-5, -4.9)]:
        marks = ticks(low, high)
        assert 2 <= len(marks) <= 8
        assert all(low - 1e-9 <= v <= high + 1e-9 for v in marks)
        steps = np.diff(marks)
        assert np.allclose(steps, steps[0])
    assert decades(1e-4, 1) == [1e-4, 1e-3, 1e-2, 1e-1, 1]
    assert all(0.2 <= v <= 0.9 for v in decades(0.2, 0.9))


def test_a_line_runs_where_its_numbers_are():
    axes = Axes((0, 10), (1e-2, 1e2), ("x", "y"), log_y=True)
    axes.line([0, 5, 10], [1e-2, 1, 1e2], "k")
    numbers = [
        float(v) for v in re.findall(r"[\d.]+", re.search(r' d="(M[^"]+)"', axes.svg("a"))[1])
    ]
    (x0, y0), (x1, y1), (x2, y2) = numbers[:2], numbers[2:4], numbers[4:]
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1) and y0 > y2


def test_text_in_a_picture_is_escaped():
    made = Axes((0, 1), (0, 1), (NASTY, NASTY)).svg(NASTY)
    assert "<script>" not in made and "alert(1)" in unescape(made)
