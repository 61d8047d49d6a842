"""What comes back: closed forms, what must not change them, and each fault in its own number."""

import math
from dataclasses import replace

import pytest
import torch

from tests.spatial_world import SpatialLinearGaussian
from tests.worlds import LinearGaussian, orthonormal
from vae_course.evaluation import Estimate
from vae_course.isometry import metric_bce
from vae_course.report.measures import MEASURES, Unmeasured
from vae_course.report.plan import Sizes
from vae_course.report.responses import turns
from vae_course.report.run import report
from vae_course.report.study import Declared, Study

WORLD = SpatialLinearGaussian()
IMAGES = WORLD.images(200)
ROWS = "fit contract heard spread deaf wiring".split()


def study(encode=WORLD.encode, decode=WORLD.decode, images=IMAGES, **rest):
    return Study(encode, decode, images, **{"value_range": (-1.0, 1.0)} | rest)


def value(found):
    if isinstance(found, Unmeasured):
        return math.nan
    return found.value.value if isinstance(found.value, Estimate) else found.value


def numbers(*given, rows=ROWS, **rest):
    one = study(*given, **rest)
    return {key: value(f) for row in rows for key, f in one.row(row).items()}


def verdict(key, shown):
    return MEASURES[key].condition.verdict(shown[key])


@pytest.fixture(scope="module")
def healthy():
    one = study(declared=Declared(beta=WORLD.beta))
    for row in ROWS:
        one.row(row)
    return one


# ---- closed forms


@pytest.mark.parametrize(
    "key",
    "fit psnr contract contract_twice heard spread deaf wiring orientation".split(),
)
def test_the_exact_world_shows_its_numbers(healthy, key):
    found = healthy.row(MEASURES[key].row)[key]
    truth = WORLD.exact[key]
    if isinstance(found.value, Estimate):
        assert found.value.low <= truth <= found.value.high
        assert found.each.mean().item() == pytest.approx(found.value.value)
    assert value(found) == pytest.approx(truth, rel=0.1, abs=0.12)


def test_whitened_images_come_back_as_they_must():
    """Second moments of these images are the population's to rounding: R², PSNR and spread are
    exact. V counts the mean image's own error: n / (n − 1)."""
    world = LinearGaussian(torch.tensor([3.0, 1.0, 0.5, 0.1], dtype=torch.float64), beta=0.4)
    n, values = 40, world.eigenvalues
    shown = numbers(
        world.encode, world.decode, world.images(n), rows=["fit", "spread"], value_range=(-3.0, 5.0)
    )
    reached = (1 - 0.2 / values).clamp_min(0)
    variance = values.sum() * n / (n - 1)
    lost = (values * (1 - reached).square()).sum()
    assert shown["fit"] == pytest.approx((1 - lost / variance).item())
    assert shown["psnr"] == pytest.approx(10 * math.log10(64 * 6 / lost))
    kept = (values * reached.square()).sum() / values.sum()
    assert shown["spread"] == pytest.approx(kept.item())


def test_nulls_are_what_a_linear_decoder_shows(healthy):
    contract = healthy.row("contract")
    assert contract["contract"].null == pytest.approx(WORLD.exact["contract"], rel=0.02)
    assert contract["contract_twice"].null == pytest.approx(4 * value(contract["contract"]))
    assert healthy.row("spread")["spread"].null == pytest.approx(value(healthy.row("fit")["fit"]))
    assert study().row("contract")["contract"].null is None  # β is not known
    other = study(declared=Declared(beta=WORLD.beta), metric=metric_bce)
    assert other.row("contract")["contract"].null is None  # β is in other units


def test_a_turn_of_all_pixels_changes_nothing(healthy):
    turn = orthonormal(576, 576, seed=3)

    def turned(x):
        return (x.flatten(1) @ turn.T).view(x.shape)

    def back(x):
        return (x.flatten(1) @ turn).view(x.shape)

    after = numbers(
        lambda x: WORLD.encode(back(x)), lambda z: turned(WORLD.decode(z)), turned(IMAGES)
    )
    for row in ROWS:
        for key, found in healthy.row(row).items():
            if not isinstance(found, Unmeasured):
                assert after[key] == pytest.approx(value(found), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("factor", [0.2, 5.0])
def test_rescaled_codes_change_nothing(healthy, factor):
    """And so do rescaled channels, but for K off the diagonal."""
    scales = factor * torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64).view(4, 1, 1)

    def encode(x):
        mu, sigma = WORLD.encode(x)
        return scales * mu, scales * sigma

    one = study(encode, lambda z: WORLD.decode(z / scales))
    one.tokens.__dict__["live"] = healthy.tokens.live  # the rate is that of other codes
    for row in ROWS:
        for key, found in one.row(row).items():
            if key not in ("dead_heard", "misread") and not isinstance(found, Unmeasured):
                expected = value(healthy.row(row)[key])
                assert value(found) == pytest.approx(expected, rel=1e-6, abs=1e-9)


# ---- each fault moves its number


