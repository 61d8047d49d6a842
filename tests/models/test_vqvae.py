"""VQ-VAE and code prior: the decoder sees centres alone, runs resume exactly, p sums to one."""

import copy
import itertools
import math
import signal

import pytest
import torch
from torch.testing import assert_close

from vae_course import models
from vae_course.data import load
from vae_course.distortion import squared_error
from vae_course.models import VQVAE, CodePrior
from vae_course.quantization import VectorQuantizer, perplexity, usage
from vae_course.training import NonFiniteLossError, fit

DIGIT = (1, 8, 8)
X = load("digits").train
QUICK = dict(batch_size=32, progress=False)


def same_state(a, b):
    tables = a.state_dict(), b.state_dict()
    return tables[0].keys() == tables[1].keys() and all(
        torch.equal(value, tables[1][name]) for name, value in tables[0].items()
    )


def small(**arguments):
    return VQVAE.mlp(DIGIT, **dict(d=3, hidden=(16,), slots=2, num_codes=20) | arguments)


KINDS = {
    "mlp": lambda: small(seed=7, activation="tanh", commitment=0.5),
    "linear": lambda: VQVAE.mlp((16,), d=2, hidden=()),
    "gradient": lambda: small(decay=None, revive=3),
    "finite scalars": lambda: small(d=2, levels=(4, 5)),
    "conv": lambda: VQVAE.conv(DIGIT, d=3, width=4, num_codes=9, distortion="bernoulli"),
}


# --- the objective ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_sees_the_centres_of_the_indices_and_nothing_else(kind):
    model = KINDS[kind]().double().eval()
    x = X[:10].double() if kind != "linear" else X[:10, 0, :2].flatten(1).double()
    codes = model.encode(x)
    assert codes.indices.shape == (10, model.slots)
    assert codes.quantized.shape == codes.z.shape == (10, model.slots, model.d)
    assert torch.equal(model.quantizer.lookup(codes.indices), codes.quantized)
    output = model.decode_indices(codes.indices)
    assert torch.equal(output, model.decode(codes.quantized)) and output.shape == x.shape
    if model.distortion is squared_error:
        assert_close(model.loss_terms(x).distortion, squared_error(x, output))


def test_the_loss_is_distortion_plus_the_pull_of_the_centres_summed_over_slots():
    model = small(slots=3, commitment=0.4).double().eval()
    terms, codes = model.loss_terms(X.double()), model.encode(X.double())
    pull = 0.4 * (codes.z - codes.quantized).square().sum((1, 2))
    assert_close(terms.loss, terms.distortion + pull)


@pytest.mark.parametrize(
    "kind, slots, k", [("mlp", 2, 20), ("finite scalars", 2, 20), ("conv", 4, 9)]
)
def test_the_rate_is_slots_times_log_k_and_bounds_the_entropy_of_the_codes(kind, slots, k):
    model = KINDS[kind]()
    terms = model.loss_terms(X)
    assert_close(terms.rate, torch.full((len(X),), slots * math.log(k)))
    indices = model.encode(X).indices
    tuples = (indices * k ** torch.arange(slots)).sum(1)
    marginal = sum(math.log(perplexity(indices[:, s], k)) for s in range(slots))
    joint = math.log(perplexity(tuples, k**slots))
    assert 0 < joint <= marginal <= terms.rate[0].item() + 1e-5


def test_encoding_teaches_nothing_and_training_alone_teaches():
    model = small()
    before = copy.deepcopy(model)
    model.encode(X)
    model.eval().loss_terms(X)
    assert same_state(model, before)
    model.train().loss_terms(X)
    assert not same_state(model, before)


def test_slots_of_a_convolutional_code_are_patches_row_by_row():
    model = VQVAE.conv((1, 16, 16), d=2, width=3).double().eval()
    x = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).double()
    x.requires_grad_()
    z = model.encode(x).z
    assert z.shape == (1, 16, 2)
    for slot in range(16):
        (seen,) = torch.autograd.grad(z[0, slot].sum(), x, retain_graph=True)
        weight = seen[0, 0].abs()
        row, column = (4 * i for i in divmod(slot, 4))
        field = torch.zeros(16, 16, dtype=torch.bool)  # 18 pixels wide: 4, 4 and 3 at strides 2, 2
        field[max(0, row - 7) : row + 11, max(0, column - 7) : column + 11] = True
        assert torch.equal(weight > 0, field)
        moved = z.detach().clone()
        moved[0, slot] += 1.0
        changed = model.decode(moved) != model.decode(z.detach())
        assert torch.equal(changed[0, 0], field)


