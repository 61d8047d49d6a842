"""Largest eigenvalues, trace and diagonal against dense ones; residuals that are true bounds."""

import math

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
)
from vae_course.isometry import diagonal, largest, metric_scaled, pullback_metric, trace

FALLING = 1e-5 ** ((torch.arange(196).double() / 195) ** 0.7)  # fast at first, as of decoders
WORLDS = {
    "falling": (TurnedLinear(FALLING), (196,)),
    "log-uniform": (TurnedLinear(log_uniform(64, 1e3)), (64,)),
    "tanh": (Tanh(20, 40, 60), (20,)),
    "tori": (Tori(), (2, 6)),
    "blur": (Blur(6, 1e2, wave=0.4), (1, 6, 6)),
}


def to_nearest(values: Tensor, exact: Tensor) -> Tensor:
    """How far each value (batch, k) is from the eigenvalue next to it."""
    return (values[:, :, None].double() - exact[:, None]).abs().amin(2)


# ---- the largest


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", ["tanh", "tori", "blur"])
def test_with_all_steps_they_are_those_of_the_matrix(name, dtype, tol):
    world, shape = WORLDS[name]
    z = normal(3, *shape, seed=1)
    d = z[0].numel()
    found = largest(world.decode, z.to(dtype), k=3, steps=d)
    metric = pullback_metric(world.decode, z)
    exact, vectors = (t.flip(-1) for t in torch.linalg.eigh(metric))
    if name == "tori":  # half of its eigenvalues are alike: one start finds one of them
        assert (to_nearest(found.values, exact) < tol * exact[:, :1]).all()
    else:
        assert_close(found.values.double(), exact[:, :3], rtol=tol, atol=0.0)
    assert found.values.shape == found.residuals.shape == (3, 3)
    assert found.vectors.shape == (3, 3, *shape) and found.values.dtype == dtype
    assert found.products == 3 * 2 * d
    flat = found.vectors.double().flatten(2)
    gram = flat @ flat.mT
    assert_close(gram, torch.eye(3).double().expand(3, -1, -1), rtol=0.0, atol=10 * tol)
    if name == "tanh":
        turn = torch.einsum("nkd,ndk->nk", flat, vectors[:, :, :3]).abs()
        assert_close(turn, torch.ones(3, 3).double(), rtol=0.0, atol=100 * tol)


@pytest.mark.parametrize("steps", [4, 6, 8, 12, 16, 24])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", WORLDS)
def test_an_eigenvalue_lies_within_each_residual(name, dtype, steps):
    """A theorem for symmetric matrices, and so without exception: 5 worlds, 20 codes, 4 values."""
    world, shape = WORLDS[name]
    z = normal(20, *shape, seed=1)
    steps = min(steps, z[0].numel())
    found = largest(world.decode, z.to(dtype), steps=steps, seed=3)
    exact = world.spectrum_exact(z)
    top = exact.amax(1, keepdim=True)
    bound = found.residuals.double() + 32 * torch.finfo(torch.float64).eps * top  # the oracle's own
    assert (to_nearest(found.values, exact) <= bound).all()
    assert (found.values.double() <= top + bound).all()
    assert (found.values.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 3e-6)])
def test_residuals_are_what_they_say(dtype, tol):
    world, shape = WORLDS["falling"]
    z = torch.zeros(2, *shape).double()
    found = largest(world.decode, z.to(dtype), steps=10)
    metric = pullback_metric(world.decode, z)
    v = found.vectors.double()
    wanted = (v @ metric - found.values.double()[:, :, None] * v).norm(dim=2)
    assert_close(found.residuals.double(), wanted, rtol=1e-3, atol=tol)


# Relative errors of the first and of the fourth value at most, medians of 20 starts; measured are
# 1e-12/4e-16/4e-16 and 1e-3/5e-7/1e-15.
@pytest.mark.parametrize(
    "steps, first, fourth", [(12, 6e-6, 7e-2), (16, 1e-7, 3e-6), (24, 1e-7, 6e-8)]
)
def test_two_dozen_steps_find_four_at_a_condition_of_1e5(steps, first, fourth):
    world, shape = WORLDS["falling"]
    found = largest(world.decode, torch.zeros(20, *shape).double(), steps=steps)
    errors = (found.values / FALLING[:4] - 1).abs().median(0).values
    assert errors[0] < first and errors[3] < fourth


