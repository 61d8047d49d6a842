"""What codes are like: every number on worlds where it is known, and what must not change it."""

import math
from dataclasses import replace

import pytest
import torch

from tests.spatial_world import SpatialLinearGaussian
from tests.worlds import LinearGaussian, normal, orthonormal
from vae_course.evaluation import Estimate
from vae_course.report.errors import jackknife
from vae_course.report.measures import MEASURES, Found, Unmeasured
from vae_course.report.study import Declared, Study
from vae_course.report.tokens import Tokens

WORLD = SpatialLinearGaussian()
ROWS = "scale channels covariance tails rate dead sigma gap radius".split()


def of_codes(mu, sigma=None, **rest):
    """A study whose images are only the numbers of its codes."""
    n = len(mu)
    images = torch.arange(n, dtype=mu.dtype).view(n, 1, 1).expand(n, 2, 2)

    def encode(x):
        i = x[:, 0, 0].long()
        return mu[i] if sigma is None else (mu[i], sigma[i])

    return Study(encode, lambda z: torch.zeros(len(z), 2, 2, dtype=mu.dtype), images, **rest)


def value(found):
    if isinstance(found, Unmeasured):
        return math.nan
    return found.value.value if isinstance(found.value, Estimate) else found.value


def numbers(study, rows=ROWS):
    done = {}
    for row in rows:
        try:
            done |= {key: value(found) for key, found in study.row(row).items()}
        except Unmeasured:
            continue
    return done


@pytest.fixture(scope="module")
def spatial():
    """Of the exact world."""
    return Study(WORLD.encode, WORLD.decode, WORLD.images(300), declared=Declared(factor=1.0))


def tokens_of(seed=0, n=50):
    """Three correlated channels that are no standard normals, 2 × 3 places, and their sigmas."""
    mixing = normal(3, 3, seed=seed)
    mu = torch.einsum("cd,ndhw->nchw", mixing, normal(n, 3, 2, 3, seed=seed + 1)) + mixing[0, 0]
    uneven = torch.linspace(0.2, 1.2, 18, dtype=torch.float64).view(3, 2, 3)
    return mu, uneven * (0.1 + normal(n, 3, 2, 3, seed=seed + 2).abs())


# ---- Tokens: the noise in expectation


def test_moments_are_those_of_draws_in_expectation():
    """Draws mu ± sigma, both signs of each number with every sign of the others, have them."""
    mu, sigma = tokens_of(n=6)
    t = Tokens(mu, sigma)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 3)
    draws = torch.stack([mu + sigma * s[:, None, None] for s in signs])  # (8, n, 3, 2, 3)
    flat = draws.movedim(2, -1).reshape(-1, 3)
    torch.testing.assert_close(t.mean, flat.mean(0))
    torch.testing.assert_close(t.covariance, flat.T.cov(correction=0))
    lost = mu.mean((2, 3)).var(0) / len(mu)  # the mean's own error is given back
    torch.testing.assert_close(t.std.square(), flat.var(0, correction=0) + lost)


def test_quadratic_forms_of_each_images_moments():
    mu, sigma = tokens_of()
    t = Tokens(mu, sigma)
    rows = normal(2, 3, seed=7)
    torch.testing.assert_close(t.quadratic(rows).mean(), (rows @ t.covariance @ rows.T).trace())
    torch.testing.assert_close(t.quadratic(torch.eye(3).double()), t.second.sum(1))


def test_independent_tokens_are_counted():
    n = 3000
    apart = Tokens(normal(n, 2, 3, 3, seed=3), None)
    assert apart.number == pytest.approx(9 * n, rel=0.15)
    alike = Tokens(normal(n, 2, 1, 1, seed=3).expand(n, 2, 3, 3), None)
    assert alike.number == pytest.approx(n, rel=0.15)


def test_flat_codes_have_one_place():
    t = Tokens(normal(9, 4), None)
    assert t.places == 1 and t.covariance.shape == (4, 4)


# ---- a world where all is known


@pytest.mark.parametrize(
    "key",
    "scale scale_declared channel_ratio covariance covariance_used tails rate rate_image "
    "rate_position dead dead_places sigma_median sigma_max posterior_anisotropy gap radius "
    "radius_spread".split(),
)
def test_the_exact_world_shows_its_numbers(spatial, key):
    """Within the interval; where there is none, within a tenth of what a pass may be off."""
    found = spatial.row(MEASURES[key].row)[key]
    truth = WORLD.exact[key]
    if isinstance(found.value, Estimate):
        assert found.value.low - 1e-9 <= truth <= found.value.high + 1e-9
    assert value(found) == pytest.approx(truth, rel=0.06, abs=2e-3)


