"""What must hold on every page of the built site, as functions that list what does not."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Request, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
LOADER = ROOT / "book/static/widgets-static.js"
AXE = ROOT / "_build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
PATIENCE = 120_000  # milliseconds: of a busy machine
# Offline by construction, and quiet about it: no name but this machine's is found.
FLAGS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/favicon.ico":  # the browser's own wish, no page's
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a local server over a folder."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        raise RuntimeError(f"no Chromium at {CHROMIUM}: install it, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


# Nothing is left to load or mount. The page at the root only points to the first one.
LOADED = """() => {
  const root = document.documentElement;
  const figures = document.querySelector("script[src*=widgets-static]");
  return !document.querySelector("meta[http-equiv=refresh i]")
    // readyState is complete before what listens to `load` is run: a11y.js, for one
    && performance.getEntriesByType("navigation")[0].loadEventEnd > 0
    && !root.classList.contains("fontawesome-i2svg-pending")
    && (!figures || root.dataset.figures === "mounted");
}"""
TYPESET = "Promise.all([window.MathJax?.startup?.promise, document.fonts.ready]).then(() => true)"


class Tab:
    """A tab in which page after page is opened, and what went wrong on the last one."""

    def __init__(self, browser: Browser, **options: object) -> None:
        self.page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page.set_default_timeout(PATIENCE)
        self.wrong: list[str] = []
        self.own = "file://"
        self.page.on("request", self._requested)
        self.page.on("pageerror", lambda e: self.wrong.append(f"uncaught: {e}"))
        self.page.on(
            "console", lambda m: m.type == "error" and self.wrong.append(f"console: {m.text}")
        )
        self.page.on(
            "response", lambda r: r.status >= 400 and self.wrong.append(f"{r.status}: {r.url}")
        )

    def _requested(self, request: Request) -> None:
        if not request.url.startswith((self.own, "blob:", "data:")):
            self.wrong.append(f"external request: {request.url}")

    def open(self, url: str, scheme: str = "light") -> Page:
        self.own = "/".join(url.split("/", 3)[:3])
        self.page.goto("about:blank")  # what the page before has yet to say is its own
        self.wrong.clear()
        self.page.emulate_media(color_scheme=scheme)
        self.page.goto(url)
        self.page.wait_for_function(LOADED)
        self.page.evaluate(TYPESET)
        return self.page

    def close(self) -> None:
        self.page.close()


def darken(page: Page) -> None:
    """As when the reader's system turns dark in the evening."""
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    # The theme lets buttons fade: half way, their contrast is that of neither theme.
    page.evaluate("""() => {
      for (const fading of document.getAnimations())
        if (fading instanceof CSSTransition) fading.finish();
    }""")


RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}


def inaccessible(page: Page, rules: list[str] | dict[str, object] = RULES) -> list[str]:
    """What axe finds serious or critical."""
    page.evaluate(AXE.read_text())
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{v['impact']} {v['id']}: {v['nodes'][0]['html'][:160]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]


def unlabelled_images(page: Page) -> list[str]:
    """Images without alt text that says something, and drawings without a label."""
    return page.evaluate("""() => [
        ...[...document.querySelectorAll('img')].filter(
            (i) => !(i.alt.trim().length > 3) && !i.closest('[aria-hidden=true]')
                   && i.getAttribute('role') !== 'presentation'),
        ...[...document.querySelectorAll('svg[role=img], canvas')].filter(
            (i) => !(i.getAttribute('aria-label') ?? '').trim()
                   && !i.closest('[aria-hidden=true]')),
      ].map((i) => i.outerHTML.slice(0, 160))""")


def untypeset(page: Page) -> list[str]:
    """Formulas that MathJax left alone or could not read."""
    return page.evaluate("""() => [...document.querySelectorAll('.math, mjx-merror')]
      .filter((i) => i.matches('mjx-merror') || !i.querySelector('mjx-container'))
      .map((i) => i.outerHTML.slice(0, 160))""")


def unmounted(page: Page) -> list[str]:
    """Places of figures without a drawing, and posters still there where a figure is."""
    return page.evaluate("""() => [
        ...[...document.querySelectorAll('script[type*="widget-view+json"]')]
          .filter((i) => !i.parentElement.querySelector('.anywidget-static canvas')),
        ...[...document.querySelectorAll('.figure-poster')].filter((i) => i.checkVisibility()),
      ].map((i) => i.outerHTML.slice(0, 160))""")


def overflow(page: Page) -> float:
    """By how many pixels the page is wider than the window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


@functools.cache
def pages(holding: str = "") -> tuple[str, ...]:
    """Every page a reader can reach and whose source holds a text, as paths below the root."""
    machinery = {"genindex.html", "search.html", "py-modindex.html"}
    found = (p.relative_to(HTML) for p in HTML.rglob("*.html"))
    return tuple(
        sorted(
            str(p)
            for p in found
            if p.parts[0] not in ("_static", "_modules")
            and p.name not in machinery
            and holding in (HTML / p).read_text()
        )
    )
