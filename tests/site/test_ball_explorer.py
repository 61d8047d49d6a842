"""The ball explorer in the browser: the nearest ball, the point, the keys, with no network."""

import pytest
import scipy.stats
import torch
from torch import nn

from tests.site.contract import FigureContract
from tests.site.decoders import trained
from tests.site.readings import drag, heard, said, shot
from vae_course.figures import BallExplorer, Shell, TwoBalls

BETAS = [0.0, 0.1, 1.0]


@pytest.fixture(scope="module")
def figure() -> BallExplorer:
    """Four balls at (±1, ±1): points at beta = 0, apart at 0.1, over their neighbours at 1."""
    torch.manual_seed(0)
    mu = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    sigma = torch.tensor([0.0, 0.2, 0.9])[:, None, None].expand(3, 4, 2)
    wider = torch.tensor([1.5, 1.0, 1.0])[:, None, None]  # as codes are that no KL pulls in
    decoder = trained(nn.SiLU)
    return BallExplorer(
        betas=BETAS,
        mu=wider * mu,
        sigma=sigma,
        labels=torch.arange(4),
        images=decoder(mu).detach().clamp(0, 1).reshape(4, 8, 8),
        decoders=[decoder] * 3,
        readouts={"gap": [9.0, 1.0, 0.125]},
    )


class TestBallExplorer(FigureContract):
    moves = {"At the centre of the ball of a 3": {"selected": 3}}
    answers = 1  # where the point has gone with its ball

    @pytest.fixture
    def looks(self, figure) -> tuple[BallExplorer, ...]:
        """Ten classes are the most that there are."""
        ten = BallExplorer(
            betas=[0.1],
            mu=torch.randn(1, 10, 2, generator=torch.Generator().manual_seed(0)),
            sigma=torch.full((1, 10, 2), 0.2),
            labels=torch.arange(10),
            images=torch.zeros(10, 8, 8),
            decoders=[trained(nn.SiLU)],
        )
        return figure, ten


def test_the_nearest_ball_is_nearest_in_its_own_sigmas(javascript):
    g = torch.Generator().manual_seed(0)
    mu, z = torch.randn(40, 2, generator=g), torch.randn(100, 2, generator=g)
    sigma = 0.1 + torch.rand(40, 2, generator=g)
    body = "return a.z.map((z) => m.nearest(a.mu, a.sigma, z))"
    given = {"mu": mu.flatten().tolist(), "sigma": sigma.flatten().tolist(), "z": z.tolist()}
    got = javascript(BallExplorer, body, given)
    mahalanobis = ((z[:, None] - mu) / sigma).norm(dim=-1)
    assert [g["index"] for g in got] == mahalanobis.argmin(1).tolist()
    radii = mahalanobis.amin(1) / 2**0.5
    assert [g["distance"] for g in got] == pytest.approx(radii.tolist(), rel=1e-5)
    reach = scipy.stats.chi2(2).ppf(0.95) ** 0.5
    assert [g["reached"] for g in got] == (mahalanobis <= reach).sum(1).tolist()


def test_a_later_figures_styles_leave_an_earlier_one_alone(visit, figure):
    boxes = """root => [...root.querySelectorAll("*")].map(e => {
      const { left, top, width, height } = e.getBoundingClientRect();
      return [left, top, width, height]; })"""
    alone, among = (
        visit(figure, *others).locator(".vf-balls").evaluate(boxes)
        for others in ((), (Shell(), TwoBalls()))
    )
    assert alone == among


def place(page: object, x: float, y: float, limit: float = 3.5) -> tuple[float, float]:
    """Where the point (x, y) of the latent plane lies on the screen."""
    box = page.locator(".vf-plane canvas").bounding_box()
    across, down = (x + limit) / (2 * limit), (limit - y) / (2 * limit)
    left, top = box["x"] + 30, box["y"] + 6
    return left + across * (box["width"] - 36), top + down * (box["height"] - 32)


PLANE = ".vf-plane canvas"
THUMB = ".vf-thumbs canvas"
DECODED = ".vf-pair figure:nth-child(2) canvas"


def test_the_beta_slider_changes_balls_and_readings(visit, figure):
    page = visit(figure, motion="no-preference")
    assert "β = 0.1" in page.locator(".vae-figure").inner_text()
    assert "At the centre of the ball of a 0; no other ball" in said(page)
    plane = shot(page.locator(PLANE))
    beta = page.get_by_label("β, the weight of the KL term")
    beta.focus()
    page.keyboard.press("ArrowRight")
    assert beta.get_attribute("aria-valuetext") == "β = 1"
    assert "3 balls reach here" in said(page)
    cards = page.locator(".vf-cards").inner_text()
    assert "0.125" in cards and figure.spec["readouts"]["rate (nats)"][2] in cards
    assert shot(page.locator(PLANE)) != plane


