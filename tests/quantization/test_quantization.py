"""Quantizers: nearest centres by brute force, running means in closed form, nothing alive lost."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.cluster import KMeans
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from vae_course.quantization import (
    FiniteScalarQuantizer,
    VectorQuantizer,
    nearest,
    perplexity,
    usage,
)


def normal(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def squared_distances(z, codebook):
    """(n, K) in float64, differences first."""
    return (z.double().unsqueeze(1) - codebook.double()).square().sum(-1)


def with_codebook(codebook, **options):
    """A quantizer in training whose centres are these, all of them taken to be in use."""
    quantizer = VectorQuantizer(*codebook.shape, **options).to(codebook.dtype)
    with torch.no_grad():
        quantizer.codebook.copy_(codebook)
    quantizer.idle.zero_()
    return quantizer


# --- the nearest centre -------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 7, 500, 501, 502, 10_000])
def test_the_code_is_the_nearest_centre_by_brute_force_whatever_the_chunk(chunk):
    z, codebook = normal(501, 5, dtype=torch.float64), normal(37, 5, seed=1, dtype=torch.float64)
    assert torch.equal(nearest(z, codebook, chunk=chunk), squared_distances(z, codebook).argmin(1))


@pytest.mark.parametrize("origin", [0.0, 1e4])
@pytest.mark.parametrize("scale", [1e-15, 1.0, 1e15])
@pytest.mark.parametrize("d", [1, 8, 64])
def test_in_float32_the_code_is_nearest_within_the_stated_bound(d, scale, origin):
    z, codebook = ((normal(n, d, seed=n) + origin) * scale for n in (400, 300))
    distances = squared_distances(z, codebook)
    indices = nearest(z, codebook).unsqueeze(1)
    excess = distances.gather(1, indices).squeeze(1) - distances.amin(1)
    m = codebook.double().mean(0)
    reach = (z.double() - m).norm(dim=1) + (codebook.double() - m).norm(dim=1).max()
    assert (excess <= (d + 4) * torch.finfo(torch.float32).eps * reach**2).all()
    assert (excess == 0).float().mean() > 0.99


def test_of_equally_near_centres_the_lowest_number_wins():
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])  # exact arithmetic: mean 0
    z = torch.tensor([[0.0, 0], [1, 0], [-1, 0], [0, -1], [-1, -1]])
    for chunk in (1, 2, 5):
        assert nearest(z, corners, chunk=chunk).tolist() == [0, 0, 2, 1, 3]


class LargestTensor(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation gives, backward included."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        return out


@pytest.mark.parametrize("decay", [0.99, None])
def test_a_training_step_never_holds_vectors_times_codes(decay):
    n, k, d, chunk = 3000, 400, 4, 64
    quantizer = VectorQuantizer(k, d, decay=decay, chunk=chunk)
    z = normal(n, d).requires_grad_()
    with LargestTensor() as seen:
        result = quantizer(z)
        (result.quantized.sum() + result.loss.sum()).backward()
    assert seen.largest == max(chunk * k, n * d)  # n * k would be 1,200,000


# --- straight through, and the loss -------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.99, None])
def test_the_value_is_the_centre_bit_by_bit_and_the_gradient_the_identitys(decay):
    quantizer = with_codebook(normal(50, 6, seed=1), decay=decay).eval()
    z = (1e3 * normal(4, 30, 6)).requires_grad_()
    quantized, indices, _ = quantizer(z)
    assert torch.equal(quantized, quantizer.codebook[indices])
    gradient, pull = torch.autograd.grad(quantized.sin().sum(), [z, quantized])
    assert torch.equal(gradient, pull)
    assert_close(gradient, quantizer.codebook[indices].cos())


def test_the_loss_pulls_vectors_to_centres_and_a_gradient_codebook_to_vectors():
    codebook, z = normal(9, 4, seed=1), normal(200, 4).requires_grad_()
    indices = squared_distances(z.detach(), codebook).argmin(1)
    error = z.detach() - codebook[indices]
    for decay, weight in ((0.99, 0.3), (None, 1.3)):
        quantizer = with_codebook(codebook, decay=decay, commitment=0.3)
        result = quantizer(z)
        assert_close(result.loss, weight * error.square().sum(1))
        (gradient,) = torch.autograd.grad(result.loss.sum(), z, retain_graph=True)
        assert_close(gradient, 0.3 * 2 * error)
    (result.loss.sum() + result.quantized.square().sum()).backward()
    sums = torch.zeros_like(codebook).index_add(0, indices, error)
    assert_close(quantizer.codebook.grad, -2 * sums)  # and nothing from what follows


def test_a_gradient_codebook_moves_only_by_its_optimiser():
    quantizer = with_codebook(normal(9, 4, seed=1), decay=None)
    before = quantizer.codebook.detach().clone()
    quantizer(normal(200, 4))
    assert torch.equal(quantizer.codebook, before)
    assert [name for name, _ in quantizer.named_parameters()] == ["codebook"]
    assert not list(VectorQuantizer(9, 4).parameters())


# --- running means ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("decay", [0.0, 0.9, 0.99])
def test_a_centre_is_the_running_mean_of_its_vectors_in_closed_form(decay, dtype, tol):
    start = normal(12, 3, seed=1, dtype=dtype)
    quantizer = with_codebook(start, decay=decay, revive=None)
    total = torch.zeros(12, 3, dtype=torch.float64)
    weight = torch.zeros(12, dtype=torch.float64)
    for t in range(60):
        z = 2 + normal(15, 3, seed=100 + t, dtype=dtype)
        indices = quantizer(z).indices
        total = decay * total
        weight = decay * weight
        for vector, k in zip(z.double(), indices, strict=True):
            total[k] += vector
            weight[k] += 1
    oracle = torch.where(weight[:, None] > 0, total / weight[:, None], start.double())
    if decay == 0:  # the mean of the last batch a centre was used in: no weight says which
        used = weight > 0
        assert_close(quantizer.codebook[used].double(), oracle[used], rtol=tol, atol=tol)
        return
    assert 2 < (weight > 0).sum() < 12  # some were used, some never
    assert_close(quantizer.codebook.double(), oracle, rtol=tol, atol=tol)
    assert_close(quantizer.counts.double(), (1 - decay) * weight, rtol=tol, atol=tol)


def test_a_centre_unused_until_its_count_underflows_stays_where_it_is_then_starts_anew():
    far = torch.tensor([[0.0, 0.0], [100.0, 100.0]])
    quantizer = with_codebook(far, decay=0.5, revive=None)
    quantizer(far)
    for _ in range(300):  # 2^-300 is 0 in float32
        quantizer(normal(5, 2))
    assert quantizer.counts[1] == 0
    assert torch.equal(quantizer.codebook[1], far[1])
    news = 90 + normal(7, 2)
    quantizer(news)
    assert_close(quantizer.codebook[1], news.mean(0))


def test_only_calls_in_train_mode_teach_the_codebook():
    quantizer = VectorQuantizer(20, 3)
    before = copy.deepcopy(quantizer.state_dict())
    quantizer.quantize(normal(50, 3))
    quantizer.eval()(normal(50, 3))
    quantizer.lookup(torch.arange(20))
    after = quantizer.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    quantizer.train()(normal(50, 3))
    assert not torch.equal(after["codebook"], before["codebook"])


# --- revival ------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.99, None])
def test_revival_never_touches_a_live_centre_and_puts_dead_ones_on_vectors(decay):
    quantizer = VectorQuantizer(40, 2, decay=decay, revive=4)
    last_use = torch.full((40,), -math.inf)
    revived = 0
    for t in range(80):
        z = normal(25, 2, seed=t) * (1 + (t // 20))  # the data spread: old centres die
        twin = copy.deepcopy(quantizer)
        twin.revive = 0
        last_use[quantizer(z).indices.unique()] = t
        twin(z)
        live = last_use > t - 4
        for name, value in twin.state_dict().items():
            if name != "batches":
                assert torch.equal(quantizer.state_dict()[name][live], value[live]), name
        moved = (quantizer.codebook != twin.codebook).any(1)
        assert not (moved & live).any()
        among = (quantizer.codebook[moved].unsqueeze(1) == z).all(-1)  # (moved, 25)
        assert among.any(1).all() and (among.sum(0) <= 1).all()  # a vector each
        last_use[moved] = t
        revived += int(moved.sum())
    assert revived > 40


def test_dead_centres_come_back_and_without_revival_they_do_not():
    z = 10 * normal(16, 3, seed=1).repeat(20, 1) + normal(320, 3)
    for revive, used in ((None, 1 / 16), (5, 1)):
        quantizer = with_codebook(normal(16, 3) + 100, revive=revive)
        quantizer.codebook[0] = 0.0  # takes every vector
        for _ in range(60):
            quantizer(z)
        assert usage(quantizer.eval()(z).indices, 16) == used


def test_a_centre_that_never_stood_for_anything_is_dead_from_the_first_batch():
    quantizer = VectorQuantizer(30, 2)
    z = 50 + normal(200, 2)
    quantizer(z)
    assert usage(quantizer.eval()(z).indices, 30) > 0.9


def test_with_more_dead_centres_than_vectors_each_vector_revives_one():
    quantizer = VectorQuantizer(5, 2, revive=3)
    z = torch.tensor([4.0, 4.0])
    first = quantizer(z).indices  # takes the vector; another centre is put on it
    assert (quantizer.idle >= 3).sum() == 3
    assert (quantizer.codebook == z).all(1).sum() == 2
    assert quantizer.idle[first] == 0


def test_a_revived_centre_forgets_what_it_stood_for():
    quantizer = with_codebook(torch.tensor([[0.0, 0.0], [90.0, 90.0]]), revive=2)
    quantizer.counts.fill_(5)
    for _ in range(2):
        quantizer(torch.tensor([[0.0, 0.0], [9.0, 9.0]]))
    assert quantizer.codebook[1].tolist() == [9.0, 9.0] and quantizer.counts[1] == 0
    quantizer(torch.tensor([[8.0, 8.0], [12.0, 12.0]]))
    assert_close(quantizer.codebook[1], torch.tensor([10.0, 10.0]))


def test_where_every_vector_is_a_centre_already_the_dead_stay_where_they_are():
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1], [9, 9], [-9, -9]])
    quantizer = with_codebook(corners, revive=2)
    for _ in range(10):
        quantizer(corners[:4])
    assert torch.equal(quantizer.codebook, corners)


def test_revivals_are_drawn_in_proportion_to_the_squared_distance():
    z = torch.tensor([[0.0], [1.0], [-math.sqrt(2)], [math.sqrt(5)]])  # 0, 1, 2, 5 from the centre
    quantizer = with_codebook(torch.tensor([[0.0], [1e6]]), decay=None)
    chosen, draws = torch.zeros(4), 500
    for _ in range(draws):
        quantizer.idle[1] = 50
        quantizer(z)
        chosen += (z == quantizer.codebook[1]).squeeze(1)
        quantizer.codebook.data[1] = 1e6
    share = torch.tensor([0.0, 1, 2, 5]) / 8
    assert chosen[0] == 0
    assert ((chosen / draws - share).abs() <= 4 * (share * (1 - share) / draws).sqrt()).all()


def test_state_dict_holds_all_that_training_depends_on():
    batches = [normal(30, 2, seed=t) * (1 + t // 10) for t in range(40)]
    whole = VectorQuantizer(25, 2, revive=3, seed=7)
    first = VectorQuantizer(25, 2, revive=3, seed=7)
    for z in batches[:17]:
        first(z)
    second = VectorQuantizer(25, 2, revive=3, seed=7)
    second.load_state_dict(first.state_dict())
    for z in batches[17:]:
        second(z)
    for z in batches:
        whole(z)
    other = second.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in whole.state_dict().items())


# --- use without training, and k-means ----------------------------------------------------------


def test_it_works_untrained_on_a_single_vector():
    quantizer = VectorQuantizer(64, 8).eval()
    quantized, indices, loss = quantizer(torch.ones(8))
    assert (quantized.shape, indices.shape, loss.shape) == ((8,), (), ())
    assert torch.equal(quantizer.lookup(indices), quantized)


def test_the_first_centres_depend_on_the_seed_and_global_randomness_on_nothing():
    state = torch.get_rng_state()
    first = VectorQuantizer(9, 2, seed=1)
    first(normal(10, 2))  # revives
    assert torch.equal(torch.get_rng_state(), state)
    same, other = (VectorQuantizer(9, 2, seed=seed).codebook for seed in (1, 2))
    assert torch.equal(same, VectorQuantizer(9, 2, seed=1).codebook)
    assert not torch.equal(same, other)
    assert same.abs().max() <= 1 / 9


def test_initialise_puts_the_centres_on_the_k_means():
    z = torch.cat([normal(40, 3, seed=k) + 20 * normal(3, seed=50 + k) for k in range(5)])
    quantizer = VectorQuantizer(5, 3)
    quantizer.initialise(z.view(2, 100, 3), seed=0)
    means = torch.stack([cluster.mean(0) for cluster in z.split(40)])  # far apart: no other minimum
    assert squared_distances(means, quantizer.codebook).amin(1).max() < 1e-8
    oracle = KMeans(5, n_init=1, random_state=3).fit(z.numpy())
    assert quantizer.eval()(z).loss.sum().item() <= 0.25 * oracle.inertia_ * (1 + 1e-5)
    # As if z had been the first batch: a second one weighs as much, vector for vector.
    quantizer.train()(z + 1e-3)
    assert squared_distances(means + 1e-3 / 1.99, quantizer.codebook).amin(1).max() < 1e-8


def test_only_k_means_needs_as_many_vectors_as_centres():
    z = normal(4, 2)
    quantizer = VectorQuantizer(5, 2)
    assert quantizer(z).indices.shape == (4,)
    with pytest.raises(ValueError, match=r"4 vectors, fewer than the 5 centres.*num_codes=4"):
        quantizer.initialise(z)
    enough = VectorQuantizer(4, 2)
    enough.initialise(z)
    assert_close(enough.eval()(z).quantized, z)


# --- use of the codebook ------------------------------------------------------------------------


def test_perplexity_is_the_exponential_of_scipys_entropy():
    indices = torch.randint(3, 40, (50, 7), generator=torch.Generator().manual_seed(0)) // 2
    share = np.bincount(indices.flatten(), minlength=64) / indices.numel()
    assert perplexity(indices, 64) == pytest.approx(math.exp(stats.entropy(share)), rel=1e-12)
    assert usage(indices, 64) == np.count_nonzero(share) / 64


def test_perplexity_goes_from_one_code_to_all_codes_and_never_exceeds_the_rate():
    assert perplexity(torch.full((9,), 3), 8) == 1.0 and usage(torch.full((9,), 3), 8) == 1 / 8
    assert perplexity(torch.arange(8).repeat(5), 8) == pytest.approx(8, rel=1e-14)
    for seed in range(20):
        indices = VectorQuantizer(16, 2, seed=seed)(normal(300, 2)).indices
        assert 1 <= perplexity(indices, 16) <= 16 * usage(indices, 16) * (1 + 1e-12) <= 16.0001


# --- finite scalars -----------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [(2,), (3, 2), (8, 5, 5, 4)])
def test_every_grid_point_has_one_index_and_is_its_own_code(levels):
    quantizer = FiniteScalarQuantizer(levels)
    codebook = quantizer.codebook
    assert codebook.shape == (math.prod(levels), len(levels)) == (quantizer.num_codes, len(levels))
    assert len(codebook.unique(dim=0)) == quantizer.num_codes
    for j, size in enumerate(levels):
        assert_close(codebook[:, j].unique(), torch.linspace(-1, 1, size))
    reached = quantizer((codebook * (1 - 1e-6)).atanh())
    assert torch.equal(reached.indices, torch.arange(quantizer.num_codes))
    assert torch.equal(reached.quantized, codebook) and not reached.loss.any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_finite_scalar_is_the_nearest_grid_point_with_the_gradient_of_tanh(dtype):
    quantizer = FiniteScalarQuantizer((5, 4, 3)).to(dtype)
    z = normal(6, 40, 3, dtype=dtype).requires_grad_()
    quantized, indices, _ = quantizer(z)
    distances = squared_distances(z.detach().tanh().flatten(0, 1), quantizer.codebook)
    assert torch.equal(indices.flatten(), distances.argmin(1))
    assert torch.equal(quantized, quantizer.lookup(indices)) and quantized.dtype == dtype
    (gradient,) = torch.autograd.grad(quantized.sum(), z)
    assert_close(gradient, 1 - z.detach().tanh() ** 2)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("quantizer", [VectorQuantizer(8, 3), FiniteScalarQuantizer((2, 2, 2))])
def test_bad_vectors_and_numbers_are_refused_with_the_remedy(quantizer):
    before = copy.deepcopy(quantizer.state_dict())
    for bad in (math.nan, math.inf, -math.inf):
        z = normal(10, 3)
        z[4, 1] = bad
        with pytest.raises(ValueError, match=r"1 NaN or infinite values of 30.*lr"):
            quantizer(z)
    with pytest.raises(ValueError, match=r"shape \(10, 4\).*takes \(\.\.\., 3\).*last"):
        quantizer(normal(10, 4))
    with pytest.raises(TypeError, match=r"float64, the codebook torch\.float32.*z\.to\(torch"):
        quantizer(normal(10, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"\[-1, 8\].*0 to 7"):
        quantizer.lookup(torch.tensor([-1, 8]))
    after = quantizer.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: VectorQuantizer(0, 3), "num_codes=0"),
        (lambda: VectorQuantizer(4, 0), "dim=0"),
        (lambda: VectorQuantizer(4, 3, chunk=0), "chunk=0"),
        (lambda: VectorQuantizer(4, 3, decay=1.0), r"decay=1\.0.*None"),
        (lambda: VectorQuantizer(4, 3, decay=math.nan), "decay=nan"),
        (lambda: VectorQuantizer(4, 3, commitment=-1.0), r"commitment=-1\.0"),
        (lambda: VectorQuantizer(4, 3, revive=-1), "revive=-1.*None"),
        (lambda: FiniteScalarQuantizer([]), r"levels=\[\]"),
        (lambda: FiniteScalarQuantizer([3, 1]), r"levels=\[3, 1\].*2 or more"),
        (lambda: nearest(torch.zeros(2, 3), torch.zeros(4, 3), chunk=0), "chunk=0"),
        (lambda: nearest(torch.zeros(2, 3), torch.zeros(4, 2)), r"\(2, 3\).*\(4, 2\).*width"),
        (lambda: perplexity(torch.tensor([0, 4]), 4), r"\[0, 4\].*0 to 3"),
        (lambda: usage(torch.tensor([], dtype=torch.int64), 4), "empty"),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


def test_indices_are_whole_numbers(unchecked):
    with pytest.raises(TypeError, match=r"float32.*int64"):
        perplexity(torch.zeros(3), 4)
