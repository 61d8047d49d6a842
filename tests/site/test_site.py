"""The built site, page by page, as a reader without network or kernel meets it."""

import re
from collections.abc import Iterator

import pytest

from tests.site.site_checks import (
    COLOURS,
    HTML,
    Tab,
    darken,
    inaccessible,
    overflow,
    pages,
    unlabelled_images,
    unmounted,
    untypeset,
)

OWN_BYTES = 500_000  # our own scripts and data on one page
OURS = {"a11y.js", "widgets-static.js"}


@pytest.fixture(scope="module")
def desk(browser) -> Iterator[Tab]:
    tab = Tab(browser)
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def phone(browser) -> Iterator[Tab]:
    tab = Tab(browser, viewport={"width": 360, "height": 740})
    yield tab
    tab.close()


@pytest.fixture(scope="module")
def paper(browser) -> Iterator[Tab]:
    """Where no script runs."""
    tab = Tab(browser, java_script_enabled=False)
    yield tab
    tab.close()


@pytest.mark.parametrize("name", pages())
def test_a_page_is_quiet_offline_whole_described_and_accessible_in_light_and_dark(name, desk, site):
    page = desk.open(f"{site}/{name}")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert untypeset(page) + unmounted(page) + unlabelled_images(page) == []
    assert inaccessible(page) == []
    darken(page)  # which changes colours and no more
    assert inaccessible(page, COLOURS) == [], "in the dark"
    assert desk.wrong == []


@pytest.mark.parametrize("name", pages())
def test_a_page_works_from_a_folder_and_fits_a_phone(name, phone):
    page = phone.open((HTML / name).as_uri())
    assert phone.wrong == []
    assert overflow(page) <= 0, "the page scrolls sideways on a phone"


@pytest.mark.parametrize("name", pages())
def test_a_page_carries_little_of_our_own(name):
    text = (HTML / name).read_text()
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)
    static = sum(p.stat().st_size for p in (HTML / "_static").glob("*.js") if p.name in OURS)
    assert sum(len(s.encode()) for s in scripts) + static <= OWN_BYTES


def test_a_page_that_is_opened_in_the_dark_is_dark_and_accessible(browser, site):
    tab = Tab(browser)
    tab.open(f"{site}/book/index.html", scheme="dark")
    assert tab.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert inaccessible(tab.page) == []
    tab.close()


def test_an_icon_of_the_theme_switch_that_is_drawn_late_is_hushed_as_well(desk, site):
    late = desk.open(f"{site}/book/index.html").evaluate("""async () => {
      const button = document.querySelector(".theme-switch-button");
      button.innerHTML = '<svg aria-labelledby="t"><title id="t">Light</title></svg>';
      await new Promise(requestAnimationFrame);
      return [button.textContent, button.firstChild.getAttribute("aria-hidden")];
    }""")
    assert late == ["", "true"]


@pytest.mark.parametrize("name", pages("figure-poster"))
def test_without_javascript_the_poster_stands_in(name, paper, site):
    paper.page.goto(f"{site}/{name}")
    assert all(poster.is_visible() for poster in paper.page.locator(".figure-poster").all())
