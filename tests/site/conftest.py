from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.site.readings import drawn
from tests.site.site_checks import HTML, LOADER, PATIENCE, chromium, served
from vae_course.figures import Figure, fragment, state

pytest.register_assert_rewrite("tests.site.contract")  # its messages are a test's

STYLE = """html{--pst-color-background:#fff;--pst-color-text-base:#222}
html[data-theme=dark]{--pst-color-background:#121212;--pst-color-text-base:#ddd}
body{margin:0 16px;background:var(--pst-color-background)}"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    with served(HTML) as address:
        yield address


@pytest.fixture(scope="session")
def workbench(browser) -> Iterator[Page]:
    """An empty page, on which figures' modules are called: a worker needs one."""
    page = browser.new_page()
    page.evaluate("window.modules = {}")
    yield page
    page.close()


@pytest.fixture
def javascript(workbench) -> Callable:
    """Call JavaScript with a figure's module as ``m`` and an argument as ``a``."""

    def call(figure: type[Figure] | Figure, body: str, argument: object = None) -> object:
        script = """async ([source, body, a]) => {
          const blob = new Blob([source], {type: "text/javascript"});
          const m = await (modules[source] ??= import(URL.createObjectURL(blob)));
          const unpack = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
          return new Function("m", "a", "unpack", body)(m, a, unpack);
        }"""
        return workbench.evaluate(script, [figure._esm, body, argument])

    return call


class Reader:
    """One tab in which page after page is opened: a new one would cost a process each time."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.page = browser.new_context(**options).new_page()
        self.page.set_default_timeout(PATIENCE)
        self.faults: list[str] = []
        local = ("file:", "blob:", "data:")
        heard = {
            "console": lambda m: m.type == "error" and self.faults.append(m.text),
            "pageerror": lambda e: self.faults.append(str(e)),
            "request": lambda r: r.url.startswith(local) or self.faults.append(r.url),
        }
        for event, note in heard.items():
            self.page.on(event, note)


@pytest.fixture(scope="session")
def reader(browser) -> Iterator[Reader]:
    opened = Reader(browser)
    yield opened
    opened.page.context.close()


@pytest.fixture
def visit(browser, reader, tmp_path) -> Iterator[Callable]:
    """Open a page from a file, of figures or pieces of HTML, each with a poster.

    No request may leave the page, and no error be logged but the expected number of ``errors``.
    Motion is reduced unless asked for. All pages of a test are one after the other in the same
    tab, but one with ``options`` of the browser's context has a tab to itself.
    """
    readers, expected = [reader], []
    reader.faults.clear()

    def open_page(
        *figures: Figure | str,
        width: int = 1000,
        errors: int = 0,
        motion: str = "reduce",
        **options: object,
    ) -> Page:
        pieces = [f if isinstance(f, str) else fragment(state(f)) for f in figures]
        mounts = "".join(f'<div><p class="figure-poster">poster</p>{p}</div>' for p in pieces)
        path = tmp_path / "page.html"
        path.write_text(
            '<!doctype html><html lang="en" data-theme="light"><meta charset="utf-8">'
            '<title>t</title><meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<style>{STYLE}</style><script defer src="{LOADER.as_uri()}"></script>'
            f"<main>{mounts}</main>",
            encoding="utf-8",
        )
        if options:
            readers.append(Reader(browser, **options))
        page = readers[-1 if options else 0].page
        expected.append(errors)
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(reduced_motion=motion)
        page.mouse.move(0, 0)
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-figures=mounted]", state="attached")
        drawn(page)
        return page

    yield open_page
    reader.page.evaluate("0")  # what the page has said by now has arrived
    for other in readers[1:]:
        other.page.context.close()
    faults = [fault for one in readers for fault in one.faults]
    assert len(faults) == sum(expected), faults


# Mounts a saved figure by hand, with a model that notes what it is told. ``rest`` is longer than
# the quarter of a second after which a figure tells a kernel; a page's timers fire in their order.
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
  const said = () => el.querySelector(".vf-readout").textContent;
  const rest = () => new Promise((f) => setTimeout(f, 300));
  return { state, model, heard, told, el, cleanup, said, rest };
}"""


@pytest.fixture
def by_hand(visit) -> Callable:
    """Mount a figure by hand and run JavaScript with what that gives, see ``MOUNT``, and ``a``."""

    def run(figure: Figure, body: str, argument: object = None) -> object:
        [record] = state(figure)["state"].values()
        return visit().evaluate(
            f"""async ([record, a]) => {{
              const mounted = await ({MOUNT})(record);
              const {{ state, model, heard, told, el, cleanup, said, rest }} = mounted;
              {body}
            }}""",
            [record, argument],
        )

    return run


@pytest.fixture
def told(by_hand) -> Callable:
    """What a live kernel hears, trait by trait, once the reader has moved the controls and rests.

    ``sliders`` are the values that the first sliders get, in their order; then the buttons of the
    texts ``press`` are pressed.
    """

    def run(figure: Figure, sliders: list[float], press: tuple[str, ...] = ()) -> dict[str, object]:
        return by_hand(
            figure,
            """const inputs = el.querySelectorAll("input[type=range]");
            for (const [i, value] of a.sliders.entries()) {
              inputs[i].value = value; inputs[i].dispatchEvent(new Event("input"));
            }
            for (const text of a.press)
              [...el.querySelectorAll("button")].find((b) => b.textContent === text).click();
            await rest();
            return told;""",
            {"sliders": sliders, "press": list(press)},
        )

    return run
