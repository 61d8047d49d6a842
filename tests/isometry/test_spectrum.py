"""Stochastic Lanczos quadrature against whole spectra: closed and dense ones, to d = 1,024."""

import math
import weakref

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.isometry.test_operator import SPATIAL, dense, mid_block
from tests.worlds import (
    Blur,
    Circles,
    ConstantDecoder,
    Eigenvalues,
    Tanh,
    Tori,
    TurnedLinear,
    log_uniform,
    normal,
    turned,
)
from vae_course.evaluation import Estimate
from vae_course.isometry import Spectrum, metric_scaled, parts, spectrum

SIX = {
    "tori": (Tori(), (256,)),
    "linear, 1e2": (TurnedLinear(log_uniform(1024, 1e2)), (1024,)),
    "linear, 1e4": (TurnedLinear(log_uniform(512, 1e4)), (512,)),
    "blur": (Blur(16, 3e3, wave=0.4), (1, 16, 16)),
    "tanh": (Tanh(64, 512, 784, gain=1.5), (64,)),
    "tanh, square": (Tanh(256, 1024, 256, gain=2.0), (256,)),
}
FLOOR, PRICE = 1e-2, 0.2


def everything(found: Spectrum, floor: float = FLOOR) -> dict[str, Estimate]:
    return {
        "log_det": found.log_det(floor),
        "log_variance": found.log_variance(floor),
        "rate": found.rate(PRICE),
        "used": found.used(),
        "mean": found.mean(torch.sqrt),
    }


def truths(values: Tensor, floor: float = FLOOR) -> dict[str, float]:
    exact = Eigenvalues(values)
    return {
        "log_det": exact.log_det(floor),
        "log_variance": exact.log_variance(floor),
        "rate": exact.rate(PRICE),
        "used": exact.used(),
        "mean": exact.mean(torch.sqrt),
    }


def inside(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


# ---- all eigenvalues


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ["tanh", "tori", "blur"])
def test_few_latents_are_done_exactly(name, dtype, tol):
    world, shape = {
        "tanh": (Tanh(24, 40, 60), (24,)),
        "tori": (Tori(), (4, 6)),
        "blur": (Blur(5, 1e2, wave=0.4), (1, 5, 5)),
    }[name]
    z = normal(5, *shape, seed=1)
    found = spectrum(world.decode, z.to(dtype), probes=2, steps=8)
    values = world.spectrum_exact(z)
    d = values.shape[1]
    assert found.exact and found.d == d and found.n == 5 and found.products == 5 * d
    assert_close(found.largest.double(), values.amax(1), rtol=tol, atol=0.0)
    assert_close(found.per_code(torch.log).double(), values.log().mean(1), rtol=0.0, atol=30 * tol)
    wanted = truths(values)
    for key, estimate in everything(found).items():
        assert estimate.value == pytest.approx(wanted[key], rel=10 * tol, abs=10 * tol), key
        assert estimate.truncation == 0 and estimate.n == 5
    spread = found.volume_spread(FLOOR)
    assert spread.value == pytest.approx(Eigenvalues(values).volume_spread(FLOOR), rel=1e2 * tol)


def test_one_code_done_exactly_has_no_error():
    world, z = Tanh(24, 40, 60), normal(1, 24, seed=1)
    wanted = truths(world.spectrum_exact(z))
    for key, estimate in everything(spectrum(world.decode, z)).items():
        assert estimate.error == 0 and estimate.truncation == 0, key
        assert estimate.low == estimate.value == estimate.high
        assert estimate.value == pytest.approx(wanted[key], rel=1e-12), key


def test_errors_of_the_exact_are_over_codes():
    world, z = Tanh(24, 40, 60), normal(7, 24, seed=1)
    found = spectrum(world.decode, z).mean(torch.sqrt)
    each = world.spectrum_exact(z).sqrt().mean(1)
    assert found.error == pytest.approx(each.std().item() / 7**0.5, rel=1e-10)
    assert found.high - found.value == pytest.approx(2.446912 * found.error, rel=1e-6)  # t, 6 df


