"""The page of a report in a browser: any light, any width, paper, and thresholds that move."""

import json
import math

import pytest
from playwright.sync_api import Page

from tests.report.made_up import NASTY, made_up
from tests.site.hosts import HOSTS
from tests.site.site_checks import COLOURS, Tab, inaccessible, overflow, unlabelled_images
from vae_course.report.compare import compare
from vae_course.report.conditions import DEFAULT, Condition
from vae_course.report.numerals import band
from vae_course.report.strip import scale

SCHEMES = ("light", "dark")
WIDTHS = (1280, 360)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """The pages, by name, as addresses."""
    folder = tmp_path_factory.mktemp("report")
    healthy, broken = made_up(seed=1), made_up(NASTY, broken=True)
    made = {"healthy": healthy, "broken": broken, "both": compare(healthy, broken)}
    for name, one in made.items():
        one.save_html(folder / f"{name}.html")
    return {name: (folder / f"{name}.html").as_uri() for name in made}


@pytest.fixture(scope="module")
def tab(browser):
    opened = Tab(browser)
    opened.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield opened
    opened.close()


def opened(tab: Tab, url: str, scheme: str = "light", width: int = 1280) -> Page:
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.page.goto("about:blank")
    tab.wrong.clear()
    tab.page.emulate_media(color_scheme=scheme, media="screen")
    tab.page.goto(url)
    return tab.page


@pytest.mark.parametrize("name", ["healthy", "broken", "both"])
def test_it_is_legible_in_any_light_on_any_screen(tab, files, name):
    for scheme in SCHEMES:
        for width in WIDTHS:
            page = opened(tab, files[name], scheme, width)
            assert overflow(page) <= 0
            page.evaluate(
                "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"
            )
            assert overflow(page) <= 0
            assert tab.wrong == []
        assert inaccessible(page) == []
        assert unlabelled_images(page) == []


def test_dark_is_dark_and_paper_is_light(tab, files):
    ground = "parseInt(getComputedStyle(document.documentElement).backgroundColor.slice(4))"
    assert opened(tab, files["broken"], "light").evaluate(ground) > 200
    page = opened(tab, files["broken"], "dark")
    assert page.evaluate(ground) < 50
    page.emulate_media(color_scheme="dark", media="print")
    assert page.evaluate(ground) == 255


def test_on_paper_cards_are_whole_folds_closed_and_suspects_open(tab, files):
    page = opened(tab, files["broken"])
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 690, "height": 1000})
    assert overflow(page) <= 0
    assert page.locator(".vaer-fold > :not(summary):visible").count() == 0
    assert page.locator(".vaer-suspects li:visible").count() == 2
    assert page.locator("input:visible, button:visible").count() == 0
    unbroken = page.locator(".vaer-card, .vaer-picture").evaluate_all(
        "all => all.every((node) => getComputedStyle(node).breakInside === 'avoid')"
    )
    assert unbroken
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_every_number_is_one_press_away(tab, files):
    page = opened(tab, files["broken"])
    for chip in page.locator(".vaer-chip").all():
        chip.click()
        target = page.locator(".vaer-card:target")
        assert target.get_attribute("data-key") == chip.inner_text()
    page.locator(".vaer-suspects a[href='#m-gain']").click()
    assert page.locator(".vaer-card:target").get_attribute("data-key") == "gain"


# --- thresholds --------------------------------------------------------------------------------
def edit(page: Page, key: str, **ends: str) -> None:
    card = page.locator(f".vaer-card[data-key={key}]")
    card.locator("details").evaluate("fold => { fold.open = true; }")
    for name, value in ends.items():
        card.locator(f"input[name={name.replace('_', '-')}]").fill(value)


def badge(page: Page, key: str) -> str:
    return page.locator(f".vaer-card[data-key={key}] .vaer-badge").inner_text()


def counts(page: Page) -> dict[str, int]:
    cells = page.locator("[data-count]").all()
    return {cell.get_attribute("data-count"): int(cell.inner_text()) for cell in cells}


def test_a_threshold_that_moves_judges_again_and_back(tab, files):
    page = opened(tab, files["broken"])
    before = counts(page)
    assert badge(page, "contract") == "fail" and page.locator(".vaer-changed").is_hidden()
    edit(page, "contract", fails_high="100")
    assert badge(page, "contract") == "look"
    edit(page, "contract", passes_high="70")
    assert badge(page, "contract") == "pass"
    wanted = before | {"fail": before["fail"] - 1, "pass": before["pass"] + 1}
    assert counts(page) == wanted
    chip = page.locator(".vaer-chip[data-of=contract]")
    assert "vaer-v-pass" in chip.get_attribute("class")
    summary = page.locator(".vaer-card[data-key=contract] summary")
    assert summary.inner_text() == band(Condition((-math.inf, 70), (-math.inf, 100)))
    page.get_by_role("button", name="Undo all").click()
    assert counts(page) == before and badge(page, "contract") == "fail"
    assert page.locator(".vaer-changed").is_hidden()
    assert summary.inner_text() == band(DEFAULT["contract"])
    assert tab.wrong == []