def test_dragging_the_point_decodes_and_says_when_it_leaves_every_ball(visit, figure):
    page = visit(figure)
    before = shot(page.locator(DECODED))
    drag(page, *(place(page, *z) for z in ((1.0, 1.0), (0.5, 0.5), (0.0, 1.0))))
    # Halfway between two balls of sigma 0.2: 5 sigma, 3.5 radii from either.
    assert "Outside every ball" in said(page) and "3.5 radii" in said(page)
    assert shot(page.locator(DECODED)) != before
    heard(page, "Outside every ball")


def test_a_click_near_a_centre_selects_the_ball_elsewhere_it_moves_the_point(visit, figure):
    page = visit(figure)
    page.mouse.click(*place(page, -1.03, -0.97))
    assert "At the centre of the ball of a 2" in said(page)
    assert "a 2" in page.locator("figcaption").first.inner_text()
    original = shot(page.locator(".vf-pair canvas"))
    page.mouse.click(*place(page, 0.0, 0.0))
    assert "Outside every ball" in said(page)
    assert shot(page.locator(".vf-pair canvas")) == original


def test_keys_move_the_point_and_choose_the_ball(visit, figure):
    page = visit(figure)
    point = page.get_by_role("slider", name="Point on the latent plane")
    point.focus()
    assert point.get_attribute("aria-valuetext") == "z = (1.00, 1.00)"
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert point.get_attribute("aria-valuetext") == "z = (0.65, 0.94)"
    page.get_by_label("z₂").fill("-1")
    assert point.get_attribute("aria-valuetext") == "z = (0.65, −1.00)"
    page.get_by_label("Ball", exact=True).focus()
    page.keyboard.press("End")
    assert "At the centre of the ball of a 3" in said(page)


def test_a_ball_resampled_draws_other_images_and_beta_keeps_its_noise(visit, figure):
    page = visit(figure)
    first = shot(page.locator(THUMB))
    page.get_by_role("button", name="Resample inside this ball").click()
    second = shot(page.locator(THUMB))
    assert first != second
    beta = page.get_by_label("β, the weight of the KL term")
    beta.fill("2")
    assert shot(page.locator(THUMB)) != second
    beta.fill("1")
    assert shot(page.locator(THUMB)) == second


def test_an_autoencoders_code_is_a_point_and_all_beside_it_is_outside(visit, figure):
    page = visit(figure)
    page.get_by_label("β, the weight of the KL term").fill("0")
    assert "∞" in page.locator(".vf-cards").inner_text()
    assert "At the centre of the ball of a 0; no other ball" in said(page)
    alike = "canvases => new Set(canvases.map((c) => c.toDataURL())).size"
    assert page.locator(".vf-thumbs canvas").evaluate_all(alike) == 1
    page.get_by_label("z₁").fill("1.1")
    assert "Outside every ball" in said(page) and "of a 0, is more than 99 radii" in said(page)


def test_a_digit_is_highlighted_by_its_button(visit, figure):
    page = visit(figure)
    button = page.get_by_role("button", name="Highlight digit 1")
    before = shot(page.locator(PLANE))
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert shot(page.locator(PLANE)) != before
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_a_finger_scrolls_on_the_plane_and_drags_on_the_point(visit, figure):
    page = visit(figure, width=360, has_touch=True)
    touch = "e => getComputedStyle(e).touchAction"
    assert page.locator(".vf-plane canvas").evaluate(touch) == "manipulation"
    assert page.locator("div[role=slider]").evaluate(touch) == "none"
    page.touchscreen.tap(*place(page, -1.0, 1.0))
    assert "At the centre of the ball of a 1" in said(page)


def test_without_motion_the_balls_are_there_at_once(visit, figure):
    page = visit(figure)
    page.get_by_label("β, the weight of the KL term").fill("2")
    at_once = shot(page.locator(PLANE))
    page.wait_for_timeout(500)  # nothing may happen: no condition to wait for
    assert shot(page.locator(PLANE)) == at_once


def test_python_moves_the_point_and_hears_of_the_reader(by_hand, figure):
    text, at, z, selected, later = by_hand(
        figure,
        """await rest();
        model.set("selected", 3); await rest();
        const text = said(), at = state.z;
        model.set("z", [0, 0]); await rest();
        return [text, at, state.z, state.selected, said()];""",
    )
    assert "of a 3" in text and at == [1, -1]
    assert (z, selected) == ([0, 0], 3) and "Outside" in later