# --- training -----------------------------------------------------------------------------------


def test_an_interrupted_run_resumes_bit_by_bit_with_its_running_means_and_revivals(
    tmp_path, monkeypatch
):
    options = dict(steps=60, checkpoint_every=25, **QUICK)
    revivals = []
    revive = VectorQuantizer._revive

    def counted(self, dead, *rest):
        revivals.append(int(self.batches))
        revive(self, dead, *rest)

    monkeypatch.setattr(VectorQuantizer, "_revive", counted)
    for decay in (0.99, None):
        revivals.clear()
        whole = small(revive=3, decay=decay)
        history = fit(whole, X, **options)
        assert any(step <= 37 for step in revivals) and any(step > 37 for step in revivals)
        path = tmp_path / str(decay)
        stopped = small(revive=3, decay=decay)
        steps = iter(range(1, 100))
        stopped.encoder.register_forward_hook(
            lambda *_, steps=steps: (
                signal.raise_signal(signal.SIGINT) if next(steps) == 37 else None
            )
        )
        with pytest.raises(KeyboardInterrupt, match="after step 37 of 60"):
            fit(stopped, X, checkpoint=path, **options)
        resumed = small(revive=3, decay=decay)
        again = fit(resumed, X, checkpoint=path, **options)
        assert same_state(resumed, whole)
        assert (again.loss == history.loss).all()


def test_training_uses_the_whole_codebook():
    model = VQVAE.mlp(DIGIT, d=2, slots=4, num_codes=8)
    fit(model, X, steps=500, progress=False)
    codes = model.encode(X)
    assert usage(codes.indices, 8) == 1 and perplexity(codes.indices, 8) > 0.8 * 8
    error = squared_error(X, model.decode(codes.quantized)).mean()
    assert error < 0.75 * squared_error(X, X.mean(0).expand_as(X)).mean()


def test_bf16_ends_at_the_codes():
    model = VQVAE.mlp(DIGIT, d=4, hidden=(32,), num_codes=16)
    history = fit(model, X, steps=30, precision="bf16", **QUICK)
    assert model.quantizer.codebook.dtype == torch.float32
    exact = fit(VQVAE.mlp(DIGIT, d=4, hidden=(32,), num_codes=16), X, steps=30, **QUICK)
    assert_close(history.loss[:3], exact.loss[:3], rtol=0.02, atol=0.0)


def test_a_nan_reaches_the_loss_and_fit_gives_the_codebook_back():
    model = small()
    fit(model, X, steps=10, **QUICK)
    before = copy.deepcopy(model)
    with pytest.raises(NonFiniteLossError):
        fit(model, X, steps=200, lr=1e30, schedule="constant", **QUICK)
    assert same_state(model, before)


# --- files and arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_comes_back_with_its_running_means(kind, tmp_path):
    model = KINDS[kind]()
    data = X if kind != "linear" else X[:, 0, :2].flatten(1)
    fit(model, data, steps=5, **QUICK)
    model.save(tmp_path / "model.safetensors")
    again = models.load(tmp_path / "model.safetensors")
    assert same_state(again, model) and again.config == model.config
    assert type(again.quantizer) is type(model.quantizer) and again.slots == model.slots
    fit(model, data, steps=5, **QUICK)
    fit(again, data, steps=5, **QUICK)
    assert same_state(again, model)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: small(slots=0), r"slots=\(0,\)"),
        (lambda: small(num_codes=0), "num_codes=0"),
        (lambda: small(levels=(4, 5)), r"levels=\[4, 5\].*d=3"),
        (lambda: small(d=2, levels=(4, 5), decay=0.9), r"\['decay'\].*leave"),
        (lambda: VQVAE.conv((1, 8, 6)), "divisible by 4"),
        (lambda: small().decode(torch.zeros(5, 3)), r"\(5, 3\).*\(batch, 2, 3\)"),
        (lambda: small().decode_indices(torch.zeros(5, 3).long()), r"\(5, 3, 3\).*\(batch, 2, 3\)"),
        (lambda: small().decode_indices(torch.full((5, 2), 20)), "0 to 19"),
        (lambda: small().encode(torch.full((1, *DIGIT), math.nan)), "NaN"),
        (lambda: CodePrior(0, 4), r"slots=\(0,\)"),
        (lambda: CodePrior(2, 4).log_prob(torch.zeros(5, 3).long()), r"\(5, 3\).*\(batch, 2\)"),
        (lambda: CodePrior(2, 4).log_prob(torch.full((5, 2), 4)), "0 to 3"),
        (lambda: fit(CodePrior(2, 4), torch.full((50, 2), 0.5), steps=1, **QUICK), "not whole"),
        (lambda: fit(CodePrior(2, 4), torch.full((50, 2), 7.0), steps=1, **QUICK), "0 to 3"),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


