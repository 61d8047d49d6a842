"""Name the bug in the browser: strips that keep their order, answers that count, a score kept."""

import pytest

from tests.figures.exhibits import IMAGES, SUSPECTS, exhibits
from tests.site.contract import FigureContract
from tests.site.readings import cards, said
from vae_course.figures.name_the_bug import NameTheBug
from vae_course.report.conditions import Condition
from vae_course.report.measures import MEASURES


@pytest.fixture(scope="module")
def figure() -> NameTheBug:
    return NameTheBug(exhibits(), SUSPECTS, images=IMAGES)


class TestNameTheBug(FigureContract):
    moves = {
        "Report 3 of 4": {"shown": 2},
        "Named: variance for σ.": {"answers": ["variance"] * 4},
        "measured on all the same": {"shown": 1, "hints": [2, 2, 2, 2]},
    }

    @pytest.fixture
    def looks(self, figure) -> tuple[NameTheBug, ...]:
        answered = NameTheBug(exhibits(), SUSPECTS, images=IMAGES, seed=3)
        answered.answers, answered.hints = ["scale", "variance", "", ""], [3, 3, 3, 3]
        return figure, answered


def order(javascript, seed: int) -> list[int]:
    return javascript(NameTheBug, "return m.shuffled(4, a)", seed)


@pytest.fixture
def at(visit, javascript):
    """Open the figure with one of its exhibits on top."""

    def open_at(exhibit: int, **traits: object):
        made = NameTheBug(exhibits(), SUSPECTS, images=IMAGES)
        made.shown = order(javascript, 0).index(exhibit)
        for name, value in traits.items():
            setattr(made, name, value)
        return visit(made)

    return open_at


def name(page, suspect: str) -> str:
    page.get_by_role("button", name=SUSPECTS[suspect]).click()
    page.get_by_role("button", name="Name it").click()
    return page.locator(".vf-answer").inner_text()


# ---------------------------------------------------------------------------- the strips
PLACE = "return a.values.map((v) => m.place(v, m.zones(a.passes, a.fails)))"


def finite(band: tuple[float, float] | None) -> list[float | None] | None:
    return band and [None if abs(end) == float("inf") else end for end in band]


@pytest.mark.parametrize("key", [k for k, q in MEASURES.items() if q.condition.passes])
def test_a_strip_rises_and_each_verdict_has_its_own_zone(javascript, key):
    condition: Condition = MEASURES[key].condition
    passes, fails = finite(condition.passes), finite(condition.fails)
    ends = sorted({e for band in (passes, fails) for e in band or () if e is not None})
    values = [ends[0] - 3, ends[0] - 0.1]
    for low, high in zip(ends, [*ends[1:], ends[-1] + 1], strict=True):
        values += [low, low + 0.25 * (high - low), low + 0.75 * (high - low)]
    values += [ends[-1] + 20]
    got = javascript(NameTheBug, PLACE, {"values": values, "passes": passes, "fails": fails})
    assert all(a <= b for a, b in zip(got, got[1:], strict=False)) and 0 <= got[0] <= got[-1] <= 1
    zones = javascript(
        NameTheBug, "return m.zones(a.passes, a.fails)", {"passes": passes, "fails": fails}
    )
    wide = {"pass": 3, "look": 1.6, "fail": 2}
    total, start, spans = sum(wide[z["verdict"]] for z in zones), 0.0, []
    for zone in zones:
        end = start + wide[zone["verdict"]] / total
        spans.append((zone["verdict"], start, end))
        start = end
    for value, where in zip(values, got, strict=True):
        verdict = condition.verdict(value)
        inside = [kind for kind, low, high in spans if low - 1e-9 <= where <= high + 1e-9]
        # Beyond a bound that no number of this kind can pass, 0 or 1, there may be no zone.
        beyond = (value < ends[0] and ends[0] in (0, 1)) or (
            value > ends[-1] and ends[-1] in (0, 1)
        )
        assert verdict in inside or beyond, (value, where, spans)


def test_a_number_on_an_edge_is_in_the_better_zone(javascript):
    # a band of no width, whose only number passes, is in the middle of its own zone
    bands = [([1, 1], [0.6, 1], 1), ([0, 0], [0, 0.999], 0), ([1, 2], [0.5, 4], 1)]
    body = "return a.map(([passes, fails, v]) => m.place(v, m.zones(passes, fails)))"
    top, bottom, edge = javascript(NameTheBug, body, bands)
    assert top == pytest.approx(1 - 1.5 / 6.6)  # fail 2, look 1.6, pass 3
    assert bottom == pytest.approx(1.5 / 6.6)
    assert edge == pytest.approx(3.6 / 10.2)  # where the pass zone begins


def test_a_strip_in_words(javascript):
    body = "return a.map(([passes, fails]) => m.bands({ passes, fails }))"
    got = javascript(
        NameTheBug, body, [[[0.7, 1.5], [0.6, 1.7]], [[None, 0.25], [None, 0.6]], [[0, 0.5], None]]
    )
    assert got == [
        "passes from 0.7 to 1.5, does not fail from 0.6 to 1.7",
        "passes up to 0.25, does not fail up to 0.6",
        "passes from 0 to 0.5",
    ]