@pytest.mark.parametrize("metric", ["matrix", "scaled"])
@pytest.mark.parametrize("steps", [48, 5], ids=["exact", "quadrature"])
def test_under_a_metric(metric, steps):
    world, z = Tanh(24, 40, 30), normal(6, 24, seed=1)
    root = normal(30, 30, seed=2)
    form, matrix = {
        "matrix": (root @ root.T, (root @ root.T)[None]),
        "scaled": (
            metric_scaled(lambda x: 1 + x.square().sum(1)),
            (1 + world.decode(z).square().sum(1))[:, None, None] * torch.eye(30).double(),
        ),
    }[metric]
    j = world.jacobian_exact(z)
    wanted = truths(torch.linalg.eigvalsh(j.mT @ matrix @ j))
    found = spectrum(world.decode, z, metric=form, probes=2, steps=steps)
    assert found.exact == (steps == 48)
    for key, estimate in everything(found).items():
        if found.exact:
            assert estimate.value == pytest.approx(wanted[key], rel=1e-10), key
        else:
            assert inside(estimate, wanted[key]), (key, estimate, wanted[key])


def test_fewer_outputs_than_latents_leave_zeros():
    world, z = Tanh(12, 30, 5), normal(4, 12, seed=1)
    values = torch.cat([world.spectrum_exact(z), torch.zeros(4, 7).double()], 1)
    found = spectrum(world.decode, z)
    assert found.exact and found.used().value == pytest.approx(
        Eigenvalues(values).used(), rel=1e-10
    )
    assert found.log_det(1e-3).value == pytest.approx(Eigenvalues(values).log_det(1e-3), rel=1e-10)
    assert found.unseen(1e-4) == pytest.approx(7 / 12, abs=1e-10)


# ---- quadrature


# Half-widths of log det / d and of its variance: what probes leave, sqrt(2 Var log / (d probes n)),
# t for 7 degrees of freedom, and as much again for luck.
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SIX)
def test_a_quadrature_finds_what_a_dense_spectrum_says(name, dtype):
    world, shape = SIX[name]
    z = normal(8, *shape, seed=1)
    values = world.spectrum_exact(z)
    found = spectrum(world.decode, z.to(dtype), steps=40, probes=2 if name != "tanh" else 1)
    if name == "tanh":  # 64 latents would be done exactly
        found = spectrum(world.decode, z.to(dtype), steps=15, probes=2)
    assert not found.exact
    wanted = truths(values)
    noise = math.sqrt(Eigenvalues(values).log_variance(FLOOR) / values.shape[1] / 8)
    for key, estimate in everything(found).items():
        assert inside(estimate, wanted[key]), (key, estimate, wanted[key])
    log_det = found.log_det(FLOOR)
    assert abs(log_det.value - wanted["log_det"]) < 4 * noise
    relative = (found.largest.double() / values.amax(1) - 1).abs().max()
    assert relative < 1e-3 and (found.largest.double() <= values.amax(1) * (1 + 1e-5)).all()


@pytest.mark.parametrize("name", ["linear, 1e2", "tanh, square"])
def test_one_code_has_the_error_of_its_probes(name):
    world, shape = SIX[name]
    z = normal(1, *shape, seed=1)
    found = spectrum(world.decode, z, probes=8, steps=30)
    if found.exact:
        found = spectrum(world.decode, z, probes=8, steps=15)
    values = world.spectrum_exact(z)
    estimate, truth = found.log_det(FLOOR), Eigenvalues(values).log_det(FLOOR)
    assert inside(estimate, truth)
    noise = math.sqrt(2 * Eigenvalues(values).log_variance(FLOOR) / values.shape[1] / 8)
    assert noise / 3 < estimate.error < 3 * noise


def test_a_spatial_decoder_with_attention():
    decoder, z = mid_block(), normal(6, *SPATIAL, seed=1)
    values = torch.linalg.svdvals(dense(decoder, z)).square()
    wanted = truths(values)
    for key, estimate in everything(spectrum(decoder, z)).items():
        assert estimate.value == pytest.approx(wanted[key], rel=1e-10), key
    found = spectrum(decoder, z, steps=5)
    assert not found.exact and found.products == 6 * 2 * 2 * 5
    for key, estimate in everything(found).items():
        assert inside(estimate, wanted[key]), (key, estimate, wanted[key])
    single = spectrum(decoder.float(), z.float())
    for key, estimate in everything(single).items():
        assert estimate.value == pytest.approx(wanted[key], rel=1e-4, abs=1e-5), key