def test_the_verdict_follows_to_the_end(tab, files):
    page = opened(tab, files["broken"])
    failing = [k for k, m in made_up(NASTY, broken=True).measures.items() if m.verdict == "fail"]
    for key in failing:
        edit(page, key, passes_low="", passes_high="", fails_low="", fails_high="")
        assert badge(page, key) == "info"
    assert counts(page)["fail"] == 0
    line = page.locator(".vaer-verdict")
    assert line.inner_text().startswith("Nothing fails.")
    edit(page, "sigma_max", passes_high="1.5")
    assert line.inner_text() == "Every number that is judged passes."


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ({"passes_low": "2"}, "must not be above"),
        ({"fails_low": "0.7"}, "must lie inside"),
        ({"passes_high": "", "fails_high": "1"}, "must lie inside"),
    ],
)
def test_bands_in_a_knot_are_refused_with_the_reason_and_judge_nothing(tab, files, ends, said):
    page = opened(tab, files["broken"])
    edit(page, "fit", **ends)
    assert said in page.locator(".vaer-card[data-key=fit] [role=alert]").inner_text()
    assert badge(page, "fit") == "fail" and page.locator(".vaer-changed").is_hidden()
    with pytest.raises(ValueError):
        text = {"passes_low": "0.6", "passes_high": "1", "fails_low": "0.3", "fails_high": "1"}
        low, high, least, most = (
            float(v) if v else s * math.inf
            for v, s in zip((text | ends).values(), (-1, 1, -1, 1), strict=True)
        )
        Condition((low, high), (least, most))


def test_what_was_changed_can_be_taken_away_and_means_the_same(tab, files):
    from vae_course.report.__main__ import changed

    page = opened(tab, files["broken"])
    edit(page, "fit", fails_low="-1", passes_low="-0.6")
    edit(page, "contract", fails_high="", passes_high="80")
    page.get_by_role("button", name="command line").click()
    command = page.evaluate("navigator.clipboard.readText()")
    settings = [word for word in command.replace("\\\n", " ").split() if word != "--set"]
    wanted = {
        "fit": Condition((-0.6, 1.0), (-1.0, 1.0)),
        "contract": Condition((-math.inf, 80.0), (-math.inf, math.inf)),
    }
    report = made_up(NASTY, broken=True)
    for key, one in changed(settings).items():
        value = report.measures[key].value
        assert one.verdict(value) == wanted.get(key, DEFAULT[key]).verdict(value)
    page.get_by_role("button", name="Copy for Python").click()
    python = page.evaluate("navigator.clipboard.readText()")
    from vae_course.report import conditions

    new = eval(python, {"conditions": conditions, "Condition": Condition, "math": math})
    assert new["fit"] == wanted["fit"]
    assert new["contract"].verdict(63.0) == "pass" == badge(page, "contract")


def test_javascript_judges_words_and_places_as_python_does(tab, files):
    page = opened(tab, files["healthy"])
    module = page.locator("script[type=module]").text_content()
    bands = [None, (-math.inf, 0.25), (0.8, 1.25), (0.0, math.inf), (1.0, 1.0), (-0.5, 2e-4)]
    values = [-1.0, -0.5, 0.0, 1e-4, 0.25, 0.8, 1.0, 1.25, 1e9, math.inf, -math.inf, math.nan]
    cases = []
    for passes in bands:
        for fails in bands:
            try:
                condition = Condition(passes, fails)
            except ValueError:
                continue
            cases.append(((passes, fails), condition))
    told = json.dumps(
        {
            "bands": [[b and [str(e) for e in b] for b in pair] for pair, _ in cases],
            "values": [str(v) for v in values],
        }
    )
    found = page.evaluate(
        """([source, told]) => {
          const { bands, values } = JSON.parse(told);
          const read = (v) => Number(v.replace("inf", "Infinity").replace("nan", "NaN"));
          const ask = new Function("bands", "values",
            source + "; return bands.map((b) => [values.map((v) => judge(b, v)), inWords(b)]);");
          return ask(bands.map(([p, f]) => ({ passes: p && p.map(read), fails: f && f.map(read) })),
            values.map(read));
        }""",
        [module, told],
    )
    for (verdicts, words), (_, condition) in zip(found, cases, strict=True):
        assert verdicts == [condition.verdict(v) for v in values]
        assert words.replace("0.0002", "2 × 10⁻⁴") == band(condition)