def test_whitened_images_leave_no_error():
    """Moments of these images are the population's to rounding, so all that rests on second
    moments is exact: Var μ + σ² = 1 for every latent, the dead one too."""
    world = LinearGaussian(torch.tensor([3.0, 1.0, 0.5, 0.1], dtype=torch.float64), beta=0.4)
    n = 40
    shown = numbers(Study(world.encode, world.decode, world.images(n)))
    mu = world.encode(world.images(n))[0]  # the means' own errors are given back
    assert shown["scale"] == pytest.approx((1 + mu.mean(1).var().item() / n) ** -0.5)
    assert shown["channel_ratio"] == pytest.approx(1, abs=1 / n)
    assert shown["channel_offset"] == pytest.approx(0, abs=1e-12)
    assert shown["rate_image"] == pytest.approx(world.rate_exact)
    assert shown["rate"] == pytest.approx(world.rate_exact / 4)
    assert shown["dead"] == 0.25
    assert shown["sigma_max"] == 1
    uneven = world.sigma_exact.square().log().var(correction=0).item()
    assert shown["posterior_anisotropy"] == pytest.approx(uneven)


# ---- scale


@pytest.mark.parametrize("factor", [0.18215, 3.0])
def test_scaled_codes_want_the_inverse_factor(factor):
    mu, sigma = tokens_of()
    given = numbers(of_codes(mu, sigma, declared=Declared(factor=2.0)))
    scaled = numbers(of_codes(factor * mu, factor * sigma, declared=Declared(factor=2.0)))
    changes = {
        "scale": 1 / factor,
        "scale_declared": factor,
        "sigma_max": factor,
        "sigma_median": factor,
        "radius": factor,
    }
    same = "channel_ratio channel_offset covariance covariance_used tails radius_spread "
    same += "posterior_anisotropy"
    for key in same.split():
        assert scaled[key] == pytest.approx(given[key], rel=1e-6)
    for key, change in changes.items():
        assert scaled[key] == pytest.approx(change * given[key], rel=1e-6)


def test_the_answer_to_18215():
    """Which factor? In the words that a user looks for."""
    mu = normal(500, 4, 4, 4, seed=1) * torch.tensor([1.0, 1.1, 1.3, 1.4]).view(4, 1, 1)
    study = of_codes(mu, 0.1 * torch.ones_like(mu), declared=Declared(factor=0.18215))
    found = study.row("scale")
    assert found["scale"].reading.startswith("SD of z is 1.2")
    assert "multiply codes by 0.82" in found["scale"].reading and "±" in found["scale"].reading
    assert "σ is 0.0" in found["scale"].reading
    declared = found["scale_declared"]
    assert declared.reading.startswith(
        "the pipeline declares 0.182: its flow would see an SD of 0.2"
    )
    assert "−3" in declared.reading and "another VAE's factor" in declared.reading
    assert MEASURES["scale_declared"].condition.verdict(value(declared)) == "fail"
    vector = study.row("channels")["channel_ratio"].reading
    assert "take off (" in vector and vector.count(",") >= 6


def test_draws_not_means_are_scaled():
    """A half collapsed code: Var μ = ½, σ² = ½."""
    mu = normal(4000, 2) * 0.5**0.5
    assert value(
        of_codes(mu, torch.full_like(mu, 0.5**0.5)).row("scale")["scale"]
    ) == pytest.approx(1, abs=0.02)


def test_a_constant_code_has_no_scale():
    with pytest.raises(Unmeasured, match="same number"):
        of_codes(torch.ones(5, 3)).row("scale")


# ---- channels, covariance, tails


def test_rotated_channels_keep_what_has_no_axes():
    mu = tokens_of()[0]
    turn = orthonormal(3, 3, seed=2)
    turned = torch.einsum("cd,ndhw->nchw", turn, mu)
    sigma = torch.full_like(mu, 0.3)
    given, after = (numbers(of_codes(m, sigma)) for m in (mu, turned))
    for key in ("scale", "covariance", "covariance_used", "gap", "rate", "sigma_max"):
        if key != "scale":  # the mean of all entries has axes
            assert after[key] == pytest.approx(given[key], rel=1e-6)
    assert after["channel_ratio"] != pytest.approx(given["channel_ratio"], rel=1e-2)