def test_the_variance_has_no_bias_from_few_probes():
    """400 codes of 16 latents in a space of 7 steps, whose truncation the floor hides: a plug-in
    variance would be too small by the probes' own, here 2/18 of the whole at two probes."""
    world = TurnedLinear(log_uniform(16, 10.0))
    found = spectrum(world.decode, torch.zeros(2000, 16).double(), probes=1, steps=7)
    with pytest.raises(ValueError, match=r"two probes at each code: spectrum\(..., probes=2\)"):
        found.log_variance(0.1)
    z = torch.zeros(4000, 24).double()
    world = TurnedLinear(log_uniform(24, 10.0))
    found = spectrum(world.decode, z, probes=2, steps=5)
    assert not found.exact
    exact = Eigenvalues(world.spectrum_exact(z))
    variance, truth = found.log_variance(0.1), exact.log_variance(0.1)
    assert abs(variance.value - truth) < 4 * variance.error + variance.truncation
    assert variance.error < 0.01 * truth  # the bias would be 4 % of it
    used = found.used()
    assert abs(used.value - exact.used()) < 4 * used.error + used.truncation
    assert used.error < 0.004


def test_the_spread_of_volume_is_geometry_alone():
    """Codes of one metric spread by the probes' noise, which is taken out; of two, by both."""
    same = TurnedLinear(log_uniform(256, 1e2))
    none = spectrum(same.decode, torch.zeros(32, 256).double(), steps=30).volume_spread(0.0)
    noise = math.sqrt(Eigenvalues(same.eigenvalues[None]).log_variance() / 256)
    assert none.value < noise and none.low == 0 and none.high < 2 * noise

    def scaled(z: Tensor) -> Tensor:  # by e^z0: log det / d spreads by 2 SD(z0)
        return same.decode(z[:, 1:]) * z[:, :1].exp()

    z = torch.cat([0.1 * normal(64, 1, seed=1), torch.zeros(64, 256).double()], 1)
    found = spectrum(scaled, z, steps=30).volume_spread(1e-3)
    truth = 2 * z[:, 0].std().item()
    assert inside(found, truth) and abs(found.value - truth) < 0.2 * truth

    # As large as the probes' noise: a variance of .010 beside .007, of 400 codes known to
    # (.010 + .007) sqrt(2 / 400) = .0012, the noise itself to .0005. Counted twice it would leave
    # .003, not at all .017.
    z = torch.cat([0.05 * normal(400, 1, seed=2), torch.zeros(400, 256).double()], 1)
    found = spectrum(scaled, z, steps=16).volume_spread(1e-3)
    assert abs(found.value**2 - (2 * z[:, 0].std().item()) ** 2) < 3 * 1.3e-3


@pytest.mark.parametrize("steps", [96, 12], ids=["exact", "quadrature"])
def test_the_spread_of_a_code_dependent_volume(steps):
    world, z = Tanh(64, 512, 784, gain=1.5), normal(48, 64, seed=1)
    found = spectrum(world.decode, z, steps=steps).volume_spread(FLOOR)
    truth = Eigenvalues(world.spectrum_exact(z)).volume_spread(FLOOR)
    assert inside(found, truth) and found.high < 2 * truth


# ---- theorems