def test_a_zone_moves_to_where_python_draws_it(tab, files):
    page = opened(tab, files["broken"])
    report = made_up(NASTY, broken=True)
    for key, low, high in (("price_ratio", "0.8", "1.5"), ("fit", "0.7", "0.9")):
        edit(page, key, passes_low=low, passes_high=high)
        strip = page.locator(f".vaer-card[data-key={key}] .vaer-strip")
        zone = strip.locator(".vaer-zone-pass").bounding_box()
        whole = strip.bounding_box()
        m = report.measures[key]
        ends = [m.estimate.low, m.estimate.high] if m.estimate else []
        spread = scale(m.condition, [m.value, *ends])
        start, end = (spread.at(float(v)) for v in (low, high))
        assert (zone["x"] - whole["x"]) / whole["width"] == pytest.approx(start, abs=0.01)
        assert zone["width"] / whole["width"] == pytest.approx(end - start, abs=0.01)


def test_without_script_nothing_is_missing_but_the_inputs(browser, files):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(files["broken"])
    report = made_up(NASTY, broken=True)
    shown = [m for m in report.measures.values() if m.verdict != "skipped"]
    assert page.locator(".vaer-card:visible").count() == len(shown)
    assert page.locator(".vaer-verdict span:visible").count() == 1
    assert page.locator("form:visible").count() == 0
    context.close()


# --- in a notebook -----------------------------------------------------------------------------
LAYOUT = """root => [...root.querySelectorAll("*")].filter((n) => !n.closest("svg, style"))
  .filter((n) => n.checkVisibility()).map((n) => {
    const { x, y, width, height } = n.getBoundingClientRect(), top = root.getBoundingClientRect();
    const { fontWeight, textAlign, color } = getComputedStyle(n);
    return [n.tagName + "." + n.className, ...[x - top.x, y - top.y, width, height].map(Math.round),
      fontWeight, textAlign, color].join(" ");
  })"""


@pytest.fixture(params=["report", "comparison"])
def piece(request) -> str:
    one, other = made_up(seed=1), made_up(NASTY, broken=True)
    return (other if request.param == "report" else compare(one, other))._repr_html_()


def notebook(page: Page, html: str, attributes: str = "") -> Page:
    """A fragment in the output of a notebook's cell."""
    page.goto("about:blank")
    page.set_content(
        f'<!doctype html><html lang="en" {attributes}><title>t</title><body><main><div>{html}'
        '</div><p class="after">after</p></main></body></html>'
    )
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    return page


def test_a_piece_is_the_same_in_any_notebook(tab, piece):
    page = notebook(tab.page, piece)
    page.set_viewport_size({"width": 1000, "height": 900})
    root = page.locator(".vaer")
    alone = root.evaluate(LAYOUT)
    for host, (rules, classes) in HOSTS.items():
        style = page.add_style_tag(content=rules)
        mount = root.locator("xpath=..")
        mount.evaluate("(node, classes) => { node.className = classes; }", classes)
        assert root.evaluate(LAYOUT) == alone, host
        style.evaluate("node => node.remove()")
        mount.evaluate("node => { node.className = ''; }")


def test_a_piece_leaves_the_notebook_alone(tab, piece):
    look = "n => { const s = getComputedStyle(n); return [...s].map((k) => s[k]).join() }"
    before = notebook(tab.page, "").locator(".after").evaluate(look)
    assert notebook(tab.page, piece).locator(".after").evaluate(look) == before


@pytest.mark.parametrize(
    ("attributes", "dark"),
    [
        ("", False),
        ("data-theme=dark", True),
        ("theme=dark", True),
        ("data-jp-theme-light=false", True),
        ("data-jp-theme-light=true", False),
    ],
)
def test_a_piece_follows_the_notebooks_theme_and_not_the_systems(tab, piece, attributes, dark):
    for scheme in SCHEMES:
        tab.page.emulate_media(color_scheme=scheme, media="screen")
        page = notebook(tab.page, piece, attributes)
        ground = "n => parseInt(getComputedStyle(n).backgroundColor.slice(4))"
        assert (page.locator(".vaer").evaluate(ground) < 50) == dark
        assert scheme == "dark" or inaccessible(page, COLOURS) == []
        page.set_viewport_size({"width": 360, "height": 900})
        assert overflow(page) <= 0
        page.set_viewport_size({"width": 1280, "height": 900})
