"""The built site, page by page, as a reader without network or kernel meets it."""

import re

import pytest

from tests.site.site_checks import HTML, inaccessible, load, overflow, pages, unlabelled_images

OWN_BYTES = 500_000  # our own scripts and data on one page


@pytest.mark.parametrize("name", pages())
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_is_quiet_offline_accessible_and_described(name, scheme, browser, site):
    page, wrong = load(browser, f"{site}/{name}", color_scheme=scheme)
    try:
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert wrong + inaccessible(page) + unlabelled_images(page) == []
    finally:
        page.close()


@pytest.mark.parametrize("name", pages())
def test_a_page_works_from_a_folder_and_fits_a_phone(name, browser):
    address = (HTML / name).as_uri()
    page, wrong = load(browser, address, viewport={"width": 360, "height": 740})
    try:
        assert wrong == []
        assert overflow(page) <= 0, "the page scrolls sideways on a phone"
    finally:
        page.close()


@pytest.mark.parametrize("name", pages())
def test_a_page_carries_little_of_our_own(name):
    text = (HTML / name).read_text()
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", text, flags=re.DOTALL)
    static = sum(p.stat().st_size for p in (HTML / "_static").glob("*.js") if p.name in OURS)
    assert sum(len(s.encode()) for s in scripts) + static <= OWN_BYTES


OURS = {"a11y.js", "widgets-static.js"}


def test_an_icon_of_the_theme_switch_that_is_drawn_late_is_hushed_as_well(browser, site):
    page, _ = load(browser, f"{site}/book/index.html")
    try:
        late = page.evaluate("""async () => {
          const button = document.querySelector(".theme-switch-button");
          button.innerHTML = '<svg aria-labelledby="t"><title id="t">Light</title></svg>';
          await new Promise(requestAnimationFrame);
          return [button.textContent, button.firstChild.getAttribute("aria-hidden")];
        }""")
        assert late == ["", "true"]
    finally:
        page.close()


@pytest.mark.parametrize("name", [n for n in pages() if "-view+json" in (HTML / n).read_text()])
def test_every_figure_of_a_page_is_mounted_and_its_poster_gone(name, browser, site):
    page, wrong = load(browser, f"{site}/{name}")
    try:
        views = page.locator(
            'script[type*="widget-view+json"], script[type="application/x-mounted"]'
        )
        page.wait_for_function(
            "n => document.querySelectorAll('.anywidget-static canvas').length >= n",
            arg=views.count(),
        )
        for poster in page.locator(".figure-poster").all():
            assert not poster.is_visible()
        assert wrong == []
    finally:
        page.close()


@pytest.mark.parametrize("name", [n for n in pages() if "figure-poster" in (HTML / n).read_text()])
def test_without_javascript_the_poster_stands_in(name, browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/{name}")
    assert all(poster.is_visible() for poster in page.locator(".figure-poster").all())
    context.close()


@pytest.mark.parametrize("name", pages())
def test_formulas_are_typeset(name, browser, site):
    if 'class="math' not in (HTML / name).read_text():
        pytest.skip("no formula on this page")
    page, _ = load(browser, f"{site}/{name}")
    assert page.locator("mjx-container").count() > 0
    assert page.locator("mjx-merror").count() == 0
    page.close()