def test_seeds_reproduce_and_differ():
    world, shape = SIX["linear, 1e2"]
    z = torch.zeros(2, *shape)
    a, b, c = (spectrum(world.decode, z, steps=10, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a.nodes, b.nodes) and torch.equal(a.weights, b.weights)
    assert a.log_det(FLOOR) == b.log_det(FLOOR) != c.log_det(FLOOR)
    assert not torch.allclose(a.weights[0], a.weights[1])  # each code has probes of its own
    assert not torch.allclose(a.weights[:, 0], a.weights[:, 1])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    spectrum(world.decode, z, steps=2)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("steps", [48, 6], ids=["exact", "quadrature"])
def test_chunks_change_nothing(steps):
    decoder, z = mid_block(), normal(7, *SPATIAL, seed=1)
    seen: list[int] = []

    def spied(z: Tensor) -> Tensor:
        seen.append(len(z))
        return decoder(z)

    whole = spectrum(spied, z, steps=steps, probes=1)
    assert max(seen) == 7
    for chunk in (1, 2, 3, 100):
        seen.clear()
        found = spectrum(spied, z, steps=steps, probes=1, chunk=chunk)
        assert max(seen) <= chunk and found.products == whole.products
        assert_close(found.largest, whole.largest, rtol=1e-10, atol=0.0)
        a, b = found.per_code(torch.sqrt), whole.per_code(torch.sqrt)
        assert_close(a, b, rtol=1e-10, atol=0.0)


def test_as_many_codes_at_once_as_fit_what_may_be_held(monkeypatch):
    decoder, z = mid_block(), normal(9, *SPATIAL, seed=1)
    whole = spectrum(decoder, z, steps=6)
    bytes_for_one = parts._bytes_for_one(decoder, z[:1], 2 * 6)
    assert 2 * 6 * 8 * (24 + 48) < bytes_for_one < 1e6  # the Krylov bases, and the graphs
    monkeypatch.setattr(parts, "HELD", 4 * bytes_for_one)
    seen: list[int] = []

    def spied(z: Tensor) -> Tensor:
        seen.append(len(z))
        return decoder(z)

    found = spectrum(spied, z, steps=6)
    assert seen == [1, 3, 3, 3]  # one to look; equal parts, none of more than 4
    assert_close(found.per_code(torch.sqrt), whole.per_code(torch.sqrt), rtol=1e-10, atol=0.0)


def test_nothing_is_kept():
    """Graphs that save what they made would hold themselves for ever."""
    made: list[weakref.ref[Tensor]] = []

    def decoder(z: Tensor) -> Tensor:
        h = z.exp()
        made.append(weakref.ref(h))
        return h.sin()

    spectrum(decoder, normal(3, 6, seed=1))
    assert made and all(one() is None for one in made)


@pytest.mark.parametrize("mode", ["reverse", "forward"])
def test_modes_agree(mode):
    decoder, z = mid_block(), normal(3, *SPATIAL, seed=1)
    one, other = (spectrum(decoder, z, steps=5, mode=m) for m in ("auto", mode))
    assert_close(one.per_code(torch.sqrt), other.per_code(torch.sqrt), rtol=1e-10, atol=0.0)


@pytest.mark.parametrize("steps", [48, 6], ids=["exact", "quadrature"])
def test_a_turn_of_the_outputs_changes_nothing(steps):
    world, z = Tanh(40, 64, 96), normal(4, 40, seed=1)
    plain = everything(spectrum(world.decode, z, steps=steps))
    moved = everything(spectrum(lambda z: turned(world.decode(z), seed=5) + 3, z, steps=steps))
    for key in plain:
        assert moved[key] == pytest.approx(plain[key], rel=1e-9, abs=1e-12), key


@pytest.mark.parametrize("steps", [48, 6], ids=["exact", "quadrature"])
def test_a_larger_image_is_a_larger_volume_and_nothing_else(steps):
    world, z, c = Tanh(40, 64, 96), normal(4, 40, seed=1), 7.0
    one = spectrum(world.decode, z, steps=steps)
    two = spectrum(lambda z: c * world.decode(z), z, steps=steps)
    for floor in (0.0, FLOOR):
        shift = two.log_det(floor).value - one.log_det(floor).value
        assert shift == pytest.approx(2 * math.log(c), rel=1e-9)
        for key in ("log_variance", "volume_spread"):
            a, b = getattr(one, key)(floor), getattr(two, key)(floor)
            assert a == pytest.approx(b, rel=1e-7, abs=1e-10), key
    assert one.used() == pytest.approx(two.used(), rel=1e-9)
    assert one.rate(PRICE) == pytest.approx(
        two.rate(c**2 * PRICE)._replace(products=one.products), rel=1e-9
    )
    assert_close(two.largest, c**2 * one.largest, rtol=1e-10, atol=0.0)


@pytest.mark.parametrize("steps", [96, 10], ids=["exact", "quadrature"])
def test_of_a_direct_sum_the_mean_is_the_mean(steps):
    worlds = Tanh(40, 64, 96), Tori()
    z = normal(6, 60, seed=1)

    def both(z: Tensor) -> Tensor:
        codes = z.split([40, 20], 1)
        return torch.cat([p.decode(c).flatten(1) for p, c in zip(worlds, codes, strict=True)], 1)

    found = spectrum(both, z, steps=steps)
    alone = [p.spectrum_exact(c) for p, c in zip(worlds, z.split([40, 20], 1), strict=True)]
    for f in (torch.sqrt, lambda value: (value + 0.1).log()):
        wanted = sum(f(values).sum(1) for values in alone) / 60
        estimate = found.mean(f)
        assert inside(estimate, wanted.mean().item())
        if found.exact:
            assert_close(found.per_code(f), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ["circles", "turned", "twice"])
def test_an_isometry_is_known_by_one_step(name, dtype, tol):
    """All eigenvalues are 4: the space ends at once, and nothing is left to truncate. What rounding
    leaves of a direction is no new one, which would spoil all that follow."""
    decoder = {
        "circles": Circles(torch.full((500,), 2.0).double()).decode,
        "turned": TurnedLinear(torch.full((500,), 4.0).double()).decode,
        "twice": lambda z: 2 * z,
    }[name]
    found = spectrum(decoder, normal(3, 500, seed=1).to(dtype))
    assert not found.exact
    assert_close(found.largest, torch.full_like(found.largest, 4.0), rtol=tol, atol=0.0)
    for key, wanted in {
        "log_det": math.log(4 * (1 + FLOOR)),
        "log_variance": 0.0,
        "rate": math.log1p(8 / PRICE) / 2,
        "used": 1.0,
        "mean": 2.0,
    }.items():
        estimate = everything(found)[key]
        assert estimate.value == pytest.approx(wanted, abs=tol), key
        assert estimate.high - estimate.low < 10 * tol, key
    assert found.unseen(1e-3) == pytest.approx(0, abs=tol)


def test_the_unseen_is_what_lies_near_the_floor():
    """A quarter of a log-uniform spectrum of condition 1e4 lies below ten times 1e-4."""
    world = TurnedLinear(log_uniform(180, 1e4))
    z = torch.zeros(2, 180).double()
    assert spectrum(world.decode, z).unseen(1e-4) == pytest.approx(0.25, abs=0.01)
    rough = spectrum(world.decode, z.repeat(20, 1), steps=40)
    assert not rough.exact and rough.unseen(1e-4) == pytest.approx(0.25, abs=0.03)
    assert rough.unseen(0.0) == 0


def test_more_steps_leave_less_to_truncate():
    world = TurnedLinear(log_uniform(512, 1e4))
    z = torch.zeros(4, 512).double()
    left = [spectrum(world.decode, z, steps=k).log_det(1e-3).truncation for k in (12, 24, 48, 96)]
    assert all(b < a / 2 for a, b in zip(left, left[1:], strict=False)) and left[-1] < 1e-4


# ---- limits


def test_an_isolated_small_eigenvalue_is_not_seen():
    """One of 512 is a millionth of the least of the others: log det / d should fall by 13.8 / 512
    where the estimate hardly moves. No seed and no step helps but those of a whole space."""
    values = log_uniform(512, 1e4)
    pinched = torch.cat([values[:-1], values[-1:] * 1e-6])
    z = torch.zeros(8, 512).double()
    one, two = (spectrum(TurnedLinear(v).decode, z).log_det(0.0).value for v in (values, pinched))
    truth = (pinched.log() - values.log()).mean().item()
    assert truth == pytest.approx(-math.log(1e6) / 512)
    assert abs(two - one) < 0.2 * abs(truth)


def test_steps_that_do_not_reach_the_floor_are_paid_for_by_the_interval():
    world = TurnedLinear(log_uniform(512, 1e4))
    found = spectrum(world.decode, torch.zeros(8, 512).double()).log_variance(1e-6)
    truth = Eigenvalues(world.eigenvalues[None]).log_variance(1e-6)
    plain = 2.364624 * found.error  # t, 7 degrees of freedom
    assert found.truncation > 0.1 and inside(found, truth)
    assert found.high - found.value == pytest.approx(plain + found.truncation, rel=1e-6)


def test_in_float32_at_a_condition_of_1e8():
    """120 steps reach a floor of 1e-4. The probes are those of float64, and so is their noise. Half
    of the spectrum lies below this floor: without one, only a whole space would do, or all
    eigenvalues, as below and in ``test_krylov.py``."""
    world = TurnedLinear(log_uniform(1024, 1e8))
    z = torch.zeros(3, 1024)
    single, double = (
        spectrum(world.decode, z.to(dtype), steps=120) for dtype in (torch.float32, torch.float64)
    )
    assert not single.exact
    a, b = single.log_det(1e-4), double.log_det(1e-4)
    assert a.value == pytest.approx(b.value, abs=1e-4)
    assert inside(a, Eigenvalues(world.eigenvalues[None]).log_det(1e-4))
    assert a.truncation < 0.02


def test_in_float32_at_a_condition_of_1e8_all_eigenvalues():
    world = TurnedLinear(log_uniform(192, 1e8))
    found = spectrum(world.decode, torch.zeros(1, 192))
    assert found.exact and found.log_det(0.0).value == pytest.approx(-9.2103, abs=0.01)


def test_in_float32_with_65536_latents():
    """A blur of images of 256 x 256, of condition 1e4. 24 steps reach a floor of 1e-2; what is left
    is the probes' noise, sqrt(2 Var log / (d probes codes)) = .003."""
    world = Blur(256, 1e4)
    found = spectrum(world.decode, torch.zeros(4, 1, 256, 256), steps=24)
    truth = Eigenvalues(world.spectrum_exact(torch.zeros(1, 1))).log_det(FLOOR)
    estimate = found.log_det(FLOOR)
    assert found.d == 65536 and inside(estimate, truth)
    assert abs(estimate.value - truth) < 0.02


# ---- what is refused

LINEAR = TurnedLinear(log_uniform(6, 10.0))
Z = torch.zeros(4, 6)


@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"probes": 0}, ValueError, "probes must be at least 1, got 0"),
        ({"probes": 2.0}, TypeError, "probes must be an int, got 2.0"),
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        ({"chunk": 0}, ValueError, "chunk must be at least 1, got 0"),
        ({"mode": "both"}, ValueError, "mode='both': choose"),
        ({"metric": torch.eye(5)}, ValueError, r"metric has shape \(5, 5\); for 6 outputs"),
        ({"metric": -torch.eye(6)}, ValueError, "metric has directions of negative length"),
        ({"z": Z[0]}, ValueError, r"z has shape \(6,\)"),
        ({"z": Z / 0}, ValueError, "z must be finite, got nan"),
        ({"z": Z.long()}, TypeError, "z must hold floating-point"),
        ({"z": Z.half()}, ValueError, "z is torch.float16: give .*float32"),
    ],
)
def test_arguments_are_named(unchecked, given, error, message):
    with pytest.raises(error, match=message):
        spectrum(**({"decoder": LINEAR.decode, "z": Z} | given))


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda s: s.log_det(-0.1), ValueError, "floor=-0.1: .*from 0 to below 1"),
        (lambda s: s.log_det(1), ValueError, "floor=1: .*from 0 to below 1"),
        (lambda s: s.log_variance(float("nan")), ValueError, "floor must be finite, got nan"),
        (lambda s: s.unseen("little"), TypeError, "floor must be a number, got str"),
        (lambda s: s.rate(0), ValueError, "price must be finite and greater than 0, got 0"),
        (lambda s: s.rate(torch.ones(2)), TypeError, "price must be a number, got Tensor"),
        (lambda s: s.mean(torch.sum), ValueError, "f gave .*elementwise"),
        (lambda s: s.mean(lambda v: 1.0), ValueError, "f gave float .*elementwise"),
        (lambda s: s.per_code(lambda v: (v - 2).log()), ValueError, "f is not finite"),
        (lambda s: s.volume_spread(0.0), ValueError, "a spread over codes needs 3 .*got 2"),
    ],
)
def test_questions_out_of_range_are_named(unchecked, call, error, message):
    found = spectrum(LINEAR.decode, Z[:2])
    with pytest.raises(error, match=message):
        call(found)