def test_one_channel_alone_moves_its_numbers():
    mu = normal(800, 3, 2, 2, seed=4)
    wide, away = mu.clone(), mu.clone()
    wide[:, 1] *= 6
    away[:, 2] += 2
    given = numbers(of_codes(mu))
    assert numbers(of_codes(wide))["channel_ratio"] == pytest.approx(6, rel=0.05)
    assert numbers(of_codes(wide))["covariance"] == pytest.approx(36, rel=0.1)
    shifted = numbers(of_codes(away))
    assert shifted["channel_offset"] == pytest.approx(2, rel=0.05)
    assert "channel 2" in of_codes(away).row("channels")["channel_offset"].reading
    for key in ("channel_ratio", "covariance", "tails"):
        assert shifted[key] == pytest.approx(given[key], rel=1e-6)


def test_two_channels_that_are_one():
    mu = normal(500, 3, seed=5)
    mu[:, 2] = mu[:, 1] + 1e-3 * mu[:, 2]
    shown = numbers(of_codes(mu))
    assert MEASURES["covariance"].condition.verdict(shown["covariance"]) == "look"
    assert shown["covariance_used"] == pytest.approx((1 + 2) ** 2 / (1 + 4) / 3, rel=0.05)


@pytest.mark.parametrize(
    ("power", "kurtosis"), [(0.0, 1.0), (1.0, 9 / 5), (None, 3.0)], ids=["signs", "flat", "normal"]
)
def test_the_tails_of_known_laws(power, kurtosis):
    z = normal(20_000, 1, seed=6)
    if power is not None:
        uniform = torch.special.ndtr(z) * 2 - 1
        z = uniform.sign() * uniform.abs() ** power
    assert value(of_codes(z).row("tails")["tails"]) == pytest.approx(kurtosis, abs=0.1)


def test_an_outlier_is_named():
    z = normal(2000, 3, seed=8)
    z[0, 1] = 60
    found = of_codes(z).row("tails")["tails"]
    assert found.value > 50 and "channel 1" in found.reading


def test_nulls_say_what_sampling_alone_shows():
    """Of equal channels: chance levels of what is a largest of several, on average over seeds."""
    keys = {"channel_ratio": 1, "channel_offset": 0, "covariance": 1, "covariance_used": 1}
    seen = {key: [] for key in keys}
    for seed in range(20):
        study = of_codes(normal(100, 4, 3, 3, seed=seed))
        for key in keys:
            found = study.row(MEASURES[key].row)[key]
            seen[key].append((found.value, found.null))
    for key, exact in keys.items():
        shown, null = (torch.tensor(part).mean().item() for part in zip(*seen[key], strict=True))
        assert (null - exact) / (shown - exact) == pytest.approx(1, abs=0.45)


# ---- rate, dead, sigma


def test_a_rate_by_hand():
    mu = torch.tensor([[[[1.0, 0.0]], [[0.0, 0.0]]]] * 2)  # two images, C = 2, 1 × 2 places
    sigma = torch.ones_like(mu)
    sigma[:, 1] = math.exp(-1)
    of_first, of_second = 0.5, (math.exp(-2) - 1 + 2) / 2  # nats: one latent each
    study = of_codes(mu, sigma)
    shown = numbers(study)
    whole = of_first + 2 * of_second
    assert shown["rate_image"] == pytest.approx(whole)
    assert shown["rate"] == pytest.approx(whole / 4)
    assert shown["rate_position"] == pytest.approx(whole / 2)
    torch.testing.assert_close(
        study.tables["rate_channel"],
        torch.tensor([of_first / 2, of_second], dtype=torch.float64),
    )
    places = torch.tensor([[of_first + of_second, of_second]], dtype=torch.float64)
    torch.testing.assert_close(study.tables["rate_places"], places)
    assert shown["dead"] == 0 and shown["dead_places"] == 0


def test_dead_channels_and_places_are_counted_and_named():
    mu, sigma = normal(300, 4, 2, 2, seed=9), torch.full((300, 4, 2, 2), 0.2)
    mu[:, 1], sigma[:, 1] = 0, 1
    mu[..., 0, :], sigma[..., 0, :] = 0, 1
    study = of_codes(mu.float(), sigma)
    shown = numbers(study)
    assert shown["dead"] == 0.25 and shown["dead_places"] == 0.5
    assert "of 4 channels 1 " in study.row("dead")["dead"].reading
    collapsed = of_codes(0 * mu.float(), torch.ones_like(sigma)).row("dead")
    assert collapsed["dead"].value == 1 and "collapsed" in collapsed["dead"].reading