def test_in_float32_two_dozen_steps_are_right_to_1e_6_of_the_largest():
    world, shape = WORLDS["falling"]
    found = largest(world.decode, torch.zeros(20, *shape), steps=24)
    assert_close(found.values.double(), FALLING[:4].expand(20, -1), rtol=0.0, atol=1e-6)


SOME_ALIKE = {  # with their eigenvalues
    "twice": (lambda z: 2 * z, [4.0] * 30),
    "turned": (TurnedLinear(torch.ones(30).double()).decode, [1.0] * 30),
    "two": (TurnedLinear(torch.tensor([4.0] * 10 + [1.0] * 20).double()).decode, [4.0, 1.0]),
    "few": (TurnedLinear(torch.tensor([4.0, 2] + [0] * 28).double()).decode, [4.0, 2.0, 0.0]),
    "cut": (lambda z: z[:, :2], [1.0, 0.0]),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SOME_ALIKE)
def test_where_eigenvalues_are_alike_what_comes_is_still_one(name, dtype):
    """One start sees an isometry's space end after a step; values and vectors stay what they are
    said to be."""
    decoder, exact = SOME_ALIKE[name]
    found = largest(decoder, torch.zeros(5, 30, dtype=dtype), steps=10)
    rounding = 32 * torch.finfo(torch.float64).eps * exact[0]  # of the worlds themselves
    far = to_nearest(found.values, torch.tensor([exact]).double())
    assert (far <= found.residuals.double() + rounding).all()
    flat = found.vectors
    gram = torch.eye(4, dtype=dtype).expand(5, -1, -1)
    assert_close(flat @ flat.mT, gram, rtol=0.0, atol=1e-5)


def test_equal_lengths_are_no_zeros_under_a_metric_either():
    found = largest(lambda z: z, torch.zeros(2, 30), metric=lambda x, v: 4 * v, steps=10)
    assert_close(found.values, torch.full((2, 4), 4.0))


def test_largest_under_a_metric_and_in_chunks():
    decoder, z = mid_block(), normal(5, *SPATIAL, seed=1)
    metric = metric_scaled(lambda x: 1 + x.flatten(1).square().mean(1))
    exact = torch.linalg.eigvalsh(pullback_metric(decoder, z, metric)).flip(1)
    found = largest(decoder, z, metric=metric, steps=24)
    assert_close(found.values, exact[:, :4], rtol=1e-9, atol=0.0)
    for chunk in (1, 2, 9):
        parts = largest(decoder, z, metric=metric, steps=24, chunk=chunk)
        assert_close(parts.values, found.values, rtol=1e-9, atol=0.0)
        assert parts.products == found.products
    alone = largest(decoder, z, k=1, steps=24)
    j = dense(decoder, z)
    assert_close(alone.values[:, 0], torch.linalg.matrix_norm(j, 2).square(), rtol=1e-9, atol=0.0)


def test_seeds_of_largest_reproduce_and_differ():
    world, shape = WORLDS["falling"]
    z = torch.zeros(2, *shape)
    a, b, c = (largest(world.decode, z, steps=6, seed=seed).values for seed in (1, 1, 2))
    assert torch.equal(a, b) and not torch.equal(a, c) and not torch.equal(a[0], a[1])


# ---- the trace


@pytest.mark.parametrize("world", [Tori(), Circles(torch.linspace(0.1, 3, 40).double())])
def test_the_trace_of_a_diagonal_needs_one_probe(world):
    z = normal(5, 40, seed=1)
    each = world.spectrum_exact(z).sum(1)
    found = trace(world.decode, z, probes=1)
    assert found.value == pytest.approx(each.mean().item(), rel=1e-12)
    assert found.error == pytest.approx(each.std().item() / 5**0.5, rel=1e-6, abs=1e-12)
    assert found.products == 5 and found.n == 5


