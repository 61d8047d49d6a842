"""What must hold on every page of the built site, as functions that list what does not."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
LOADER = ROOT / "book/static/widgets-static.js"
AXE = ROOT / "_build" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
# Offline by construction, and quiet about it.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class _Quiet(http.server.SimpleHTTPRequestHandler):
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


def load(browser: Browser, url: str, **options: object) -> tuple[Page, list[str]]:
    """Open a page with everything but its own origin cut off; the page and what went wrong."""
    wrong: list[str] = []
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
    own = url.split("/", 3)[:3] if url.startswith("http") else ["file:"]

    def route(request) -> None:
        address = request.request.url
        if address.split("/", 3)[: len(own)] == own or address.startswith(("blob:", "data:")):
            request.continue_()
        else:
            wrong.append(f"external request: {address}")
            request.abort()

    page.route("**/*", route)
    page.on("pageerror", lambda e: wrong.append(f"uncaught: {e}"))
    page.on("console", lambda m: m.type == "error" and wrong.append(f"console: {m.text}"))
    page.on("response", lambda r: r.status >= 400 and wrong.append(f"{r.status}: {r.url}"))
    page.goto(url, wait_until="networkidle")
    # MathJax and the figures have rendered once nothing is left to mount or typeset.
    page.wait_for_function("!window.MathJax?.startup || MathJax.startup.promise.then(() => true)")
    return page, wrong


def inaccessible(page: Page) -> list[str]:
    """What axe finds serious or critical."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "axe.run(document, {runOnly: ['wcag2a','wcag2aa','wcag21a','wcag21aa','best-practice']})"
    )
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


def overflow(page: Page) -> float:
    """By how many pixels the page is wider than the window."""
    return page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )


def pages() -> list[str]:
    """Every page a reader can reach, as paths below the site's root."""
    machinery = {"genindex.html", "search.html", "py-modindex.html"}
    found = (p.relative_to(HTML) for p in HTML.rglob("*.html"))
    return sorted(
        str(p)
        for p in found
        if p.parts[0] not in ("_static", "_modules") and p.name not in machinery
    )
