from collections.abc import Callable, Iterator

import pytest

from tests.site.site_checks import HTML, LOADER, chromium, served
from vae_course.figures import Figure, fragment, state

STYLE = """html{--pst-color-background:#fff;--pst-color-text-base:#222}
html[data-theme=dark]{--pst-color-background:#121212;--pst-color-text-base:#ddd}
body{margin:0 16px;background:var(--pst-color-background)}"""


@pytest.fixture(scope="session")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site():
    with served(HTML) as address:
        yield address


@pytest.fixture
def javascript(browser) -> Iterator[Callable]:
    """Call JavaScript with a figure's module as ``m`` and an argument as ``a``."""
    page = browser.new_page()

    def call(figure: type[Figure] | Figure, body: str, argument: object = None) -> object:
        script = """async ([source, body, a]) => {
          const blob = new Blob([source], {type: "text/javascript"});
          const m = await import(URL.createObjectURL(blob));
          const unpack = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          return new Function("m", "a", "unpack", body)(m, a, unpack);
        }"""
        return page.evaluate(script, [figure._esm, body, argument])

    yield call
    page.close()


@pytest.fixture
def visit(browser, tmp_path) -> Iterator[Callable]:
    """Open a page from a file, of figures or pieces of HTML, each with a poster.

    No request may leave the page, and no error be logged but the expected number of ``errors``.
    Motion is reduced unless asked for; ``options`` are the browser context's.
    """
    contexts, faults, expected = [], [], []

    def open_page(
        *figures: Figure | str,
        width: int = 1000,
        theme: str = "light",
        errors: int = 0,
        **options: object,
    ) -> object:
        pieces = [f if isinstance(f, str) else fragment(state(f)) for f in figures]
        mounts = "".join(f'<div><p class="figure-poster">poster</p>{p}</div>' for p in pieces)
        path = tmp_path / "page.html"
        path.write_text(
            f'<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">'
            '<title>t</title><meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<style>{STYLE}</style><script defer src="{LOADER.as_uri()}"></script>'
            f"<main>{mounts}</main>",
            encoding="utf-8",
        )
        options = {"reduced_motion": "reduce", **options}
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        expected.append(errors)
        page = contexts[-1].new_page()
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: faults.append(str(e)))
        local = ("file:", "blob:", "data:")
        page.on("request", lambda r: None if r.url.startswith(local) else faults.append(r.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-figures=mounted]", state="attached", timeout=20_000)
        page.wait_for_timeout(100)  # the first frame is drawn
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert len(faults) == sum(expected), faults


# Mounts a saved figure by hand, with a model that notes what it is told.
MOUNT = """async ({ state, buffers }) => {
  for (const { path: [key], data } of buffers)
    state[key] = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const heard = {}, told = {};
  const model = { get: (k) => state[k], saved: 0, save_changes() { model.saved++; },
    set(k, v) { state[k] = told[k] = v; heard["change:" + k]?.(); },
    on: (name, f) => { heard[name] = f; }, off: (name) => { delete heard[name]; } };
  const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
  const el = document.body.appendChild(document.createElement("div"));
  const cleanup = (await import(url)).default.render({ model, el });
  return { model, heard, told, el, cleanup, rest: () => new Promise((f) => setTimeout(f, 400)) };
}"""


@pytest.fixture
def moved_and_cleaned(visit) -> Callable:
    """Mount a figure by hand, set traits as Python would, clean it up.

    Returns what it read out before and after the move, how often the figure told the kernel of it,
    and how many listeners and nodes the cleaned-up figure leaves.
    """

    def run(figure: Figure, moves: dict[str, object]) -> dict[str, object]:
        [record] = state(figure)["state"].values()
        return visit(figure).evaluate(
            f"""async ([record, moves]) => {{
              const {{ model, heard, el, cleanup, rest }} = await ({MOUNT})(record);
              const text = () => el.querySelector(".vf-readout").textContent;
              const before = text();
              for (const [key, value] of Object.entries(moves)) model.set(key, value);
              const after = text();
              await rest();
              cleanup();
              const listeners = Object.keys(heard).length, nodes = el.children.length;
              return {{ before, after, told: model.saved, listeners, nodes }};
            }}""",
            [record, moves],
        )

    return run


@pytest.fixture
def told(visit) -> Callable:
    """What a live kernel hears, trait by trait, once the reader has moved the controls and rests.

    ``sliders`` are the values that the first sliders get, in their order; then the buttons of the
    texts ``press`` are pressed.
    """

    def run(figure: Figure, sliders: list[float], press: tuple[str, ...] = ()) -> dict[str, object]:
        [record] = state(figure)["state"].values()
        return visit(figure).evaluate(
            f"""async ([record, sliders, press]) => {{
              const {{ told, el, rest }} = await ({MOUNT})(record);
              const inputs = el.querySelectorAll("input[type=range]");
              for (const [i, value] of sliders.entries()) {{
                inputs[i].value = value; inputs[i].dispatchEvent(new Event("input"));
              }}
              for (const text of press)
                [...el.querySelectorAll("button")].find((b) => b.textContent === text).click();
              await rest();
              return told;
            }}""",
            [record, sliders, list(press)],
        )

    return run


@pytest.fixture
def fits(visit) -> Callable:
    """Assert that at each width nothing overflows and every target is large enough (WCAG 2.2)."""

    def check(figure: Figure) -> None:
        for width in (320, 360, 700, 1200):
            page = visit(figure, width=width)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for target in page.locator("button, input, [role=slider]").all():
                box = target.bounding_box()
                assert box["x"] >= 0 and box["x"] + box["width"] <= width
                assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8

    return check


# The contrast of each text with what is behind it, WCAG 2.2; disabled controls are exempt.
CONTRASTS = """root => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => numbers(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return numbers(colour)[3] === 0 ? behind(node.parentElement) : colour;
  };
  const texts = [...root.querySelectorAll("*")].filter((node) =>
    [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())
    && !node.closest(".vf-slider, .vf-check")?.querySelector(":disabled"));
  return texts.map((node) => {
    const [a, b] = [getComputedStyle(node).color, behind(node)].map(luminance);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


@pytest.fixture
def recolours(visit) -> Callable:
    """Assert that a change of theme redraws every canvas, and that all text is legible in both."""

    def check(figure: Figure) -> None:
        page = visit(figure)
        shot = "all => all.map(c => c.toDataURL())"
        chart, root = page.locator(".vf-canvas canvas"), page.locator(".vae-figure")
        light, contrasts = chart.evaluate_all(shot), root.evaluate(CONTRASTS)
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        page.wait_for_timeout(250)
        assert all(a != b for a, b in zip(light, chart.evaluate_all(shot), strict=True))
        assert min(contrasts + root.evaluate(CONTRASTS)) >= 4.5  # WCAG 2.2, 1.4.3

    return check
