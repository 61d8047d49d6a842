"""What a decoder makes of codes that no image has."""

import math

import pytest
import torch

from tests.report.bases import base
from tests.spatial_world import SpatialLinearGaussian
from vae_course.evaluation import energy_distance
from vae_course.report.measures import MEASURES, Unmeasured
from vae_course.report.plan import Sizes
from vae_course.report.samples import distances, energy, holes, of_codes, of_tokens, samples
from vae_course.report.study import Study

WORLD = SpatialLinearGaussian()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def study(encode, decode, images, seed=0):
    return Study(
        encode, decode, images, sizes=Sizes(images=len(images)), value_range=(-9, 9), seed=seed
    )


def linear(images, scale, sigma=0.1, seed=0):
    """``scale`` times x are images, and K = 1 - sigma²."""
    sigma = torch.as_tensor(sigma)
    return study(
        lambda x: ((1 - sigma**2) * x / scale, sigma.expand_as(x).to(x)),
        lambda z: scale * z,
        images,
        seed,
    )


def test_energy_is_the_library_s_over_the_images_own_spread():
    x, y = normal(30, 3, 4, seed=1), 1.2 * normal(30, 3, 4, seed=2) + 0.3
    own = distances(x)
    found, each = energy(x, y, own)
    spread = own.sum() / (30 * 29)
    assert found.value == pytest.approx(energy_distance(x, y) / spread.item(), rel=1e-9)
    assert each.mean().item() == pytest.approx(found.value, rel=1e-12)


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_errors_of_the_energy_are_right_where_laws_are_equal_and_where_they_are_not(scale):
    """Ratio of the estimated to the true standard deviation, over 300 pairs of samples: its own
    error is .05."""
    n, d, values, errors = 40, 20, [], []
    for seed in range(300):
        x, y = normal(n, d, seed=2 * seed), scale * normal(n, d, seed=2 * seed + 1)
        found, _ = energy(x, y, distances(x))
        values.append(found.value)
        errors.append(found.error)
    ratio = torch.tensor(errors).square().mean().sqrt() / torch.tensor(values).std()
    assert 0.87 < ratio < 1.13
    if scale == 1:
        assert abs(sum(values) / 300) < 4 * torch.tensor(values).std() / 300**0.5


def test_distances_of_large_images_in_float32_are_close():
    a, b = normal(3, 2**14 + 1, seed=1) + 5, normal(4, 2**14 + 1, seed=2) + 5
    torch.testing.assert_close(distances(a, b), torch.cdist(a, b), rtol=1e-5, atol=0)


def test_the_law_of_whole_codes_has_exactly_their_moments():
    """Its draws are linear in the weights: unit weights show the root of the covariance."""
    codes = normal(6, 2, 5) * torch.arange(1, 6) + 3
    away = (of_codes(codes, torch.eye(6)) - codes.mean(0)).flatten(1)
    expected = torch.cov(codes.flatten(1).mT)
    torch.testing.assert_close(away.mT @ away, expected, rtol=1e-10, atol=1e-10)


def test_the_law_of_tokens_has_exactly_their_moments_place_by_place():
    codes = normal(50, 3, 2, 2)
    codes[:, 1] += 0.7 * codes[:, 0] + 2
    tokens = codes.flatten(2).mT.reshape(-1, 3)
    noise = torch.zeros(3, 3, 2, 2, dtype=torch.float64)
    noise[range(3), range(3), 0, 1] = 1  # one axis after the other, at one place
    away = of_tokens(codes, noise) - tokens.mean(0)[:, None, None]
    assert (away[..., 0, 0].abs() < 1e-12).all()
    assert (away[..., 1, :].abs() < 1e-12).all()
    at_place = away[..., 0, 1]
    torch.testing.assert_close(at_place.mT @ at_place, torch.cov(tokens.mT))


def test_a_channel_that_never_moves_is_no_obstacle():
    codes = normal(20, 2, 3, 3)
    codes[:, 1] = 4
    assert (of_tokens(codes, normal(7, 2, 3, 3, seed=1))[:, 1] - 4).abs().max() < 1e-12


def test_all_laws_of_the_oracle_make_its_images():
    """Truth in closed form; the Gaussian of whole codes, of few of them, is a little off."""
    found = samples(study(WORLD.encode, WORLD.decode, WORLD.images(400, 3, torch.float32)))
    for law in ("prior", "token", "aggregate"):
        estimate = found[f"samples_{law}"].value
        assert abs(estimate.value - WORLD.energy) < 4 * estimate.error
        assert abs(found[f"samples_{law}"].null) < 4 * estimate.error
    assert found["samples_full"].value < WORLD.energy + 0.006
    assert not isinstance(found["samples_full"].value, tuple), "its bias is no matter of chance"


def test_where_places_are_dependent_the_prior_fails_and_one_gaussian_does_not():
    common = normal(600, 1, 1, 1)
    images = common + 0.3 * normal(600, 1, 6, 6, seed=1)
    found = samples(linear(images, images.std().item()))
    assert found["samples_prior"].value.low > 0.07
    assert found["samples_token"].value.low > 0.07
    assert found["samples_full"].value < 0.02
    assert abs(found["samples_aggregate"].value.value) < 0.02
    assert "because places are dependent, not because balls leave gaps" in (
        found["samples_prior"].reading
    )