@pytest.mark.parametrize("metric", [None, metric_scaled(lambda x: 1 + x.square().sum(1))])
def test_as_many_probes_as_latents_sum_the_columns(metric):
    world, z = Tanh(12, 20, 30), normal(3, 12, seed=1)
    each = pullback_metric(world.decode, z, metric).diagonal(dim1=1, dim2=2).sum(1)
    found = trace(world.decode, z, metric=metric, probes=12)
    assert found.value == pytest.approx(each.mean().item(), rel=1e-12)
    alone = trace(world.decode, z[:1], metric=metric, probes=12)
    assert alone.value == pytest.approx(each[0].item(), rel=1e-12)
    assert alone.error == 0 and alone.low == alone.high == alone.value


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_hutchinson_is_unbiased_and_knows_its_error(dtype):
    world = TurnedLinear(log_uniform(128, 1e2))
    z = torch.zeros(400, 128, dtype=dtype)
    truth = world.eigenvalues.sum().item()
    found = trace(world.decode, z, probes=4)
    metric = pullback_metric(world.decode, z[:1].double())[0]
    beside = metric.square().sum() - metric.diagonal().square().sum()
    wanted = math.sqrt(2 * beside.item() / (4 * 400))  # Var of one probe is 2 sum_{i != j} A_ij²
    assert abs(found.value - truth) < 4 * found.error
    assert found.error == pytest.approx(wanted, rel=0.2)
    one = trace(world.decode, z[:1], probes=100)
    assert one.n == 100 and one.low < truth < one.high
    assert one.error == pytest.approx(wanted * 4, rel=0.4)  # 100 probes, not 1600
    assert trace(world.decode, z[:1], probes=1).error == math.inf


def test_seeds_and_chunks_of_the_trace():
    decoder, z = mid_block(), normal(5, *SPATIAL, seed=1)
    whole = trace(decoder, z)
    assert whole == trace(decoder, z) and whole != trace(decoder, z, seed=1)
    for chunk in (1, 2, 9):
        assert trace(decoder, z, chunk=chunk) == pytest.approx(whole, rel=1e-10)
    assert whole.low < dense(decoder, z).square().sum((1, 2)).mean().item() < whole.high
    assert trace(decoder, z, mode="forward") == pytest.approx(whole, rel=1e-10)


# ---- the diagonal


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("name", WORLDS)
def test_the_diagonal_is_the_metrics(name, dtype, tol):
    world, shape = WORLDS[name]
    z = normal(3, *shape, seed=1)
    exact = dense(world.decode, z).square().sum(1)
    found = diagonal(world.decode, z.to(dtype))
    assert found.shape == exact.shape and found.dtype == dtype
    assert_close(found.double(), exact, rtol=tol, atol=tol * exact.max().item())
    if name == "tori":
        assert_close(exact, world.diagonal_exact(z))


@pytest.mark.parametrize("chunk", [None, 1, 2])
def test_some_coordinates_and_each_code_its_own(chunk):
    decoder, z = mid_block(), normal(3, *SPATIAL, seed=1)
    metric = metric_scaled(lambda x: 1 + x.flatten(1).square().mean(1))
    exact = pullback_metric(decoder, z, metric).diagonal(dim1=1, dim2=2)
    some = torch.tensor([23, 0, 7, 7])
    found = diagonal(decoder, z, some, metric=metric, chunk=chunk)
    assert_close(found, exact[:, some], rtol=1e-10, atol=0.0)
    own = torch.tensor([[1, 2], [23, 0], [5, 5]])
    found = diagonal(decoder, z, own, metric=metric, chunk=chunk)
    assert_close(found, exact.gather(1, own), rtol=1e-10, atol=0.0)


def test_the_diagonal_sums_to_the_trace():
    world, z = Tanh(20, 40, 60), normal(4, 20, seed=1)
    each = diagonal(world.decode, z).sum(1)
    assert_close(each, world.spectrum_exact(z).sum(1), rtol=1e-12, atol=0.0)
    assert each.mean().item() == pytest.approx(Eigenvalues(world.spectrum_exact(z)).trace())


