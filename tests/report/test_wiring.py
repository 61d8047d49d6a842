"""Is it a function of one image, of the right range, and is nothing applied on one side only?"""

import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.spatial_world import SpatialLinearGaussian
from tests.worlds import LinearGaussian
from vae_course.report.gains import by_factor, by_step, least
from vae_course.report.measures import MEASURES, Found, Unmeasured
from vae_course.report.ranges import Map
from vae_course.report.run import report
from vae_course.report.study import Declared, Study

WORLD = SpatialLinearGaussian()
IMAGES = WORLD.images(64)


def study(encode=WORLD.encode, decode=WORLD.decode, images=IMAGES, value_range=(-1.0, 1.0), **rest):
    return Study(encode, decode, images, value_range=value_range, **rest)


def found(row, *given, **rest):
    """Its numbers, and their verdicts, of a study."""
    numbers = study(*given, **rest).row(row)
    values = {k: v.value if isinstance(v, Found) else v for k, v in numbers.items()}
    return {k: getattr(v, "value", v) for k, v in values.items()}


def verdict(key, value):
    return MEASURES[key].condition.verdict(value)


# ---- rows


def test_a_function_of_one_image_is_one():
    numbers = found("rows")
    assert numbers["finite"] == 1 and numbers["repeats"] == 0 and numbers["rows"] < 1e-6


@pytest.mark.parametrize("side", ["encode", "decode"])
@pytest.mark.parametrize("share", [1e-5, 0.05])
def test_a_share_of_the_batch_is_found_on_either_side(side, share):
    """f + s (mean over the batch − f): a share s of another image is in each."""
    given = getattr(WORLD, side)

    def mixed(v):
        return torch.lerp(v, v.mean(0), share)

    def wrong(v):
        if side == "decode":
            return mixed(given(v))
        mu, sigma = given(v)
        return mixed(mu), sigma

    numbers = found("rows", **{side: wrong})
    assert numbers["repeats"] == 0
    assert numbers["rows"] == pytest.approx(share, rel=0.3)
    assert verdict("rows", numbers["rows"]) == ("pass" if share < 1e-3 else "fail")


@pytest.mark.parametrize("side", ["encode", "decode"])
def test_a_random_model_repeats_nothing_and_mixes_nothing(side):
    given = getattr(WORLD, side)

    def drawn(v):
        out = given(v)
        noise = torch.randn_like(out[0] if side == "encode" else out)
        return (out[0] + 0.3 * noise, out[1]) if side == "encode" else out + 0.01 * noise

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        numbers = found("rows", **{side: drawn})
    assert verdict("repeats", numbers["repeats"]) == "fail"
    assert numbers["rows"] < 1e-12


def test_the_rounding_of_a_collapsed_model_is_no_mixing():
    """Centres of 1e-9 whose digits depend on the batch, beside a sigma of 1."""

    def collapsed(x):
        return 1e-9 * (1 + x.flatten(1)[:, :3].mean(0)).expand(len(x), 3), torch.ones(len(x), 3)

    def decode(z):
        return z.mean(1).view(-1, 1, 1, 1).expand(-1, *IMAGES.shape[1:])

    assert found("rows", collapsed, decode)["rows"] < 1e-6


def test_indices_are_compared_one_by_one():
    def wrong(x):  # the first image of a batch has another code in its first place
        indices = (x.flatten(1)[:, :10] > 0.1).long() + 1
        indices[0, 0] = 0
        return indices

    # 8 images of 10 places, of which 7 first places differ once they are alone
    def decode(k):
        return torch.ones(len(k), *IMAGES.shape[1:])

    assert found("rows", wrong, decode)["rows"] == pytest.approx(7 / 80)