def test_a_sigma_that_is_no_length_is_told_and_nothing_is_made_of_it():
    mu, sigma = tokens_of()
    study = of_codes(mu, 2 * sigma.log())
    found = study.row("sigma")
    assert found["sigma_max"].value < 0 and "(logvar / 2).exp()" in found["sigma_max"].reading
    assert MEASURES["sigma_max"].condition.verdict(found["sigma_max"].value) == "fail"
    for row in ("rate", "dead"):
        with pytest.raises(Unmeasured, match="not positive"):
            study.row(row)


def test_one_wide_sigma_in_a_thousand_is_not_the_largest():
    sigma = torch.full((1000, 10), 0.5)
    sigma[0, 0] = 30
    assert value(of_codes(torch.zeros(1000, 10), sigma).row("sigma")["sigma_max"]) == 0.5
    sigma[:20] = 30
    assert value(of_codes(torch.zeros(1000, 10), sigma).row("sigma")["sigma_max"]) == 30


def test_unevenness_is_of_latents_not_of_images():
    """log σ² that varies over images alone is even; a finite sample of it adds nothing."""
    levels = torch.linspace(-2, 2, 16, dtype=torch.float64)
    truth, hits, of_even = levels.var(correction=0).item(), [], []
    for seed in range(20):
        logs = 3 * normal(200, 16, seed=seed)
        even, uneven = (
            of_codes(0 * logs, (part / 2).exp()).row("sigma")["posterior_anisotropy"].value
            for part in (logs, logs + levels)
        )
        of_even.append(even.value)
        hits.append(uneven.low < truth < uneven.high)
    assert sum(hits) >= 17
    assert sum(of_even) / 20 < 0.02  # 9/200 without what is taken off


def test_a_level_that_all_latents_share_adds_nothing():
    levels = torch.linspace(-2, 2, 16, dtype=torch.float64)
    logs = levels + 3 * normal(200, 1)
    found = of_codes(0 * logs, (logs / 2).exp()).row("sigma")["posterior_anisotropy"]
    assert value(found) == pytest.approx(levels.var(correction=0).item())


# ---- gap


def test_the_gap_of_a_known_gaussian():
    """N(m, Σ) in closed form, with twenty thousand tokens."""
    root = torch.tensor([[1.5, 0.0], [0.6, 0.4]], dtype=torch.float64)
    mean = torch.tensor([0.5, -1.0], dtype=torch.float64)
    z = normal(20_000, 2, seed=11) @ root.T + mean
    covariance = root @ root.T
    exact = (covariance.trace() + mean.square().sum() - 2 - covariance.logdet()) / 4
    assert value(gap(z)) == pytest.approx(exact.item(), rel=0.03)


def gap(mu, sigma=None):
    """Codes with a noise that is next to nothing, where none is given: points have no prior."""
    return of_codes(mu, torch.full_like(mu, 1e-9) if sigma is None else sigma).row("gap")["gap"]


@pytest.mark.parametrize("alike", [1, 16], ids=["independent", "images of one token"])
def test_a_finite_sample_adds_no_gap(alike):
    """Tokens of the prior's moments, few of them: 0 on average, where C (C + 3) / (4 n C) would
    stand; n counts images where all tokens of one are alike."""
    n, c = 60, 4
    gaps = []
    for seed in range(25):
        tokens = normal(n, c, 1, 1, seed=seed).expand(n, c, alike, 1)
        gaps.append(value(gap(tokens)))
    mean, error = torch.tensor(gaps).mean().item(), torch.tensor(gaps).std().item() / 5
    added = (c + 3) / (4 * n)
    assert abs(mean) < 3 * error < added


def test_half_of_the_variance_may_be_noise():
    mu = normal(8000, 3, seed=12) * 0.6
    assert abs(value(gap(mu, torch.full_like(mu, 0.8)))) < 2e-3
    assert value(gap(mu)) > 0.1


def test_too_few_tokens_have_no_gap():
    with pytest.raises(Unmeasured, match="independent tokens"):
        gap(normal(30, 20, seed=13))


# ---- radius


@pytest.mark.parametrize("d", [2, 64])
def test_normal_codes_lie_on_their_shell(d):
    mu = normal(4000, d, seed=15) * 0.8
    study = of_codes(mu, torch.full_like(mu, 0.6))
    found = study.row("radius")
    for key in ("radius", "radius_spread"):
        assert found[key].value.low < found[key].null < found[key].value.high
    assert found["radius"].null == pytest.approx(1 - 1 / (4 * d), abs=0.012)
    assert found["radius_spread"].null == pytest.approx(1 / math.sqrt(2 * d), rel=0.1)


