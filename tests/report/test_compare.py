"""Two reports: paired where they can be, refused where they can't, and honest about the rest."""

import math
from dataclasses import replace

import pytest
import torch

from tests.report.made_up import NASTY, generator, made_up, measure
from tests.report.test_page import Read
from tests.worlds import LinearGaussian
from vae_course.evaluation import Estimate
from vae_course.report import report
from vae_course.report.card import Report
from vae_course.report.compare import compare
from vae_course.report.comparison import fragment, page
from vae_course.report.conditions import DEFAULT, Condition
from vae_course.report.plan import Sizes

META = {"data": "x", "seed": 0, "sizes": {"images": 50}, "name": "", "value_range": [0, 1]}


def one(value: float, error: float = 0.0, each=None, key: str = "fit", **changed) -> Report:
    """A report of one number."""
    m = measure(key, value, error)
    tables = {} if each is None else {f"each.{key}": each}
    return Report(META | changed, {key: m}, (), tables)


def row(a: Report, b: Report):
    [found] = compare(a, b).rows
    return found


# --- the same images ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"data": "y"}, "images"),
        ({"data": "y", "value_range": [-1, 1]}, r"images \(in \[0, 1\] and \[-1, 1\]\)"),
        ({"seed": 3}, r"seed \(0 and 3\)"),
        ({"sizes": {"images": 40}}, "images: 50 and 40"),
        ({"sizes": {"images": 50, "codes": 3}}, "codes: None and 3"),
    ],
)
def test_other_images_seeds_and_sizes_are_refused(changed, said):
    with pytest.raises(ValueError, match=rf"differ in their .*{said}.*budget=math\.inf"):
        compare(one(0.5), one(0.5, **changed))


def test_all_that_differs_is_named_at_once():
    with pytest.raises(ValueError, match=r"images, seed .*sizes"):
        compare(one(0.5), one(0.5, data="y", seed=1, sizes={}))


def test_reports_of_no_images_cannot_be_told_apart_and_are_refused():
    with pytest.raises(ValueError, match="images"):
        compare(one(0.5, data=""), one(0.5, data=""))


@pytest.mark.parametrize("given", [None, {"meta": {}}, "a.json"])
def test_what_is_no_report_is_refused(unchecked, given):
    with pytest.raises(TypeError, match=r"b is .*Report\.load"):
        compare(one(0.5), given)


# --- pairs --------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [2, 5, 80])
def test_a_paired_error_is_that_of_the_differences(n):
    hard = 10 * torch.randn(n, generator=generator(0)).double()
    gaps = torch.randn(n, generator=generator(1)).double()
    a, b = one(0.5, 0.4, hard), one(0.7, 0.4, hard + gaps)
    found = row(a, b)
    wanted = Estimate.t(0.2, gaps.std().item() / n**0.5, n)
    assert found.paired
    assert tuple(found.difference) == pytest.approx(tuple(wanted))


def test_the_other_way_round_is_the_negative():
    each = [torch.randn(30, generator=generator(s)).double() for s in (0, 1)]
    a, b = one(0.4, 0.1, each[0]), one(0.7, 0.1, each[1])
    there, back = row(a, b).difference, row(b, a).difference
    assert back.value == -there.value and back.error == pytest.approx(there.error)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert {row(a, b).better, row(b, a).better} in ({"a", "b"}, {""})


def test_a_report_against_itself_differs_by_nothing():
    made = made_up()
    for found in compare(made, made).rows:
        assert not found.differs and found.better == ""
        assert found.difference is None or found.difference.value == 0


def test_what_a_computation_cut_short_widens_both():
    each = torch.randn(20, generator=generator(0)).double()
    a, b = one(0.5, 0.1, each), one(0.7, 0.1, each + 0.2)
    cut = {
        "fit": replace(a.measures["fit"], estimate=Estimate.t(0.5, 0.1, 20, truncation=0.3)),
    }
    found = row(Report(a.meta, cut, (), a.tables), b).difference
    assert found.truncation == 0.3 and found.high - found.low == pytest.approx(0.6)


@pytest.mark.parametrize(
    "each", [None, torch.zeros(7), torch.full((9,), math.nan), torch.zeros(1)], ids=str
)
def test_where_pairs_are_missing_errors_add_and_it_is_said(each):
    a, b = one(0.5, 0.03, torch.zeros(9)), one(0.7, 0.04, each)
    found = row(a, b)
    assert not found.paired and found.difference.error == pytest.approx(0.07)
    halves = [m.high - m.value for m in (a.measures["fit"].estimate, b.measures["fit"].estimate)]
    assert found.difference.high - 0.2 == pytest.approx(sum(halves))
    assert "unpaired" in str(found)


def test_added_errors_bound_the_true_one_whatever_two_models_share():
    for shared in (-0.9, 0.0, 0.9, 1.0):
        covariance = torch.tensor([[1.0, shared], [shared, 1.0]]).double()
        true = (covariance[0, 0] + covariance[1, 1] - 2 * shared) ** 0.5 / 100**0.5
        found = row(one(0.5, 0.1), one(0.6, 0.1)).difference
        assert found.error >= true - 1e-12


def test_where_no_error_is_known_none_is_claimed():
    found = row(one(0.5), one(0.7, 0.1))
    assert found.difference.value == pytest.approx(0.2) and math.isinf(found.difference.error)
    assert not found.differs and "no error known" in str(found)


