"""Vector quantisation: running means in closed form, gradients, and nothing alive lost."""

import copy
import math

import pytest
import torch
from sklearn.cluster import KMeans
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from tests.quantization.contract import QuantizerContract
from tests.quantization.vectors import normal, squared_distances
from vae_course.quantization import VectorQuantizer, usage


class TestVectorQuantizer(QuantizerContract):
    @pytest.fixture(params=[0.99, None], ids=["running", "gradient"])
    def quantizer(self, request):
        return VectorQuantizer(8, 3, decay=request.param)


def with_codebook(codebook, **options):
    """A quantizer in training whose centres are these, all of them taken to be in use."""
    quantizer = VectorQuantizer(*codebook.shape, **options).to(codebook.dtype)
    with torch.no_grad():
        quantizer.codebook.copy_(codebook)
    quantizer.idle.zero_()
    quantizer.batches.fill_(1)
    return quantizer


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
    for t in range(30):
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
    for _ in range(160):  # 2^-160 is 0 in float32
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
    quantizer._regroup = lambda *batch: None  # which does touch them
    quantizer(normal(25, 2))
    last_use = torch.where(quantizer.idle == 0, 0.0, -math.inf)
    revived = 0
    for t in range(1, 48):
        z = normal(25, 2, seed=t) * (1 + (t // 12))  # the data spread: old centres die
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
        for _ in range(20):
            quantizer(z)
        assert usage(quantizer.eval()(z).indices, 16) == used


def test_a_centre_that_never_stood_for_anything_is_dead_from_the_first_batch():
    quantizer = VectorQuantizer(30, 2)
    z = 50 + normal(200, 2)
    quantizer(z)
    assert usage(quantizer.eval()(z).indices, 30) > 0.9


def test_with_more_dead_centres_than_vectors_each_vector_is_a_centre_at_most_once():
    quantizer = VectorQuantizer(5, 2, revive=3)
    z = torch.tensor([[4.0, 4.0], [-4.0, 4.0]])
    quantizer(z)
    assert (quantizer.idle >= 3).sum() == 2  # one took both vectors, one was put on each
    assert (quantizer.codebook.unsqueeze(1) == z).all(-1).sum(0).tolist() == [1, 1]


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
    chosen, draws = torch.zeros(4), 300
    for _ in range(draws):
        quantizer.idle[1] = 50
        quantizer(z)
        chosen += (z == quantizer.codebook[1]).squeeze(1)
        quantizer.codebook.data[1] = 1e6
    share = torch.tensor([0.0, 1, 2, 5]) / 8
    assert chosen[0] == 0
    assert ((chosen / draws - share).abs() <= 4 * (share * (1 - share) / draws).sqrt()).all()


def clusters(count, dim, apart, seed):
    """Centres apart · N(0, I), and batches of vectors .05 around them."""
    centres = apart * normal(count, dim, seed=seed)

    def batch(n, t):
        generator = torch.Generator().manual_seed(1000 * seed + t)
        return centres[torch.randint(count, (n,), generator=generator)] + 0.05 * normal(
            n, dim, seed=1000 * seed + t
        )

    return centres, batch


def found(quantizer, centres):
    """How many clusters have a code of their own."""
    return len(quantizer.quantize(centres).indices.unique())


@pytest.mark.parametrize("seed", range(3))
def test_every_separated_cluster_gets_a_code_of_its_own(seed):
    centres, batch = clusters(64, 8, apart=4, seed=seed)
    quantizer = VectorQuantizer(64, 8, seed=seed)
    for t in range(160):
        quantizer(batch(512, t))
    assert found(quantizer, centres) >= 63


@pytest.mark.parametrize("decay", [0.99, None])
def test_the_first_batch_seeds_as_k_means_plus_plus_where_that_is_better(decay):
    for seed in range(3):
        centres, batch = clusters(20, 8, apart=4, seed=seed)
        quantizer = VectorQuantizer(20, 8, decay=decay, seed=seed)
        quantizer(batch(400, 0))
        # Even draws would find 20 (1 - 1/e) = 12.6. With one cluster left, a draw misses it with
        # probability 19 · 0.04 / 250: the spread against the squared distance of two clusters.
        assert found(quantizer, centres) >= 19
    # And where the data have no clusters, means of the cells that the first centres cut remain.
    quantizer = VectorQuantizer(8, 64, decay=0.99)
    z = normal(400, 64)
    quantizer(z)
    assert not (quantizer.codebook.unsqueeze(1) == z).all(-1).any(1).all()


def test_a_centre_that_shares_a_cluster_moves_to_the_one_that_has_none():
    a, b, c = torch.tensor([[0.0, 0.0], [40.0, 0.0], [40.0, 9.0]])
    start = torch.stack([a - 0.03, a + 0.03, (b + c) / 2])
    z = torch.cat([centre + 0.05 * normal(30, 2, seed=k) for k, centre in enumerate((a, b, c))])
    for revive, codes in ((10, 3), (None, 2)):
        quantizer = with_codebook(start, revive=revive)
        for _ in range(12):
            quantizer(z)
        assert found(quantizer, torch.stack([a, b, c])) == codes


def test_where_no_move_pays_none_is_made():
    """Two clusters, so near that a move is cheap; and a far vector, which gains by itself alone."""
    centres = torch.tensor([[0.0, 0.0], [2.0, 0.0]])
    far = torch.tensor([[1.0, 30.0]])
    quantizer, twin = (with_codebook(centres, revive=revive) for revive in (5, None))
    for t in range(40):
        z = torch.cat([centres.repeat(20, 1) + 0.05 * normal(40, 2, seed=t), far])
        quantizer(z)
        twin(z)
        assert torch.equal(quantizer.codebook, twin.codebook)


def test_with_another_default_device_the_quantizer_learns_on_that_of_its_vectors():
    _, batch = clusters(10, 3, apart=4, seed=0)
    here, there = VectorQuantizer(10, 3, revive=2), VectorQuantizer(10, 3, revive=2)
    for t in range(6):
        z = batch(60, t)
        here(z)
        with torch.device("meta"):
            there(z)
    twin = there.state_dict()
    assert all(torch.equal(value, twin[name]) for name, value in here.state_dict().items())


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


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((0, 3), {}, "num_codes must be at least 1, got 0"),
        ((4, 0), {}, "dim must be at least 1, got 0"),
        ((4, 3), dict(chunk=0), "chunk must be at least 1, got 0"),
        ((4, 3), dict(decay=1.0), r"decay=1\.0.*None"),
        ((4, 3), dict(decay=math.nan), "decay must be finite, got nan"),
        ((4, 3), dict(commitment=-1.0), r"commitment=-1\.0"),
        ((4, 3), dict(commitment=math.inf), "commitment must be finite"),
        ((4, 3), dict(revive=-1), "revive must be at least 0, got -1"),
        ((4.5, 3), {}, "num_codes must be an int, got 4.5"),
        ((4, "3"), {}, "dim must be an int, got '3'"),
        ((4, 3), dict(decay="slow"), "decay must be a number, got str"),
        ((4, 3), dict(seed=None), "seed must be an int, got None"),
    ],
)
def test_bad_arguments_are_named(unchecked, arguments, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        VectorQuantizer(*arguments, **options)
