"""Interactive figures, the browser side: each runs from a file, with no kernel and no network."""

import functools
import json

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from tests.site.site_checks import LOADER
from vae_course.figures import BallExplorer, Shell, TwoBalls, export_decoder, fragment, state

BETAS = [0.0, 0.1, 1.0]


@functools.cache
def trained(activation: type[nn.Module], seed: int = 0) -> nn.Sequential:
    """A 2-64-128-64 decoder after 200 steps towards real digits laid out on the plane."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.tensor(digits.images.reshape(-1, 64) / 16, dtype=torch.float32)
    torch.manual_seed(seed)
    angle = torch.tensor(digits.target) * 0.628
    z = 2 * torch.stack([angle.cos(), angle.sin()], 1) + 0.5 * torch.randn(len(angle), 2)
    layers = [nn.Linear(2, 64), activation(), nn.Linear(64, 128), activation()]
    decoder = nn.Sequential(*layers, nn.Linear(128, 64))
    optimizer = torch.optim.Adam(decoder.parameters(), lr=4e-3)
    for _ in range(200):
        optimizer.zero_grad()
        (decoder(z) - images).square().sum(1).mean().backward()
        optimizer.step()
    return decoder


@pytest.fixture(scope="module")
def explorer() -> BallExplorer:
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


# ---------------------------------------------------------------------------- the numbers
@pytest.mark.parametrize("activation", [nn.SiLU, nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("dtype, bound", [("float16", 4e-3), ("int8", 1e-2)])
def test_the_browser_decodes_what_torch_decodes(javascript, dtype, bound, activation):
    decoder = trained(activation)
    if activation is nn.Tanh:
        decoder = nn.Sequential(decoder, nn.Sigmoid())
    spec, data = export_decoder(decoder, dtype)
    g = torch.Generator().manual_seed(5)
    z = nn.functional.normalize(torch.randn(500, 2, generator=g), dim=1)
    z = 3 * z * torch.rand(500, 1, generator=g).sqrt()
    # One byte in front: a DataView in Jupyter need not start where its buffer does.
    pixels = javascript(
        BallExplorer,
        """const u = Uint8Array.from([7, ...a.data]), view = new DataView(u.buffer, 1);
        const layers = m.readDecoder(a.spec, view);
        return a.z.map((z) => [...m.decode(layers, z)]);""",
        {"spec": spec, "data": list(data), "z": z.tolist()},
    )
    assert np.abs(np.array(pixels) - decoder(z).detach().numpy()).max() <= bound


def test_every_float16_is_read_exactly(javascript):
    got = javascript(Shell, "return Array.from({length: 65536}, (_, h) => String(m.half(h)))")
    expected = np.arange(65536, dtype=np.uint16).view(np.float16).astype(np.float64)
    spelled = [float(v.replace("Infinity", "inf")) for v in got]
    assert np.array_equal(np.array(spelled), expected, equal_nan=True)


@pytest.mark.parametrize("kind", ["DataView", "ArrayBuffer", "Uint8Array"])
def test_binary_data_may_come_in_any_wrapper(javascript, kind):
    body = """const u = Uint8Array.from([1, 2, 3]);
    const kinds = {DataView: new DataView(u.buffer), ArrayBuffer: u.buffer, Uint8Array: u};
    return [...m.bytes(kinds[a])];"""
    assert javascript(Shell, body, kind) == [1, 2, 3]


def test_the_browsers_normals_are_normal_and_follow_the_seed(javascript):
    body = "const n = m.normals(a); return Array.from({length: 4000}, () => n())"
    draws = javascript(Shell, body, 3)
    assert scipy.stats.kstest(draws, "norm").pvalue > 0.01
    assert draws == javascript(Shell, body, 3) != javascript(Shell, body, 4)


def test_the_shells_density_and_shares_are_chi(javascript):
    cases = [(d, r) for d in Shell().dimensions for r in (0.05, 0.5, 0.9, 1.0, 1.1, 1.7)]
    got = javascript(Shell, "return a.map(([d, r]) => [m.density(d, r), m.share(d, r)])", cases)
    for (d, r), (density, share) in zip(cases, got, strict=True):
        law = scipy.stats.chi(d, scale=d**-0.5)
        assert density == pytest.approx(law.pdf(r), rel=1e-9, abs=1e-300)
        assert share == pytest.approx(law.cdf(r), rel=1e-9, abs=1e-300)


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


# ---------------------------------------------------------------------------- the loader
def test_figures_mount_from_several_states_and_their_posters_go(visit, explorer):
    page = visit(explorer, Shell(), Shell())
    assert page.locator(".vae-figure").count() == 3
    assert page.locator(".figure-poster:visible").count() == 0


def test_a_broken_figure_says_so_and_keeps_its_poster(visit):
    saved = state(Shell())
    [record] = saved["state"].values()
    record["state"]["_esm"] = "export default { render() { throw new Error('broken') } }"
    page = visit(fragment(saved), Shell(8), errors=1)
    assert page.locator(".figure-poster:visible").count() == 1
    assert page.get_by_text("did not load").is_visible()
    assert page.locator(".vae-figure").count() == 1  # the next one is none the worse


def test_a_widget_that_needs_a_kernel_says_so(visit):
    slider = {"model_name": "IntSliderModel", "model_module": "@jupyter-widgets/controls"}
    page = visit(fragment({"state": {"abc": {**slider, "state": {}}}}))
    assert page.get_by_text("needs a running kernel").is_visible()
    assert page.locator(".figure-poster:visible").count() == 1


def test_a_second_loader_mounts_nothing_twice(visit):
    second = f'<script defer src="{LOADER.as_uri()}"></script>'
    page = visit(Shell(), second)
    assert page.locator(".vae-figure").count() == 1


def test_a_later_figures_styles_leave_an_earlier_one_alone(visit, explorer):
    boxes = """root => [...root.querySelectorAll("*")].map(e => {
      const { left, top, width, height } = e.getBoundingClientRect();
      return [left, top, width, height]; })"""
    alone, among = (
        visit(explorer, *others).locator(".vf-balls").evaluate(boxes)
        for others in ((), (Shell(), TwoBalls()))
    )
    assert alone == among


# ---------------------------------------------------------------------------- the ball explorer
def seen(page: object) -> str:
    return page.locator(".vf-balls .vf-readout").inner_text()


def image(page: object, selector: str) -> str:
    return page.locator(selector).first.evaluate("c => c.toDataURL()")


def place(page: object, x: float, y: float, limit: float = 3.5) -> tuple[float, float]:
    """Where the point (x, y) of the latent plane lies on the screen."""
    box = page.locator(".vf-balls .vf-plane canvas").bounding_box()
    across, down = (x + limit) / (2 * limit), (limit - y) / (2 * limit)
    left, top = box["x"] + 30, box["y"] + 6
    return left + across * (box["width"] - 36), top + down * (box["height"] - 32)


POINT = "[role=slider]"
DECODED = ".vf-pair figure:nth-child(2) canvas"


def test_the_beta_slider_changes_balls_and_readings(visit, explorer):
    page = visit(explorer, reduced_motion="no-preference")
    assert "β = 0.1" in page.locator(".vf-balls").inner_text()
    assert "At the centre of the ball of a 0; no other ball" in seen(page)
    plane = image(page, ".vf-plane canvas")
    beta = page.get_by_label("β, the weight of the KL term")
    beta.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    assert beta.get_attribute("aria-valuetext") == "β = 1"
    assert "3 balls reach here" in seen(page)
    cards = page.locator(".vf-cards").inner_text()
    assert "0.125" in cards and explorer.spec["readouts"]["rate (nats)"][2] in cards
    assert image(page, ".vf-plane canvas") != plane


def test_dragging_the_point_decodes_and_says_when_it_leaves_every_ball(visit, explorer):
    page = visit(explorer)
    before = image(page, DECODED)
    page.mouse.move(*place(page, 1.0, 1.0))
    page.mouse.down()
    page.mouse.move(*place(page, 0.5, 0.5), steps=4)
    page.mouse.move(*place(page, 0.0, 1.0), steps=4)
    page.mouse.up()
    # Halfway between two balls of sigma 0.2: 5 sigma, 3.5 radii from either.
    assert "Outside every ball" in seen(page) and "3.5 radii" in seen(page)
    assert image(page, DECODED) != before
    page.wait_for_timeout(700)
    assert "Outside" in page.locator(".vf-heard").first.inner_text()  # once the hand rests


def test_a_click_near_a_centre_selects_the_ball_elsewhere_it_moves_the_point(visit, explorer):
    page = visit(explorer)
    page.mouse.click(*place(page, -1.03, -0.97))
    assert "At the centre of the ball of a 2" in seen(page)
    assert "a 2" in page.locator("figcaption").first.inner_text()
    original = image(page, ".vf-pair canvas")
    page.mouse.click(*place(page, 0.0, 0.0))
    assert "Outside every ball" in seen(page)
    assert image(page, ".vf-pair canvas") == original


def test_keys_move_the_point_and_choose_the_ball(visit, explorer):
    page = visit(explorer)
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
    assert "At the centre of the ball of a 3" in seen(page)


def test_a_ball_resampled_draws_other_images_and_beta_keeps_its_noise(visit, explorer):
    page = visit(explorer)
    first = image(page, ".vf-thumbs canvas")
    page.get_by_role("button", name="Resample inside this ball").click()
    second = image(page, ".vf-thumbs canvas")
    assert first != second
    beta = page.get_by_label("β, the weight of the KL term")
    beta.fill("2")
    assert image(page, ".vf-thumbs canvas") != second
    beta.fill("1")
    assert image(page, ".vf-thumbs canvas") == second


def test_an_autoencoders_code_is_a_point_and_all_beside_it_is_outside(visit, explorer):
    page = visit(explorer)
    page.get_by_label("β, the weight of the KL term").fill("0")
    assert "∞" in page.locator(".vf-cards").inner_text()
    assert "At the centre of the ball of a 0; no other ball" in seen(page)
    alike = "canvases => new Set(canvases.map((c) => c.toDataURL())).size"
    assert page.locator(".vf-thumbs canvas").evaluate_all(alike) == 1
    page.get_by_label("z₁").fill("1.1")
    assert "Outside every ball" in seen(page) and "of a 0, is more than 99 radii" in seen(page)


def test_a_digit_is_highlighted_by_its_button(visit, explorer):
    page = visit(explorer)
    button = page.get_by_role("button", name="Highlight digit 1")
    before = image(page, ".vf-plane canvas")
    button.click()
    page.wait_for_timeout(100)
    assert button.get_attribute("aria-pressed") == "true"
    assert image(page, ".vf-plane canvas") != before
    button.click()
    assert button.get_attribute("aria-pressed") == "false"


def test_a_finger_scrolls_on_the_plane_and_drags_on_the_point(visit, explorer):
    page = visit(explorer, width=360, has_touch=True)
    touch = "e => getComputedStyle(e).touchAction"
    assert page.locator(".vf-plane canvas").evaluate(touch) == "manipulation"
    assert page.locator(f".vf-balls div{POINT}").evaluate(touch) == "none"
    page.touchscreen.tap(*place(page, -1.0, 1.0))
    assert "At the centre of the ball of a 1" in seen(page)


# ---------------------------------------------------------------------------- both
def test_the_shells_slider_moves_disc_and_readings(visit):
    page = visit(Shell())
    text = page.locator(".vf-readout")
    assert "In 2 dimensions, 14.7 %" in text.inner_text() and "22.1 %" in text.inner_text()
    disc = image(page, ".vf-side canvas")
    page.get_by_label("Dimension d").fill("9")
    page.wait_for_timeout(100)
    assert "In 32 dimensions, 57.5 %" in text.inner_text()
    assert "4.9 in a million" in text.inner_text()
    assert image(page, ".vf-side canvas") != disc


def test_colours_follow_the_theme_while_the_page_is_open(visit, explorer):
    page = visit(explorer, Shell())
    corner = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].join()"
    chart = page.locator(".vf-shell canvas").first
    light = chart.evaluate(corner)
    ground = "e => getComputedStyle(e).backgroundColor"
    assert page.locator(".vf-shell").evaluate(ground) == "rgb(255, 255, 255)"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_timeout(100)
    assert page.locator(".vf-shell").evaluate(ground) == "rgb(18, 18, 18)"
    assert chart.evaluate(corner) != light


@pytest.mark.parametrize("width", [320, 360, 700, 1200])
def test_nothing_overflows_and_every_target_is_large_enough(visit, width):
    ten = BallExplorer(
        betas=[0.1],
        mu=torch.randn(1, 10, 2, generator=torch.Generator().manual_seed(0)),
        sigma=torch.full((1, 10, 2), 0.2),
        labels=torch.arange(10),
        images=torch.zeros(10, 8, 8),
        decoders=[trained(nn.SiLU)],
    )
    page = visit(ten, Shell(), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for target in page.locator("button, input, [role=slider]").all():
        box = target.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert min(box["width"], box["height"]) >= 24  # WCAG 2.2, 2.5.8


def test_without_motion_the_balls_are_there_at_once(visit, explorer):
    page = visit(explorer)
    beta = page.get_by_label("β, the weight of the KL term")
    frame = "new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(ok)))"
    beta.fill("2")
    page.evaluate(frame)
    at_once = image(page, ".vf-plane canvas")
    page.wait_for_timeout(500)
    assert image(page, ".vf-plane canvas") == at_once


def test_a_cleaned_up_figure_leaves_nothing_and_hears_nothing(visit, explorer):
    [record] = state(explorer)["state"].values()
    page = visit()
    left = page.evaluate(
        """async ({ state, buffers }) => {
          for (const { path: [key], data } of buffers)
            state[key] = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const heard = new Set();
          const model = { get: (k) => state[k], set() {}, save_changes() {},
            on: (name) => heard.add(name), off: (name) => heard.delete(name) };
          const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
          const el = document.body.appendChild(document.createElement("div"));
          const cleanup = (await import(url)).default.render({ model, el });
          const before = heard.size, shown = el.children.length;
          cleanup();
          return [before, shown, heard.size, el.children.length];
        }""",
        record,
    )
    assert left == [3, 1, 0, 0]


def test_python_moves_the_figure_and_hears_of_the_reader(visit, explorer):
    [record] = state(explorer)["state"].values()
    page = visit()
    told = page.evaluate(
        """async ({ state, buffers }) => {
          for (const { path: [key], data } of buffers)
            state[key] = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)).buffer;
          const heard = {}; let saved = 0;
          const model = { get: (k) => state[k], save_changes: () => { saved++; },
            set(k, v) { state[k] = v; heard["change:" + k]?.(); },
            on: (name, f) => { heard[name] = f; }, off() {} };
          const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
          const el = document.body.appendChild(document.createElement("div"));
          (await import(url)).default.render({ model, el });
          const rest = () => new Promise((ok) => setTimeout(ok, 400));
          await rest();
          model.set("selected", 3); await rest();
          const text = el.querySelector(".vf-readout").textContent, at = state.z;
          model.set("z", [0, 0]); await rest();
          return [text, at, state.z, state.selected, el.querySelector(".vf-readout").textContent];
        }""",
        record,
    )
    assert "of a 3" in told[0] and told[1] == [1, -1]
    assert told[2:4] == [[0, 0], 3] and "Outside" in told[4]


def test_a_figure_is_at_most_30_kB_of_code(explorer):
    for figure in (explorer, Shell()):
        assert len(json.dumps(figure._esm + figure._css)) <= 35_000
