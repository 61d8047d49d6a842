"""What a figure shows on a page, as text and as pictures that can be compared."""

from playwright.sync_api import Locator, Page

RING = "[aria-roledescription='two-dimensional slider']"


def drawn(page: Page) -> None:
    """Wait until what was asked for is drawn: a figure draws in the next frame."""
    page.evaluate(
        "new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(() => ok())))"
    )


def cards(page: Page) -> dict[str, str]:
    """The figure's numbers, by name."""
    names, values = (page.locator(f".vf-cards {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def said(page: Page) -> str:
    """The sentence that the figure reads out."""
    return page.locator(".vf-readout").inner_text()


def heard(page: Page, text: str) -> None:
    """Wait until the figure has read a text aloud: it does once the hand rests."""
    page.locator(".vf-heard", has_text=text).first.wait_for(state="attached")


def shot(canvas: Locator) -> str:
    """What is drawn on the first of these canvases, once it is."""
    drawn(canvas.page)
    return canvas.first.evaluate("c => c.toDataURL()")


def shots(page: Page, canvases: str = ".vf-canvas canvas") -> list[str]:
    """What is drawn on each canvas, once it is."""
    drawn(page)
    return page.locator(canvases).evaluate_all("all => all.map(c => c.toDataURL())")


def drag(page: Page, start: tuple[float, float], *ways: tuple[float, float]) -> None:
    """Press the button at one place and let it go at another."""
    page.mouse.move(*start)
    page.mouse.down()
    for way in ways:
        page.mouse.move(*way, steps=3)
    page.mouse.up()


def where(target: Locator) -> tuple[float, float]:
    """The middle of a ring, a grip or a canvas on the screen."""
    box = target.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
