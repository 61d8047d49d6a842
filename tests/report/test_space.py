"""Codes that are images: do they move with the image, and how fine are they?"""

import math

import pytest
import torch
from torch.nn.functional import conv2d, conv_transpose2d, interpolate, pad

from tests.report.bases import base
from tests.spatial_world import SpatialLinearGaussian
from vae_course.report.measures import MEASURES, Unmeasured
from vae_course.report.plan import Sizes
from vae_course.report.space import shift, spectrum
from vae_course.report.study import Study

WORLD = SpatialLinearGaussian()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


KERNEL = normal(2, 1, 4, 4, seed=7)


def strided(x, circular):
    """A convolution of stride 2 that sees one pixel more on either side."""
    if circular:
        return conv2d(pad(x, (1, 1, 1, 1), mode="circular"), KERNEL, stride=2)
    return conv2d(x, KERNEL, stride=2, padding=1)


def study(encode, images, seed=0):
    def decode(z):
        return conv_transpose2d(z, KERNEL, stride=2, padding=1)

    sizes = Sizes(images=len(images))
    return Study(encode, decode, images, sizes=sizes, value_range=(-9, 9), seed=seed)


def test_the_code_of_a_convolution_that_goes_round_moves_exactly():
    found = shift(study(lambda x: strided(x, circular=True), normal(40, 1, 12, 12)))["shift"]
    assert found.value.value < 1e-25
    assert found.null == 1


def test_padding_is_seen_at_the_edges_only():
    """Inner places have none of it: 4 of 8 are compared, and this one sees a pixel beyond."""
    assert (
        shift(study(lambda x: strided(x, circular=False), normal(40, 1, 16, 16)))[
            "shift"
        ].value.value
        < 1e-25
    )


def test_places_in_disorder_are_unrelated():
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))

    def encode(x):
        return strided(x, circular=True).flatten(2)[..., order].unflatten(2, (8, 8))

    found = shift(study(encode, normal(200, 1, 16, 16)))["shift"].value
    assert abs(found.value - 1) < 0.1
    assert MEASURES["shift"].condition.verdict(found.value) == "fail"


def test_height_and_width_swapped_do_not_move_together():
    turned = study(lambda x: strided(x, circular=True).mT, normal(200, 1, 16, 16))
    found = shift(turned)["shift"].value
    assert MEASURES["shift"].condition.verdict(found.value) == "fail"


def test_a_shift_is_by_one_place_and_not_by_one_pixel():
    """An encoder that looks at every fourth pixel knows of nothing between them."""
    found = shift(study(lambda x: x[..., ::4, ::4], normal(50, 1, 32, 16)))["shift"]
    assert found.value.value == 0


def test_flips_of_the_oracle_and_of_a_symmetric_encoder():
    found = shift(study(WORLD.encode, WORLD.images(300, 2)))
    flip = found["flip"].value
    assert abs(flip.value - WORLD.flip) < 4 * flip.error < 0.1
    assert found["shift"].value.value < 1e-20
    left = shift(study(lambda x: x[..., ::2], normal(90, 1, 16, 16)))
    assert abs(left["flip"].value.value - 1) < 0.1  # of two columns it takes the left one
    even = shift(study(lambda x: x[..., ::2] + x[..., 1::2], normal(9, 1, 8, 16)))
    assert even["flip"].value.value == 0


def test_the_denominator_is_the_mean_over_pairs_of_different_images():
    x = normal(6, 1, 8, 8)
    one = study(lambda x: strided(x, circular=True), x)
    mu, turned = one.mu.flip(-1), one.mean_code(x.flip(-1))
    pairs = [(turned[i] - mu[j]).square().sum() for i in range(6) for j in range(6) if i != j]
    own = (turned - mu).square().flatten(1).sum(1).mean()
    found = shift(one)["flip"]
    assert found.value.value == pytest.approx((own / (sum(pairs) / 30)).item())
    assert found.each.mean().item() == pytest.approx(found.value.value)