# ---- what is refused

LINEAR = TurnedLinear(log_uniform(6, 10.0)).decode
Z = torch.zeros(4, 6)
CALLS = {"largest": largest, "trace": trace, "diagonal": diagonal}


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: largest(LINEAR, Z, k=0), ValueError, "k must be at least 1, got 0"),
        (lambda: largest(LINEAR, Z, k=7), ValueError, "k=7: at most .* 6"),
        (lambda: largest(LINEAR, Z, k=4, steps=3), ValueError, "k=4: at most .* 3"),
        (lambda: largest(LINEAR, Z, k=2.0), TypeError, "k must be an int, got 2.0"),
        (lambda: largest(LINEAR, Z, steps=0), ValueError, "steps must be at least 1, got 0"),
        (lambda: largest(LINEAR, Z, seed=-1), ValueError, "seed must be at least 0, got -1"),
        (lambda: trace(LINEAR, Z, probes=0), ValueError, "probes must be at least 1, got 0"),
        (
            lambda: diagonal(LINEAR, Z, torch.tensor([6])),
            ValueError,
            "coordinates must be .*0 to 5",
        ),
        (
            lambda: diagonal(LINEAR, Z, torch.tensor([-1])),
            ValueError,
            "coordinates must be .*0 to 5",
        ),
        (lambda: diagonal(LINEAR, Z, torch.ones(2)), TypeError, "coordinates must be int64"),
        (lambda: diagonal(LINEAR, Z, [0, 1]), TypeError, "coordinates must be a tensor, got list"),
        (
            lambda: diagonal(LINEAR, Z, torch.zeros(3, 2, dtype=torch.int64)),
            ValueError,
            r"coordinates have shape \(3, 2\): give \(k,\) or \(4, k\)",
        ),
        (
            lambda: diagonal(LINEAR, Z, torch.zeros(0, dtype=torch.int64)),
            ValueError,
            r"coordinates have shape \(0,\)",
        ),
    ],
)
def test_arguments_are_named(unchecked, call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "given, error, message",
    [
        ({"chunk": 0}, ValueError, "chunk must be at least 1, got 0"),
        ({"mode": "both"}, ValueError, "mode='both': choose"),
        ({"metric": torch.eye(5)}, ValueError, r"metric has shape \(5, 5\); for 6 outputs"),
        ({"z": Z[0]}, ValueError, r"z has shape \(6,\)"),
        ({"z": Z / 0}, ValueError, "z must be finite, got nan"),
        ({"z": Z.half()}, ValueError, "z is torch.float16: give .*float32"),
        ({"decoder": Z}, TypeError, "decoder must be a callable or a module, got Tensor"),
        ({"decoder": lambda z: z.detach()}, ValueError, "decoder has no derivative by the code"),
        ({"decoder": lambda z: z - z.mean(0)}, ValueError, "decoder mixes rows"),
        ({"decoder": lambda z: z.sum(1)}, ValueError, r"decoder gave shape \(\d,\)"),
        ({"decoder": lambda z: (z, z)}, TypeError, r"decoder gave tuple.*decoder\(z\)\[0\]"),
    ],
)
def test_what_all_refuse(unchecked, call, given, error, message):
    with pytest.raises(error, match=message):
        CALLS[call](**({"decoder": LINEAR, "z": Z} | given))


@pytest.mark.parametrize("call", CALLS)
def test_what_does_not_fit_the_memory_says_which_chunk_does(call):
    def small(z: Tensor) -> Tensor:
        if len(z) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return LINEAR(z)

    with pytest.raises(MemoryError, match="4 codes at once do not fit the memory: give chunk=2"):
        CALLS[call](small, Z)
    CALLS[call](small, Z, chunk=2)


def test_a_decoder_that_does_not_move_has_nothing():
    world, z = ConstantDecoder(d=6), Z.double()
    assert (diagonal(world.decode, z) == 0).all() and trace(world.decode, z).value == 0
    found = largest(world.decode, z)
    assert (found.values == 0).all() and (found.residuals == 0).all()