# --- the prior over code tuples -----------------------------------------------------------------


def all_tuples(slots, k):
    return torch.tensor(list(itertools.product(range(k), repeat=slots)))


@pytest.mark.parametrize("slots, k", [(1, 6), (3, 4), (6, 2)])
def test_the_priors_probabilities_sum_to_one_over_all_tuples(slots, k):
    prior = CodePrior(slots, k, seed=1).double()
    assert_close(prior.log_prob(all_tuples(slots, k)).exp().sum().item(), 1.0, rtol=1e-12, atol=0.0)


def test_the_prior_of_the_first_slots_does_not_look_at_later_ones():
    prior = CodePrior(4, 3, seed=2).double()
    tuples = all_tuples(4, 3).view(9, 9, 4)  # the first two slots, then the last two
    firsts = prior.log_prob(tuples).logsumexp(1)
    short = CodePrior(2, 3).double()
    short.load_state_dict({name: value[:2] for name, value in prior.state_dict().items()})
    assert_close(firsts, short.log_prob(tuples[:, 0, :2]), rtol=1e-12, atol=1e-12)


def test_samples_have_the_priors_probabilities():
    prior, n = CodePrior(3, 3, seed=3), 50_000
    draws = prior.sample(n, seed=0)
    p = prior.log_prob(all_tuples(3, 3)).exp()
    counts = torch.bincount((draws * torch.tensor([9, 3, 1])).sum(1), minlength=27)
    assert ((counts / n - p).abs() <= 4 * (p * (1 - p) / n).sqrt()).all()
    assert torch.equal(draws, prior.sample(n, seed=0))
    assert not torch.equal(draws, prior.sample(n, seed=1))


def test_the_prior_learns_what_no_product_of_slots_can():
    """The third of three fair bits is the exclusive or of the others: log 4 nats, not log 8."""
    tuples = torch.tensor([[a, b, a ^ b] for a in (0, 1) for b in (0, 1)]).repeat(64, 1)
    prior = CodePrior(3, 2, width=32)
    history = fit(prior, tuples.float(), steps=300, lr=2e-2, batch_size=64, progress=False)
    assert -prior.log_prob(tuples).mean().item() == pytest.approx(math.log(4), abs=0.01)
    assert (prior.sample(500, seed=0).sum(1) % 2 == 0).float().mean() > 0.99
    assert (history.loss == history.rate).all() and (history.distortion == 0).all()


def test_with_one_slot_the_prior_learns_the_histogram():
    codes = torch.arange(5).repeat_interleave(torch.tensor([10, 20, 40, 50, 136])).unsqueeze(1)
    prior = CodePrior(1, 5, width=8)
    fit(prior, codes.float(), steps=400, lr=2e-2, batch_size=256, progress=False)
    entropy = math.log(perplexity(codes, 5))
    assert -prior.log_prob(codes).mean().item() == pytest.approx(entropy, abs=1e-3)


def test_the_priors_weights_depend_on_the_seed_and_global_randomness_on_nothing():
    state = torch.get_rng_state()
    first = CodePrior(2, 3, seed=5)
    first.sample(3, seed=0)
    assert torch.equal(torch.get_rng_state(), state)
    assert same_state(first, CodePrior(2, 3, seed=5))
    assert not same_state(first, CodePrior(2, 3, seed=6))