def test_what_cannot_move_is_said():
    x = normal(20, 1, 8, 8)
    for encode, images, why in (
        (lambda x: x.flatten(1), x, "flat"),
        (lambda x: x[..., :3, :3], x, "no multiples"),
        (lambda x: x[..., None], x, "which is which"),
        (lambda x: torch.ones_like(x), x, "same code"),
    ):
        with pytest.raises(Unmeasured, match=why):
            shift(study(encode, images))
    small = shift(study(lambda x: x[..., ::4, ::4], x))
    assert isinstance(small["shift"], Unmeasured)
    assert small["flip"].value.value > 0


@pytest.mark.parametrize("places", [(4, 4), (7, 7), (8, 8), (5, 12)])
def test_white_noise_has_the_null_that_is_counted(places):
    images = normal(400, 2, *places)
    found = spectrum(study(lambda x: x, images))["high_frequencies"]
    count = sum(
        math.hypot(min(i, places[0] - i) / places[0], min(j, places[1] - j) / places[1]) > 0.25
        for i in range(places[0])
        for j in range(places[1])
    )
    assert found.null == count / math.prod(places)
    assert abs(found.value.value - found.null) < 4 * found.value.error < 0.05


@pytest.mark.parametrize("k, high", [(1, 0), (2, 0), (3, 1), (4, 1)])
def test_a_wave_lies_at_its_own_frequency(k, high):
    """k waves over 8 places: half the Nyquist frequency is k = 2."""
    wave = torch.cos(2 * math.pi * k * torch.arange(8, dtype=torch.float64) / 8)
    one = study(lambda x: x, normal(30, 1, 1, 1) * wave.expand(8, 8))
    assert spectrum(one)["high_frequencies"].value.value == pytest.approx(high, abs=1e-12)
    power, frequency = one.tables["radial_latents"][0], one.tables["radial_frequency"]
    assert frequency[power.argmax()].item() == k / 8


def test_a_pattern_that_all_codes_share_is_no_variance():
    images = normal(100, 1, 8, 8)
    plain = spectrum(study(lambda x: x, images))["high_frequencies"].value
    checks = torch.ones(8, 8).cumsum(0).cumsum(1) % 2 * 50
    shared = spectrum(study(lambda x: x + checks, images))["high_frequencies"].value
    assert shared.value == pytest.approx(plain.value)


def test_images_are_looked_at_on_the_codes_own_grid():
    """Smooth images are of low frequency there; tables average 1 over the grid."""
    coarse = normal(100, 1, 2, 2)
    images = interpolate(coarse, (32, 32), mode="bicubic")
    one = study(lambda x: normal(len(x), 2, 8, 8, seed=len(x)), images)
    found = spectrum(one)
    assert found["high_frequencies_images"].value.value < 0.2
    assert one.tables["radial_latents"].shape == (2, len(one.tables["radial_frequency"]))
    assert one.tables["radial_images"][0, 0] > 3
    noise = one.tables["radial_latents"]
    assert (noise[:, 1:] - 1).abs().max() < 0.5


def test_codes_without_a_grid_have_no_frequencies():
    for encode in (lambda x: x.flatten(1), lambda x: x.flatten(2), lambda x: x[..., :1, :1]):
        with pytest.raises(Unmeasured, match="no frequencies"):
            spectrum(study(encode, normal(9, 1, 4, 4)))
    with pytest.raises(Unmeasured, match="same code"):
        spectrum(study(lambda x: torch.ones_like(x), normal(9, 1, 4, 4)))


@pytest.mark.parametrize("name", ["mnist", "fashion", "photographs", "norm"])
def test_no_healthy_model_fails(name):
    healthy = base(name)
    one = Study(healthy.encode, healthy.decode, healthy.images, sizes=Sizes(images=400))
    assert MEASURES["shift"].condition.verdict(shift(one)["shift"].value.value) == "pass"
