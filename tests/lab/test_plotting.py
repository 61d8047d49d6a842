"""Pictures: legible on both themes, with alt text, reproducible, and drawn to scale."""

import json
import xml.etree.ElementTree as ElementTree

import matplotlib.colors
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vae_course.lab import plotting


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    c = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_formula_gives_the_standards_own_examples():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("color", plotting.PALETTE)
@pytest.mark.parametrize("paper", ["#ffffff", "#14181e"])  # the theme's light and dark pages
def test_every_data_colour_is_legible_on_both_themes(color, paper):
    assert contrast(color, paper) >= 3


def drawing(alt: str = "a line") -> plotting.Picture:
    drawn, axes = plotting.figure(3, 2)
    axes[0].plot([0, 1], [0, 1], label="x & y")
    axes[0].legend()
    return plotting.picture(drawn, alt)


def test_a_picture_is_well_formed_and_carries_its_alt_text():
    alt = 'codes with "quotes", <angles> & ampersands'
    root = ElementTree.fromstring(drawing(alt).svg)
    assert root.get("role") == "img" and root.get("aria-label") == alt


def test_the_ink_follows_the_page():
    svg = drawing().svg
    assert "currentColor" in svg
    assert plotting._INK not in svg and "#ffffff" not in svg.lower()


def test_pictures_are_reproducible_and_share_no_id():
    def ids(svg: str) -> set[str]:
        return {e.get("id") for e in ElementTree.fromstring(svg).iter() if e.get("id")}

    first, again, other = drawing("one"), drawing("one"), drawing("two")
    assert first == again
    assert ids(first.svg) and not ids(first.svg) & ids(other.svg)
    links = {
        value[1:]
        for e in ElementTree.fromstring(first.svg).iter()
        for name, value in e.items()
        if name.endswith("href") and value.startswith("#")
    }
    assert links and links <= ids(first.svg)


@pytest.mark.parametrize("alt", ["", "  "])
def test_a_figure_without_alt_text_is_refused(alt):
    with pytest.raises(ValueError, match="alt"):
        drawing(alt)


def test_a_saved_picture_is_on_record_for_the_book(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_RESULTS", str(tmp_path))
    made = drawing().save("line")
    content = json.loads((tmp_path / "figures" / "line.json").read_text())
    assert (content["svg"], content["alt"]) == (made.svg, made.alt)


def test_a_ball_is_drawn_with_its_radii_in_data_units():
    drawn, axes = plotting.figure(3, 3)
    mu, sigma = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.5, 0.25]])
    plotting.balls(axes[0], mu, sigma, torch.tensor([7]), radii=2.0)
    FigureCanvasAgg(drawn).draw()
    ellipse = axes[0].collections[0]
    outline = ellipse.get_paths()[0].transformed(
        matplotlib.transforms.Affine2D(ellipse.get_transforms()[0]) + ellipse.get_transform()
    )
    box = outline.get_extents()  # in pixels
    pixels = axes[0].transData.transform([[0, 0], [1, 1]])
    unit = pixels[1] - pixels[0]
    assert box.width / unit[0] == pytest.approx(2 * 2 * 0.5, rel=1e-2)
    assert box.height / unit[1] == pytest.approx(2 * 2 * 0.25, rel=1e-2)
    assert [t.get_text() for t in axes[0].texts] == ["7"]


def test_images_stand_row_by_row():
    _, axes = plotting.figure(3, 3)
    grid = torch.arange(3.0)[:, None, None].expand(3, 2, 2)
    plotting.images(axes[0], grid, columns=2)
    shown = np.asarray(axes[0].images[0].get_array())
    assert shown.shape == (5, 5)
    assert (shown[:2, :2] == 0).all() and (shown[:2, 3:] == 1).all() and (shown[3:, :2] == 2).all()


def test_the_latent_grid_has_z1_to_the_right_and_z2_upwards():
    _, axes = plotting.figure(3, 3)
    z1 = lambda z: z[:, :1, None].expand(-1, 1, 1)  # noqa: E731
    z2 = lambda z: z[:, 1:, None].expand(-1, 1, 1)  # noqa: E731
    for decode, expected in ((z1, [[-3, 3], [-3, 3]]), (z2, [[3, 3], [-3, -3]])):
        axes[0].clear()
        plotting.latent_grid(axes[0], decode, steps=2)
        assert np.asarray(axes[0].images[0].get_array())[::2, ::2].tolist() == expected