def test_a_decoder_that_shows_one_image():
    shown = numbers(decode=lambda z: WORLD.decode(0 * z))
    assert verdict("spread", shown) == "fail" and shown["spread"] == pytest.approx(0, abs=1e-12)
    assert shown["fit"] == pytest.approx(0, abs=0.02)
    assert shown["heard"] == 0 and shown["contract"] == pytest.approx(0, abs=1e-12)
    assert math.isnan(shown["wiring"]) and math.isnan(shown["orientation"])


def test_a_decoder_deaf_to_a_channel(healthy):
    def deafened(z):
        z = z.clone()
        z[:, 2] = 0
        return WORLD.decode(z)

    one = study(decode=deafened)
    assert value(one.row("deaf")["deaf"]) < 1e-20
    assert "does not hear channels 2," in one.row("deaf")["deaf"].reading
    wiring = one.row("wiring")
    assert value(wiring["wiring"]) == 1  # of those that are heard
    assert value(wiring["answer"]) == pytest.approx(0, abs=1e-9)
    lost = (WORLD.values * WORLD.seen * (2 - WORLD.seen))[2] / WORLD.total
    assert value(one.row("fit")["fit"]) == pytest.approx(
        value(healthy.row("fit")["fit"]) - lost.item(), abs=0.02
    )


def test_a_channel_set_dead_in_encode_is_still_heard():
    def silenced(x):
        mu, sigma = (part.clone() for part in WORLD.encode(x))
        mu[:, 1], sigma[:, 1] = 0, 1
        return mu, sigma

    shown = numbers(silenced)
    # the draw that was there and the one that is put in, both N(0, 1)
    assert shown["dead_heard"] == pytest.approx(2 * WORLD.metric[1].item() / WORLD.total, rel=0.1)
    assert verdict("dead_heard", shown) == "fail"


def test_a_collapsed_channel_is_not_heard():
    world = replace(WORLD, eigenvalues=(0.32, 0.18, 0.18, 0.004, 0.05, 0.04, 0.03, 0.025, 0.02))
    shown = numbers(world.encode, world.decode, world.images(100))
    assert shown["dead_heard"] < 1e-20 and shown["wiring"] == 1 and shown["deaf"] > 0.1


@pytest.mark.parametrize("times", [2.0, 4.0])
def test_wide_balls_are_heard_by_their_square(healthy, times):
    def wide(x):
        mu, sigma = WORLD.encode(x)
        return mu, times * sigma

    shown = numbers(wide)
    for key in ("contract", "heard"):
        found = healthy.row(key)[key]
        assert shown[key] == pytest.approx(times**2 * value(found), rel=0.05)
    assert shown["fit"] == value(healthy.row("fit")["fit"])


def test_the_second_sigma_has_the_first_ones_noise(healthy):
    """In a linear decoder the square grows four times and what it is added to twice: exactly."""
    contract, heard = healthy.row("contract"), value(healthy.row("heard")["heard"])
    cross = value(contract["contract"]) - heard
    assert value(contract["contract_twice"]) == pytest.approx(4 * heard + 2 * cross)


# ---- wiring


def test_responses_are_what_is_told(healthy):
    """K = diag(1 − σ²), to rounding: the world is linear."""
    found = healthy.row("wiring")
    live = healthy.tables["response_channels"]
    assert live.tolist() == WORLD.rates.argsort(descending=True).tolist() or len(live) == 4
    torch.testing.assert_close(
        healthy.tables["response"], WORLD.seen[live].diag(), atol=1e-9, rtol=0
    )
    assert value(found["answer"]) == pytest.approx(WORLD.seen.min().item())
    assert value(found["reply"]) == pytest.approx(WORLD.seen.mean().item())
    assert value(found["misread"]) == pytest.approx(0, abs=1e-9)
    assert found["wiring"].null == 0.25


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (1, 2, 3, 0)])
def test_permuted_channels_are_named(order):
    one = study(decode=lambda z: WORLD.decode(z[:, list(order)]))
    found = one.row("wiring")
    moved = [c for c in range(4) if order[c] != c]
    assert value(found["wiring"]) == 1 - len(moved) / 4
    assert value(found["misread"]) > 1e6
    for c in moved:  # what is written in z[order[c]] is read in c
        assert f"{order[c]} in {c}" in found["wiring"].reading
    assert value(found["orientation"]) < 0.3
    assert value(one.row("deaf")["deaf"]) > 0.1


def test_an_answer_of_another_sign_is_an_answer():
    """Two channels change places, and their signs; each still hears a little of itself."""

    def decode(z):
        swapped = z.clone()
        swapped[:, :2] = 0.1 * z[:, :2] - z[:, [1, 0]]
        return WORLD.decode(swapped)

    assert numbers(decode=decode)["wiring"] == 0.5


def test_loud_channels_do_not_drown_others():
    """Answers are compared in standard deviations: channel 1 is 50 times as large, and hears a
    little of channel 0."""

    def encode(x):
        mu, sigma = (part.clone() for part in WORLD.encode(x))
        mu[:, 1] = 50 * (mu[:, 1] + 0.3 * mu[:, 0])
        sigma[:, 1] *= 50
        return mu, sigma

    def decode(z):
        z = z.clone()
        z[:, 1] /= 50
        return WORLD.decode(z)

    found = study(encode, decode).row("wiring")
    assert value(found["wiring"]) == 1
    assert value(found["misread"]) == pytest.approx(0.3, rel=0.1)


