"""What a figure shows on a page, as text and as pictures that can be compared."""

from playwright.sync_api import Locator, Page

RING = "[aria-roledescription='two-dimensional slider']"


def drawn(page: Page) -> None:
    """Wait until what was asked for is drawn: a figure draws in the next frame."""
    page.evaluate(
        "new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(() => ok())))"
    )


def cards(page: Page | Locator) -> dict[str, str]:
    """The figure's numbers, by name."""
    names, values = (page.locator(f".vf-cards {tag}").all_inner_texts() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def said(page: Page | Locator) -> str:
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


# Where each name and each number of the cards stands: the text, its rectangle, and whether it is a
# name. Rectangles are those of the letters, not of the boxes round them.
_CARDS = """root => [...root.querySelectorAll(".vf-cards :is(dt, dd)")].map((node) => {
  const range = document.createRange(); range.selectNodeContents(node);
  const { left, top, right, bottom } = range.getBoundingClientRect();
  return { text: node.innerText, name: node.tagName === "DT", box: [left, top, right, bottom] };
})"""


def cards_as_seen(figure: Locator) -> dict[str, str]:
    """The figure's numbers by the names that stand right above them, whatever the document says.

    AssertionError where two of the texts overlap, or no name stands above a number.
    """
    texts = figure.evaluate(_CARDS)

    def overlap(a: list[float], b: list[float]) -> bool:
        return min(a[2], b[2]) - max(a[0], b[0]) > 1 and min(a[3], b[3]) - max(a[1], b[1]) > 1

    for i, one in enumerate(texts):
        for other in texts[:i]:
            assert not overlap(one["box"], other["box"]), f"{one['text']} on {other['text']}"
    seen = {}
    for number in (text for text in texts if not text["name"]):
        left, top = number["box"][:2]
        above = [
            name
            for name in texts
            if name["name"] and abs(name["box"][0] - left) < 2 and name["box"][3] <= top + 1
        ]
        assert above, f"no name stands above {number['text']}"
        seen[max(above, key=lambda name: name["box"][3])["text"]] = number["text"]
    return seen
