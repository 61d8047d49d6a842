"""What every interactive figure promises a reader who has nothing but a browser."""

from typing import ClassVar

import pytest

from tests.site.hosts import HOSTS
from tests.site.readings import cards, cards_as_seen, drawn, shots
from vae_course.figures import Figure, fragment, state

WIDTHS = (1200, 700, 360, 320)  # falling: what a wide page made must shrink again

# Every control with its name, and whether it is native or a slider that says its value.
CONTROLS = """root => [...root.querySelectorAll(
    "button, input, select, textarea, a[href], [tabindex], [role=slider], [contenteditable]"
  )].filter((node) => node.checkVisibility() && !node.disabled).map((node) => ({
    name: node.getAttribute("aria-label") ?? node.labels?.[0]?.textContent ?? node.textContent,
    usable: node.matches("button, input, select") || (node.matches("[role=slider][tabindex='0']")
      && node.hasAttribute("aria-valuenow") && node.hasAttribute("aria-valuetext")),
    seen: node === document.activeElement,
  }))"""

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

GROUND = "node => getComputedStyle(node).backgroundColor"

# Where every target lies: left, right, the shorter side.
TARGETS = """root => [...root.querySelectorAll("button, input, [role=slider]")].map((node) => {
  const { left, right, width, height } = node.getBoundingClientRect();
  return [left, right, Math.min(width, height)]; })"""

# Moves the first slider to its other end, or presses the first button where there is none.
STIR = """root => {
  const slider = root.querySelector("input[type=range]:enabled");
  if (!slider) return root.querySelector("button[aria-pressed=false], button").click();
  slider.value = slider.value === slider.max ? slider.min : slider.max;
  slider.dispatchEvent(new Event("input"));
}"""
# What is seen; what is read aloud follows when it likes.
SHOWN = """root => [
  ...[...root.querySelectorAll("p:not(.vf-heard), dd, td, .vf-value")].map((n) => n.textContent),
  ...[...root.querySelectorAll("canvas")].map((c) => c.toDataURL())].join()"""


# Where everything in the figure lies, from the figure's own corner.
LAYOUT = """root => {
  const { left, top } = root.getBoundingClientRect();
  return [...root.querySelectorAll("*")].filter((node) => node.checkVisibility()).map((node) => {
    const { x, y, width, height } = node.getBoundingClientRect();
    const { fontWeight, textAlign, backgroundColor } = getComputedStyle(node);
    return [node.tagName + "." + node.className, [x - left, y - top, width, height].map(Math.round),
      fontWeight, textAlign, backgroundColor].join(" ");
  });
}"""


class FigureContract:
    """A new figure writes ``figure``, a fixture of its module, and ``moves``; the rest it inherits.

    ``moves`` are what Python may set, each under the words that the figure then reads out.
    """

    moves: ClassVar[dict[str, dict[str, object]]]
    answers = 0  # how often it tells the kernel of a move: not of what the kernel said itself

    @pytest.fixture
    def looks(self, figure) -> tuple[Figure, ...]:
        """What must fit and be legible, where that is more than ``figure``."""
        return (figure,)

    def pytest_generate_tests(self, metafunc) -> None:
        if "traits" in metafunc.fixturenames:
            ids = ["+".join(traits) for traits in self.moves.values()]
            metafunc.parametrize("words, traits", self.moves.items(), ids=ids)

    def test_two_mount_from_their_states_their_posters_go_and_each_is_its_own(self, visit, figure):
        saved = state(figure)
        [record] = saved["state"].values()
        page = visit(fragment(saved), fragment({**saved, "state": {"other": record}}))
        assert page.locator(".figure-poster:visible").count() == 0
        ids = page.locator("[id]").evaluate_all("all => all.map((node) => node.id)")
        assert len(set(ids)) == len(ids)
        one, other = page.locator(".vae-figure").all()
        before, still = one.evaluate(SHOWN), other.evaluate(SHOWN)
        assert before == still
        one.evaluate(STIR)
        drawn(page)
        assert one.evaluate(SHOWN) != before and other.evaluate(SHOWN) == still

    def test_every_control_has_a_name_is_reached_by_tab_and_rings_answer_to_arrows(
        self, visit, figure
    ):
        page = visit(figure)
        root = page.locator(".vae-figure")
        controls = root.evaluate(CONTROLS)
        assert all(control["usable"] and control["name"].strip() for control in controls)
        reached = set()
        for _ in controls:
            page.keyboard.press("Tab")
            reached |= {i for i, control in enumerate(root.evaluate(CONTROLS)) if control["seen"]}
        assert len(reached) == len(controls) > 0
        for ring in root.locator("[role=slider]:visible").all():
            before = ring.get_attribute("aria-valuetext")
            ring.focus()
            for key in ("ArrowLeft", "ArrowUp"):
                page.keyboard.press(key)
            assert ring.get_attribute("aria-valuetext") != before

    def test_nothing_overflows_and_targets_are_large_enough(self, visit, looks):
        for figure in looks:
            page = visit(figure)
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                drawn(page)
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                for left, right, least in page.locator(".vae-figure").evaluate(TARGETS):
                    assert left >= 0 and right <= width
                    assert least >= 24  # WCAG 2.2, 2.5.8

    def test_the_rules_of_the_page_around_it_change_nothing(self, visit, looks):
        for figure in looks:
            page = visit(figure)
            root = page.locator(".vae-figure")
            alone, numbers = root.evaluate(LAYOUT), cards(page)
            assert cards_as_seen(root) == numbers
            mount = root.locator("xpath=..")
            for host, (rules, classes) in HOSTS.items():
                style = page.add_style_tag(content=rules)
                mount.evaluate("(node, classes) => { node.className = classes; }", classes)
                drawn(page)
                assert root.evaluate(LAYOUT) == alone, host
                assert cards_as_seen(root) == numbers, host
                style.evaluate("node => node.remove()")

    def test_colours_follow_the_theme_and_all_text_is_legible_in_both(self, visit, looks):
        for figure in looks:
            page = visit(figure)
            root, grounds, drawings = page.locator(".vae-figure"), [], []
            for theme in ("light", "dark"):
                page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
                drawings.append(shots(page))
                assert min(root.evaluate(CONTRASTS)) >= 4.5  # WCAG 2.2, 1.4.3
                ground = [part.evaluate(GROUND) for part in (root, page.locator("body"))]
                assert ground[0] == ground[1]  # the figure lies on the page's own
                grounds.append(ground)
            assert grounds[0] != grounds[1] and drawings[0]
            assert all(a != b for a, b in zip(*drawings, strict=True))

    def test_python_moves_it_and_cleanup_leaves_nothing(self, by_hand, figure, words, traits):
        report = by_hand(
            figure,
            """const before = said();
            for (const [key, value] of Object.entries(a)) model.set(key, value);
            const after = said();
            await rest();
            cleanup();
            const left = Object.keys(heard).length + el.children.length;
            return { before, after, told: model.saved, left };""",
            traits,
        )
        assert words in report["after"] != report["before"]
        assert report["left"] == 0
        assert report["told"] == self.answers