# ---- errors: first order against leaving images out


@pytest.mark.parametrize("key", ["scale", "radius_spread", "posterior_anisotropy"])
def test_errors_are_those_of_leaving_images_out(key):
    n = 60
    mu, sigma = tokens_of(n=n)
    if key == "radius_spread":  # two shells: the mean moves with the spread
        mu, sigma = normal(n, 8, seed=3), torch.full((n, 8), 0.01, dtype=torch.float64)
        mu = torch.nn.functional.normalize(mu) * (1 + 3 * (torch.arange(n) % 2))[:, None]
    row = MEASURES[key].row
    whole = of_codes(mu, sigma)
    drawn = whole.z

    def left(index):
        part = of_codes(mu[index], sigma[index])
        part.__dict__["z"] = drawn[index]
        return value(part.row(row)[key])

    found = whole.row(row)[key]
    by_hand = jackknife(n, left, groups=n)[0].error
    assert found.value.error == pytest.approx(by_hand, rel=0.1, abs=1e-3)
    assert found.each.mean().item() == pytest.approx(found.value.value)
    assert found.each.std().item() / n**0.5 == pytest.approx(found.value.error)


@pytest.mark.parametrize(
    "key", "channel_ratio channel_offset covariance covariance_used tails gap".split()
)
def test_what_each_image_brings_adds_up_to_the_change_without_it(key):
    """value − value without image i ≈ (each_i − value) / n, for numbers without an interval too."""
    n = 400
    mu, sigma = tokens_of(seed=20, n=n)
    row = MEASURES[key].row
    whole = of_codes(mu, sigma)
    drawn = whole.z
    found = whole.row(row)[key]
    some = range(0, n, 20)
    changes = []
    for i in some:
        index = torch.cat([torch.arange(i), torch.arange(i + 1, n)])
        part = of_codes(mu[index], sigma[index])
        part.__dict__["z"] = drawn[index]
        changes.append((found.value - value(part.row(row)[key])) * n)
    expected = (found.each - found.value)[list(some)]
    seen = torch.tensor(changes, dtype=torch.float64)
    assert torch.corrcoef(torch.stack([seen, expected]))[0, 1] > 0.98
    assert (seen.std() / expected.std()).item() == pytest.approx(1, abs=0.1)


# ---- tables


def test_tables_are_densities_of_the_right_shapes(spatial):
    numbers(spatial)
    c, tables = WORLD.channels, spatial.tables
    assert tables["histogram"].shape == (c, 40) and tables["histogram_edges"].shape == (41,)
    width = tables["histogram_edges"].diff()
    torch.testing.assert_close(
        (tables["histogram"] * width).sum(1), torch.ones(c), atol=0.01, rtol=0
    )
    area = (tables["radii"] * tables["radii_edges"].diff()).sum().item()
    assert area == pytest.approx(1, abs=1e-4)
    assert tables["covariance"].shape == (c, c)
    assert tables["channel_mean"].shape == tables["channel_std"].shape == (c,)
    assert tables["rate_places"].shape == (WORLD.side, WORLD.side)
    torch.testing.assert_close(tables["rate_channel"], WORLD.rates, rtol=0.02, atol=0.01)
    profile = tables["sigma_profile"]
    torch.testing.assert_close(profile, WORLD.sigma[:, None].expand(c, 5))


def test_flat_codes_and_points_have_what_is_defined_for_them():
    flat = numbers(of_codes(normal(200, 6), torch.full((200, 6), 0.1).double()))
    assert math.isnan(flat["dead_places"]) and flat["rate_position"] == flat["rate_image"]
    points = of_codes(normal(200, 6))
    assert points.kind == "point"
    assert value(points.row("scale")["scale"]) == pytest.approx(1, abs=0.1)
    assert points.row("scale")["scale"].null is None


def test_collapse_is_found_in_the_exact_world():
    """A price above all eigenvalues: nothing is worth its nats."""
    world = replace(WORLD, beta=1.0)
    study = Study(world.encode, world.decode, world.images(64))
    shown = numbers(study, ["rate", "dead", "sigma"])
    assert shown["dead"] == 1 and shown["rate"] == pytest.approx(0, abs=1e-9)
    assert MEASURES["rate"].condition.verdict(shown["rate"]) == "fail"
    assert isinstance(study.row("dead")["dead"], Found)
