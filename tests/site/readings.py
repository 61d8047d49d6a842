"""What a figure shows on a page, as text and as pictures that can be compared."""

from playwright.sync_api import Page

RING = "[aria-roledescription='two-dimensional slider']"


def cards(page: Page) -> dict[str, str]:
    """The figure's numbers, by name."""
    names, values = (page.locator(f".vf-cards {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def said(page: Page) -> str:
    """The sentence that the figure reads out."""
    return page.locator(".vf-readout").inner_text()


def shots(page: Page) -> list[str]:
    """What is drawn on each canvas, once it is."""
    page.wait_for_timeout(150)
    return page.locator(".vf-canvas canvas").evaluate_all("all => all.map(c => c.toDataURL())")