# ---------------------------------------------------------------------------- the score
def test_the_score_counts_hints_rules_and_a_blind_guess(javascript, figure):
    answers, hints = ["healthy", "variance", "scale", ""], [3, 6, 1, 3]
    got = javascript(NameTheBug, "return m.score(...a)", [figure.exhibits, 4, answers, hints])
    # 1 of 3 for the first; 3 for the second, where measuring on came after the answer
    assert got == {"seen": 3, "right": 2, "points": 4, "rules": 1, "blind": 0.75}


def test_a_shuffle_holds_each_exhibit_once_and_follows_the_seed(javascript):
    orders = [order(javascript, seed) for seed in range(30)]
    assert all(sorted(one) == [0, 1, 2, 3] for one in orders)
    assert len({tuple(one) for one in orders}) > 10 and orders[3] == order(javascript, 3)


# ---------------------------------------------------------------------------- the reader
def test_a_right_answer_is_told_with_its_proof_and_what_the_rules_said(at):
    page = at(1)
    assert "It stopped after stage “geometry”" in said(page)
    assert (
        name(page, "variance") == "Right. A slope of 2. The report's own rules named it first, too."
    )
    assert page.locator(".vf-proof .vf-question").all_inner_texts() == [
        MEASURES["ruler_slope"].question
    ]
    assert cards(page) == {
        "you named": "1 of 1", "the report's rules": "1 of 1",
        "a blind guess": "0.3 of 1", "points": "3 of 3",
    }  # fmt: skip


def test_a_wrong_answer_is_told_who_it_was_and_the_rules_may_be_wrong_too(at):
    page = at(2)
    assert name(page, "variance").startswith("No: it is “wrong range”. (x + 1)/2.")
    assert "rules named “factor on one side” first" in page.locator(".vf-answer").inner_text()
    assert page.locator(".vf-culprit").inner_text() == "wrong range"
    assert cards(page)["you named"] == "0 of 1" and cards(page)["points"] == "0 of 3"


def test_hints_show_what_was_hidden_and_cost_a_point_each(at):
    page = at(2)
    questions = page.locator(".vf-question")
    before = questions.count()
    assert page.locator(".vf-album canvas").count() == 0
    page.get_by_role("button", name="Measure on").click()
    assert questions.count() > before and "measured on all the same" in said(page)
    page.get_by_role("button", name="Show pictures").click()
    assert page.locator(".vf-album canvas").count() == 9
    name(page, "range")
    assert cards(page)["points"] == "1 of 3"


def test_pictures_are_those_of_the_exhibit(at):
    page = at(3, hints=[1, 1, 1, 1])
    grey = """all => all.map((c) => [...c.getContext("2d").getImageData(0, 0, 4, 4).data]
      .filter((_, i) => i % 4 === 0))"""
    shown = page.locator(".vf-album canvas").evaluate_all(grey)
    expected = [*IMAGES, *exhibits()[3].pictures.flatten(0, 1)]
    for got, image in zip(shown, expected, strict=True):
        assert got == pytest.approx((255 * image.flatten()).tolist(), abs=0.51)


def test_naming_nobody_is_asked_to_choose_and_after_all_one_can_start_again(visit, figure):
    page = visit(figure)
    page.get_by_role("button", name="Name it").click()
    assert said(page) == "Choose a suspect first."
    for i in range(4):
        assert f"Report {i + 1} of 4" in said(page) or i == 0
        name(page, "healthy")
        page.get_by_role("button", name="Start again" if i == 3 else "Next report").click()
    assert "Report 1 of 4" in said(page) and cards(page)["you named"] == "–"


def test_the_score_is_kept_on_this_page(visit, figure):
    page = visit(figure)
    name(page, "healthy")
    kept = cards(page)
    page.reload()
    page.wait_for_selector("html[data-figures=mounted]", state="attached")
    assert cards(page) == kept and kept["you named"] != "–"


def test_a_browser_that_keeps_nothing_costs_nothing_else(visit, figure):
    page = visit(figure, locale="en-GB")  # a tab of its own, for what is defined here stays
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    )
    for _ in range(2):
        page.reload()
        page.wait_for_selector("html[data-figures=mounted]", state="attached")
        assert cards(page)["you named"] == "–"
        name(page, "healthy")
        assert cards(page)["you named"].endswith("of 1")


def test_what_is_kept_and_does_not_fit_is_left_alone(visit, figure):
    page = visit(figure)
    key = f"name-the-bug {figure.spec['mark']} "
    for bad in ('{"seed": 0, "shown": 9}', "[", '{"seed":0,"shown":0,"answers":["x"],"hints":[0]}'):
        page.evaluate("([k, v]) => localStorage.setItem(k + location.pathname, v)", [key, bad])
        page.reload()
        page.wait_for_selector("html[data-figures=mounted]", state="attached")
        assert "Report 1 of 4" in said(page)


def test_a_kernel_hears_the_answer(told, figure, javascript):
    heard = told(figure, [], ("wrong range", "Name it"))
    first = order(javascript, 0)[0]
    assert heard["answers"][first] == "range" and heard["hints"] == [0, 0, 0, 0]