def test_paired_intervals_of_real_reports_cover():
    """Two decoders of one linear world: the true difference of R² lies in most intervals."""
    d, beta, n, hits, halves = 6, 0.4, 120, 0, []
    world = LinearGaussian(torch.linspace(1, 4, d).double(), beta=beta)

    def decode(shrunk):
        return lambda z: (shrunk * world.decode(z.double())).float()

    def encode(x):
        mu, sigma = world.encode(x.double())
        return mu.float(), sigma.expand_as(mu).float()

    def made(x, shrunk):
        sizes = Sizes(images=n, decoded=n)
        return report(
            encode,
            decode(shrunk),
            x,
            only=["fit"],
            sizes=sizes,
            budget=math.inf,
            progress=False,
            value_range=(-30, 30),
        )

    whole = world.images(20_000, seed=999).float()
    mu = encode(whole)[0]
    variance = (whole - whole.mean(0)).square().sum(1).mean()
    lost = [(whole - decode(s)(mu)).square().sum(1).mean() / variance for s in (1.0, 0.8)]
    true = (lost[0] - lost[1]).item()
    for seed in range(25):
        x = world.images(n, seed=seed).float()
        found = row_of(compare(made(x, 1.0), made(x, 0.8)), "fit")
        assert found.paired
        hits += found.difference.low <= true <= found.difference.high
        halves.append(found.difference.high - found.difference.low)
        unpaired = sum(m.estimate.high - m.estimate.low for m in (found.a, found.b))
        assert halves[-1] < unpaired  # what makes an image hard for both cancels
    assert hits >= 20  # 25 at 95 %: fewer than 20 has probability .001


def row_of(comparison, key):
    [found] = [r for r in comparison.rows if r.key == key]
    return found


# --- verdicts -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("a", "b", "better"),
    [
        ((0.9, 0.01), (0.1, 0.01), "a"),  # pass, fail
        ((0.1, 0.01), (0.9, 0.01), "b"),
        ((0.2, 0.01), (0.1, 0.01), "a"),  # both fail, one nearer
        ((0.9, 0.01), (0.7, 0.01), ""),  # both pass
        ((0.61, 0.2), (0.59, 0.2), ""),  # verdicts differ, the difference does not
        ((0.9, 0.0), (0.1, 0.0), "a"),  # no error known, but the verdicts differ
        ((0.2, 0.0), (0.1, 0.0), ""),  # no error known
        ((math.nan, 0.0), (0.9, 0.0), "b"),
    ],
)
def test_the_better_is_nearer_to_passing_if_the_difference_is_real(a, b, better):
    assert row(one(*a), one(*b)).better == better


def test_information_has_no_better():
    assert row(one(20.0, 0.1, key="psnr"), one(30.0, 0.1, key="psnr")).better == ""


def test_both_are_judged_by_the_thresholds_of_the_first():
    mild = DEFAULT.replace(fit=Condition((0.0, 1.0), (-1.0, 1.0)))
    a, b = one(0.1, 0.01), one(0.1, 0.01).judged(mild)
    assert b.measures["fit"].verdict == "pass"
    assert row(a, b).verdicts == ("fail", "fail")
    assert row(b, a).verdicts == ("pass", "pass")


def test_numbers_that_one_report_lacks_are_told_apart():
    a, b = one(0.5, 0.1), one(0.5, 0.1)
    gone = replace(b.measures["fit"], verdict="skipped", value=math.nan, estimate=None)
    found = row(a, Report(b.meta, {"fit": gone}, (), {}))
    assert found.difference is None and found.verdicts[1] == "skipped"
    assert "one report only" in str(found)
    assert compare(a, one(20.0, key="psnr")).rows == ()


# --- what is shown ------------------------------------------------------------------------------
def test_names_can_always_be_told_apart():
    assert compare(one(0.5), one(0.6)).names == ("A", "B")
    assert compare(one(0.5, name="m"), one(0.6, name="m")).names == ("m (A)", "m (B)")


def test_it_is_frozen_and_prints_a_line_a_number():
    made = compare(made_up("first"), made_up("second", seed=1))
    assert len(str(made).splitlines()) == 1 + len(made.rows)
    with pytest.raises(AttributeError):
        made.rows = ()


@pytest.mark.parametrize("make", [page, fragment])
def test_the_page_shows_both_and_holds_no_code_of_users(make):
    a, b = made_up(NASTY, broken=True), made_up(f"{NASTY}2", seed=1)
    made = compare(a, b)
    text = make(made)
    read = Read(text)
    assert "<script>alert" not in text and "script" not in read.tags
    assert read.text.count("alert(1)") > 4
    for found in made.rows:
        if {*found.verdicts} != {"skipped"}:
            assert found.a.question in read.text
        if found.differs or found.better:
            assert f"<code>{found.key}</code>" in text
    for suspect in a.suspects:
        assert suspect.remedy in read.text


def test_its_files_are_written(tmp_path):
    made = compare(made_up("first"), made_up("second", seed=1))
    made.save_html(tmp_path / "c.html")
    assert (tmp_path / "c.html").read_text(encoding="utf-8") == page(made)
    assert made._repr_html_() == fragment(made)