@pytest.mark.parametrize("scale, said", [(0.4, "codes are not of the prior's size"), (1.0, "")])
def test_codes_of_another_size_are_named(scale, said):
    """Codes scale * N(0, I), decoded as they are."""
    images = normal(600, 1, 4, 4)
    found = samples(
        study(lambda x: (scale * x, torch.full_like(x, 1e-3)), lambda z: z / scale, images)
    )
    assert found["samples_prior"].reading.endswith(said or "away from images")


def test_a_decoder_that_fails_everywhere_is_not_blamed_on_the_prior():
    images = normal(200, 1, 4, 4) + 3
    found = samples(study(lambda x: (x - 3, torch.full_like(x, 0.1)), lambda z: 0 * z, images))
    assert "it is the decoder, not the prior" in found["samples_prior"].reading


def test_laws_are_not_fitted_to_the_images_they_are_compared_with():
    images = normal(64, 1, 4, 4)
    other = images.clone()
    other[32:] += 9
    tables = []
    for x in (images, other):
        one = linear(x, 1.0)
        samples(one)
        tables.append(one.tables)
    for name in ("prior", "token", "full", "aggregate"):
        assert torch.equal(tables[0][f"sample_{name}"], tables[1][f"sample_{name}"])
        assert tables[0][f"sample_{name}"].shape == (8, 1, 4, 4)


def test_what_is_not_defined_is_said_and_not_measured():
    flat = normal(40, 5)
    found = samples(study(lambda x: x.float(), lambda z: z.double(), flat))
    assert isinstance(found["samples_prior"], Unmeasured)
    assert isinstance(found["samples_token"], Unmeasured)
    assert found["samples_aggregate"].value.value == pytest.approx(0, abs=0.05)
    with pytest.raises(Unmeasured, match="15 images"):
        samples(linear(flat[:15], 1.0))
    with pytest.raises(Unmeasured, match="all alike"):
        samples(linear(torch.ones(40, 1, 4, 4), 1.0))


def test_midpoints_of_a_linear_model_come_back_half_as_far_off():
    found = holes(study(WORLD.encode, WORLD.decode, WORLD.images(400, 3, torch.float32)))
    far, near = found["holes_far"], found["holes_near"]
    assert abs(far.value.value - 0.5) < 4 * far.value.error < 0.1
    assert near.value.value == pytest.approx(near.null, rel=0.02)
    assert far.null == 0.5 and near.null > 0.5
    assert far.each.mean().item() == pytest.approx(far.value.value)


@pytest.mark.parametrize("sigma", [0.5, (0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)])
def test_neighbours_of_a_linear_model_have_the_null_that_is_said(sigma):
    """In few dimensions neighbours are near: what is between them is as far off as they are. But
    not along a latent of wide balls, where most of the loss is and draws differ most."""
    found = holes(linear(normal(400, 8), 1.0, sigma=sigma))
    assert (found["holes_near"].null > 0.75) == (sigma == 0.5)
    near = found["holes_near"].value
    assert abs(near.value - found["holes_near"].null) < 4 * near.error


def test_a_decoder_that_only_knows_its_codes_has_holes():
    """It gives the nearest image it knows: exact at codes, lost between them."""
    known = normal(300, 6)
    found = holes(study(lambda x: x, lambda z: known[torch.cdist(z, known).argmin(1)], known))
    for key in ("holes_near", "holes_far"):
        value = found[key].value.value
        assert MEASURES[key].condition.verdict(value) == "fail"
        assert math.isfinite(value)


def test_a_model_that_loses_nothing_has_no_holes():
    found = holes(study(lambda x: x, lambda z: z, normal(50, 6)))
    assert found["holes_near"].value.value == found["holes_far"].value.value == 0


def test_latents_that_say_nothing_do_not_hide_holes():
    """Thirty collapsed latents, whose draws no image can bring back, beside six that are live."""
    known = normal(300, 6)

    def encode(x):
        mu = torch.cat([x, torch.zeros(len(x), 30, dtype=x.dtype)], 1)
        sigma = torch.cat([torch.full_like(x, 0.05), torch.ones(len(x), 30, dtype=x.dtype)], 1)
        return mu, sigma

    def decode(z):
        return known[torch.cdist(z[:, :6], known).argmin(1)]

    assert holes(study(encode, decode, known))["holes_far"].value.value > 20


def test_holes_of_a_collapsed_posterior_are_not_measured():
    with pytest.raises(Unmeasured, match="no latent"):
        holes(study(lambda x: (0 * x, torch.ones_like(x)), lambda z: z, normal(40, 6)))


@pytest.mark.parametrize("name", ["fashion", "digits", "autoencoder"])
def test_no_healthy_model_fails(name):
    healthy = base(name)
    one = Study(healthy.encode, healthy.decode, healthy.images, sizes=Sizes(images=400))
    for key, found in {**samples(one), **holes(one)}.items():
        if not isinstance(found, Unmeasured):
            value = found.value if isinstance(found.value, float) else found.value.value
            assert MEASURES[key].condition.verdict(value) != "fail", found.reading