@pytest.mark.parametrize("steps", [48, 2], ids=["exact", "quadrature"])
def test_where_nothing_moves_there_is_no_logarithm(steps):
    world = ConstantDecoder(d=9)
    found = spectrum(world.decode, torch.zeros(3, 9).double(), steps=steps)
    assert found.rate(PRICE).value == 0 and found.mean(torch.sqrt).value == 0
    assert (found.largest == 0).all()
    for call in (found.log_det, found.log_variance, found.volume_spread, found.unseen):
        with pytest.raises(ValueError, match="metric is 0 at 3 of 3 codes: .*collapsed"):
            call(1e-3)
    with pytest.raises(ValueError, match="metric is 0 at 3 of 3 codes"):
        found.used()


@pytest.mark.parametrize(
    "decoder, message",
    [
        (lambda z: z.detach(), "decoder has no derivative by the code"),
        (lambda z: z - z.mean(0), "decoder mixes rows"),
        (lambda z: z.sum(1), r"decoder gave shape \(\d,\)"),
        (lambda z: z.abs().sqrt(), "Jacobian is not finite"),
    ],
)
def test_what_is_no_decoder_is_refused(decoder, message):
    with pytest.raises(ValueError, match=message):
        spectrum(decoder, Z)


def test_what_does_not_fit_the_memory_says_which_chunk_does():
    def small(z: Tensor) -> Tensor:
        if len(z) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return LINEAR.decode(z)

    with pytest.raises(MemoryError, match="4 codes at once do not fit the memory: give chunk=2"):
        spectrum(small, Z)
    assert spectrum(small, Z, chunk=2).n == 4
    with pytest.raises(MemoryError, match="one code alone does not"):
        spectrum(lambda z: small(z.expand(3, -1))[:1], Z[:1])