@pytest.mark.parametrize("what", ["mu", "sigma", "decode"])
def test_what_is_not_finite_fails_with_a_sentence(what):
    def encode(x):
        mu, sigma = WORLD.encode(x)
        mu, sigma = mu.clone(), sigma.clone()
        {"mu": mu, "sigma": sigma}.get(what, mu * 1)[x.flatten(1).mean(1) > 0.1] = math.nan
        return mu, sigma

    def decode(z):
        return WORLD.decode(z) + (math.inf if what == "decode" else 0)

    card = report(encode, decode, IMAGES, progress=False)
    finite = card.measures["finite"]
    assert finite.verdict == "fail" and 0 < finite.value < 1
    assert {"mu": "codes", "sigma": "σ", "decode": "images"}[what] in finite.reading
    assert card.meta["stopped"] == "wiring"
    assert all(m.verdict == "skipped" for k, m in card.measures.items() if k != "finite")


class Convolutional(nn.Module):
    """Of untrained weights, with a layer that behaves otherwise in training mode."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 3, 3), layer, nn.Conv2d(4, 4, 1))
        self.decoder = nn.ConvTranspose2d(4, 1, 3, 3)

    def encode(self, x):
        mu = self.encoder(x)
        return mu, torch.full_like(mu, 0.1)


@pytest.mark.parametrize("wrapped", [False, True], ids=["method", "lambda"])
def test_batch_statistics_are_found_named_and_left_alone(wrapped):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Convolutional(nn.BatchNorm2d(4)).train()
    before = copy.deepcopy(model.state_dict())
    encode = (lambda x: model.encode(x)) if wrapped else model.encode
    card = report(encode, model.decoder, IMAGES.float(), progress=False)
    assert card.measures["rows"].verdict == "fail"
    assert card.measures["repeats"].verdict == "pass"
    assert "1 × BatchNorm2d; call eval() first" in card.measures["rows"].reading
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.eval()
    assert found("rows", encode, model.decoder, IMAGES.float())["rows"] < 1e-5


def test_dropout_left_on_is_random_and_named():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Convolutional(nn.Dropout(0.2)).train()
        numbers = study(model.encode, model.decoder, IMAGES.float()).row("rows")
    assert verdict("repeats", numbers["repeats"].value) == "fail"
    assert "1 × Dropout" in numbers["repeats"].reading


def test_a_batch_norm_that_refuses_one_image_is_found_by_halves():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Flatten(), nn.Linear(576, 4), nn.BatchNorm1d(4)
        encoder, decoder = nn.Sequential(*layers), nn.Linear(4, 576)
    numbers = found("rows", encoder, lambda z: decoder(z).view(-1, 1, 24, 24), IMAGES.float())
    assert verdict("rows", numbers["rows"]) == "fail"


# ---- range


RANGES = {
    "[0, 1] from a decoder": (lambda x: x, lambda y: (y + 1) / 2, "2y − 1", "range_output"),
    "[0, 1] twice": (lambda x: x, lambda y: 2 * y - 1, "(y + 1)/2", "range_output"),
    "a negative": (lambda x: x, lambda y: -y, "−y", "range_output"),
    "[0, 255]": (lambda x: x, lambda y: 127.5 * (y + 1), "0.00784 y − 1", "range_output"),
    "[−3, 1] to the encoder": (lambda x: 2 * x - 1, lambda y: y, "(x + 1)/2", "range_input"),
    "a model of [0, 1]": (lambda x: 2 * x - 1, lambda y: (y + 1) / 2, "2y − 1", "range_input"),
    "a negative to the encoder": (lambda x: -x, lambda y: y, "−x", "range_input"),
    "a model of negatives": (lambda x: 0.2 - x, lambda y: 0.2 - y, "", "range_output"),
}


@pytest.mark.parametrize("name", RANGES)
def test_another_range_is_found_and_named(name):
    """A healthy model behind maps: what is gained is all that was lost."""
    into, out, said, where = RANGES[name]
    numbers = study(lambda x: WORLD.encode(into(x)), lambda z: out(WORLD.decode(z))).row("range")
    if name == "a model of negatives":  # encoder and decoder agree: nothing is lost
        assert numbers["range"].value < 0.02
        return
    healthy, wrong = (
        study(*pair).row("fit")["fit"].value.value
        for pair in (
            (WORLD.encode, WORLD.decode),
            (lambda x: WORLD.encode(into(x)), lambda z: out(WORLD.decode(z))),
        )
    )
    assert numbers["range"].value == pytest.approx(healthy - wrong, rel=0.1)
    assert numbers["range_fit"].value == pytest.approx(healthy, abs=0.01)
    assert verdict("range", numbers["range"].value) == "fail"
    assert numbers[where].value == numbers["range"].value
    assert said in numbers["range"].reading


@pytest.mark.parametrize(("low", "last"), [(0.0, "sigmoid"), (-1.0, "tanh")])
def test_a_missing_last_layer_is_named(low, last):
    squash = torch.sigmoid if last == "sigmoid" else torch.tanh
    images = squash(3 * IMAGES)
    inverse = (lambda x: x.logit() / 3) if last == "sigmoid" else (lambda x: x.atanh() / 3)
    numbers = study(
        lambda x: WORLD.encode(inverse(x)), lambda z: 3 * WORLD.decode(z), images, (low, 1.0)
    ).row("range")
    assert verdict("range", numbers["range"].value) == "fail"
    assert f"through a {last}" in numbers["range"].reading


def test_own_ranges_have_their_own_maps():
    """Images of 0..255, a model of [0, 1]."""
    images = (IMAGES.clamp(-1, 1) + 1) * 127.5
    numbers = study(
        lambda x: WORLD.encode(2 * x - 1),
        lambda z: (WORLD.decode(z) + 1) / 2,
        images,
        (0.0, 255.0),
    ).row("range")
    assert verdict("range", numbers["range"].value) == "fail"
    assert "given 0.00392 x" in numbers["range"].reading and "255 y" in numbers["range"].reading


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.3, 0.5])
def test_shrunk_reconstructions_are_no_wrong_range(beta):
    """At a high price means are a small part of what they stand for, on any background."""
    for background in (-0.9, 0.1, 0.9):
        world = SpatialLinearGaussian(
            (0.32, 0.3, 0.28, 0.26, 0, 0, 0, 0, 0), beta=beta, mean=background
        )
        numbers = found("range", world.encode, world.decode, world.images(64))
        assert numbers["range"] < 0.02
        assert abs(numbers["range_offset"]) < 0.05


def test_what_no_map_brings_back_has_another_fault():
    numbers = found("range", decode=lambda z: WORLD.decode(z.roll(1, 2)))
    assert all(isinstance(value, Unmeasured) for value in numbers.values())


@pytest.mark.parametrize("shift", [-0.3, 0.1])
def test_the_offset_of_a_decoder_in_standard_deviations(shift):
    numbers = study(decode=lambda z: WORLD.decode(z) + shift).row("range")
    estimate = numbers["range_offset"].value
    assert estimate.low < shift / IMAGES.std().item() + 0.002 and estimate.value * shift > 0
    assert estimate.value == pytest.approx(shift / IMAGES.std().item(), abs=0.01)


def test_a_map_says_what_it_is():
    assert Map(0.5, 0.5).of("x") == "(x + 1)/2"
    assert Map(2, -1).inverse == (0.5, 0.5)
    assert Map(-1, 0.5).of("y") == "−1 y + 0.5"


# ---- gain


def test_the_best_multiple_in_closed_form():
    estimate = study(images=WORLD.images(300)).row("gain")["gain"].value
    assert estimate.low < WORLD.exact["gain"] < estimate.high
    assert estimate.value == pytest.approx(WORLD.exact["gain"], abs=2e-3)


@pytest.mark.parametrize("factor", [0.03, 0.18215, 0.5, 3.0, 7.7])
def test_a_factor_on_one_side_is_its_inverse(factor):
    def wrong(x):
        mu, sigma = WORLD.encode(x)
        return factor * mu, factor * sigma

    numbers = found("gain", wrong)
    assert numbers["gain"] * factor == pytest.approx(1, abs=0.05)
    assert verdict("gain", numbers["gain"]) == "fail"
    assert abs(numbers["offset"]) < 0.05
    said = found("range", wrong)["range"]
    assert isinstance(said, Unmeasured) or verdict("range", said) == "pass"


def test_a_factor_multiplied_twice():
    def wrong(x):
        mu, sigma = WORLD.encode(x)
        return 3 * mu, 3 * sigma

    assert found("gain", wrong, lambda z: WORLD.decode(3 * z))["gain"] == pytest.approx(1 / 9, 0.05)


@pytest.mark.parametrize("shift", [-2.0, 1.0, 5.0])
def test_a_shift_on_one_side(shift):
    def wrong(x):
        mu, sigma = WORLD.encode(x)
        return mu - shift, sigma

    numbers = found("gain", wrong)
    assert numbers["offset"] == pytest.approx(shift, abs=0.05)  # the SD of z is 1
    assert numbers["gain"] == pytest.approx(WORLD.exact["gain"], abs=0.01)
    assert verdict("offset", numbers["offset"]) == "fail"
    assert numbers["gain_centred"] > 0.1
    assert numbers["gain_fit"] == pytest.approx(WORLD.exact["fit"], abs=0.02)


def test_a_wrong_sigma_is_no_wrong_factor():
    for change in (lambda s: 30 * s, lambda s: s * s, lambda s: 2 * s.log()):

        def wrong(x, change=change):
            mu, sigma = WORLD.encode(x)
            return mu, change(sigma)

        assert found("gain", wrong)["gain"] == pytest.approx(found("gain")["gain"], abs=1e-6)


def test_shrunk_means_are_no_wrong_factor():
    """The best multiple of means is 1 / (1 − σ²), far from 1 at a high price; of draws it is 1."""
    world = replace(WORLD, eigenvalues=(0.3,) * 4 + (0.0,) * 5, beta=0.3)
    assert world.exact["gain"] == pytest.approx(2)
    numbers = study(world.encode, world.decode, world.images(256)).row("gain")
    assert numbers["gain"].value.low < 1 < numbers["gain"].value.high


def test_no_factor_is_told_where_none_brings_images_back():
    numbers = found("gain", decode=lambda z: WORLD.decode(z.roll(1, 2)))
    assert isinstance(numbers["gain"], Unmeasured) and isinstance(numbers["offset"], Unmeasured)
    deaf = found("gain", decode=lambda z: WORLD.decode(0 * z))
    assert all(isinstance(value, Unmeasured) for value in deaf.values())


def test_a_collapsed_posterior_has_no_factor():
    """Centres of a twentieth, sigma 1: multiples of centres bring images back, of draws not."""

    def collapsed(x):
        mu, sigma = WORLD.encode(x)
        return 0.05 * mu, torch.ones_like(sigma)

    numbers = found("gain", collapsed)
    assert isinstance(numbers["gain"], Unmeasured) and "draws" in str(numbers["gain"])


def test_points_have_factors_too():
    world = LinearGaussian(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64), beta=1e-3)
    x = world.images(64)
    numbers = found("gain", lambda x: 2 * world.encode(x)[0], world.decode, x)
    assert numbers["gain"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("near", [True, False])
def test_the_least_of_parabolas_is_exact(near):
    weights = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    at = torch.tensor([0.7, 0.9, 1.3], dtype=torch.float64)
    exact = ((weights * at).sum() / weights.sum()).item()

    def errors(u):
        return weights * (u - at) ** 2

    for around, sizes, far in ((by_factor, (1.5, 1.25), [0.2, 5]), (by_step, (1, 0.5), [-4, 4])):
        found = least(errors, 1.0, around, sizes, far, near)
        assert found.at == pytest.approx(exact)
        # what each weight moves it by: w (at_i − a) over the mean weight
        torch.testing.assert_close(found.change, weights * (at - exact) / weights.mean())


def test_declared_numbers_reach_the_study():
    assert study(declared=Declared(beta=0.1)).declared.beta == 0.1