def test_a_turned_sign_is_no_answer():
    signs = torch.tensor([1.0, -1.0, 1.0, 1.0], dtype=torch.float64).view(4, 1, 1)
    assert numbers(decode=lambda z: WORLD.decode(signs * z))["wiring"] == 0.75


SWAPPED, FLIPPED = turns((8, 8))


@pytest.mark.parametrize("way", [*SWAPPED, *FLIPPED])
@pytest.mark.parametrize("side", ["encode", "decode"])
def test_codes_that_lie_another_way_are_named(way, side):
    """Answers come turned: by the turn of the encoder, or of the decoder."""
    turn = (SWAPPED | FLIPPED)[way]

    def encode(x):
        mu, sigma = WORLD.encode(x)
        return (turn(mu), turn(sigma)) if side == "encode" else (mu, sigma)

    found = study(
        encode, WORLD.decode if side == "encode" else lambda z: WORLD.decode(turn(z))
    ).row("wiring")
    assert value(found["wiring"]) == 1  # each channel is where it should be
    group, other = ("transposed", "flipped") if way in SWAPPED else ("flipped", "transposed")
    assert value(found["orientation"]) == value(found[group]) > 3
    assert f"codes {way} are" in found["orientation"].reading
    assert value(found[other]) < value(found[group])


def test_oblong_and_flat_codes_have_fewer_ways_to_lie():
    assert not turns((8, 4))[0] and len(turns((8, 4))[1]) == 3
    assert not turns((5,))[0] and len(turns((5,))[1]) == 1
    world = LinearGaussian(torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64), beta=0.1)
    found = study(world.encode, world.decode, world.images(64)).row("wiring")
    assert value(found["wiring"]) == 1
    assert all(isinstance(found[k], Unmeasured) for k in ("orientation", "transposed", "flipped"))
    sequence = study(
        lambda x: tuple(part.unflatten(1, (1, 6)) for part in (x, 0 * x + 0.1)),
        lambda z: z.flatten(1).flip(1),
        world.images(64),
    ).row("wiring")
    assert value(sequence["flipped"]) > 3 and isinstance(sequence["transposed"], Unmeasured)


def test_strangers_do_not_reply():
    """A decoder of other images: nothing can be said of the way up."""

    def other(z):
        return WORLD.decode(z.flatten(1).roll(37, 1).view(z.shape).roll((3, 2), (2, 3)))

    found = study(decode=other).row("wiring")
    assert value(found["reply"]) < 0.2


# ---- other kinds of codes, sizes, tables


def test_points_have_no_noise():
    one = study(lambda x: WORLD.encode(x)[0])
    assert one.kind == "point"
    assert value(one.row("fit")["fit"]) == pytest.approx(WORLD.exact["fit"], abs=0.02)
    assert value(one.row("wiring")["wiring"]) == 1 and value(one.row("deaf")["deaf"]) > 0.1
    assert isinstance(one.row("deaf")["dead_heard"], Unmeasured)
    assert "shown_draw" not in one.tables


def test_a_channel_that_points_hardly_use_is_not_asked_for():
    def encode(x):
        mu = WORLD.encode(x)[0].clone()
        mu[:, 3] *= 0.1
        return mu

    def decode(z):
        z = z.clone()
        z[:, 3] = 0
        return WORLD.decode(z)

    assert numbers(encode, decode, rows=["deaf"])["deaf"] > 0.1


def test_a_few_channels_are_asked_where_there_are_many():
    one = study(sizes=Sizes(channels=2))
    one.row("wiring")
    assert one.tables["response"].shape == (2, 2)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_images_are_measured_or_said_to_be_too_few(n):
    """No warning and no error for either kind; only what takes more says so."""
    stages = ["wiring", "range", "moments", "cycle"]
    for encode in (WORLD.encode, lambda x: WORLD.encode(x)[0]):
        card = report(
            encode, WORLD.decode, WORLD.images(n), only=stages, progress=False, stop=False
        )
        assert not [m for m in card.measures.values() if "could not be measured" in m.reading]
        assert (card.measures["deaf"].verdict == "skipped") == (n < 4)


def test_first_images_are_kept_for_the_page(healthy):
    for name in ("shown", "shown_mean", "shown_draw"):
        assert healthy.tables[name].shape == IMAGES[:8].shape
    torch.testing.assert_close(healthy.tables["shown"], IMAGES[:8])


def test_means_are_of_the_same_images_for_any_model(healthy):
    """``compare`` pairs them: as many units, whatever the model is."""
    other = study(decode=lambda z: 0.9 * WORLD.decode(z))
    for row in ROWS:
        for key, found in other.row(row).items():
            same = healthy.row(row)[key]
            if not isinstance(found, Unmeasured) and found.each is not None:
                assert found.each.shape == same.each.shape
