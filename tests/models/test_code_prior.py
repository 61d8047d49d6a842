"""The prior over code tuples: p sums to one, samples have it, and it learns what it can."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from tests.models.contract import ObjectiveContract
from vae_course.models import CodePrior
from vae_course.quantization import perplexity
from vae_course.training import fit


class TestCodePrior(ObjectiveContract):
    builds = {"prior": partial(CodePrior, 3, 4, width=16)}

    def examples(self, model, n=6):
        """Codes whose slots agree: what there is to learn."""
        return torch.arange(n).remainder(4).repeat(3, 1).T.float()

    def distortion_exact(self, model, x, eps):
        return torch.zeros(len(x), dtype=x.dtype)

    def rate_exact(self, model, x):
        """One slot after the other, as the formula is written."""
        total = torch.zeros(len(x), dtype=x.dtype)
        for row, codes in enumerate(x.long()):
            for s in range(3):
                before = sum((model.embedding[t, codes[t]] for t in range(s)), x.new_zeros(16))
                h = torch.nn.functional.silu(model.hidden_bias[s] + before)
                scores = model.readout[s].T @ h + model.bias[s]
                total[row] += scores.logsumexp(0) - scores[codes[s]]
        return total

    price_exact = rate_exact


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
    prior, n = CodePrior(3, 3, seed=3), 20_000
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
    history = fit(prior, tuples.float(), steps=150, lr=5e-2, batch_size=64, progress=False)
    assert -prior.log_prob(tuples).mean().item() == pytest.approx(math.log(4), abs=0.01)
    assert (prior.sample(500, seed=0).sum(1) % 2 == 0).float().mean() > 0.99
    assert (history.loss == history.rate).all() and (history.distortion == 0).all()


def test_with_one_slot_the_prior_learns_the_histogram():
    codes = torch.arange(5).repeat_interleave(torch.tensor([10, 20, 40, 50, 136])).unsqueeze(1)
    prior = CodePrior(1, 5, width=8)
    fit(prior, codes.float(), steps=150, lr=5e-2, batch_size=256, progress=False)
    entropy = math.log(perplexity(codes, 5))
    assert -prior.log_prob(codes).mean().item() == pytest.approx(entropy, abs=1e-3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: CodePrior(0, 4), r"slots=\(0,\)"),
        (lambda: CodePrior(2, 4).log_prob(torch.zeros(5, 3).long()), r"\(5, 3\).*\(batch, 2\)"),
        (lambda: CodePrior(2, 4).log_prob(torch.full((5, 2), 4)), "0 to 3"),
        (
            lambda: fit(
                CodePrior(2, 4), torch.full((50, 2), 0.5), steps=1, batch_size=32, progress=False
            ),
            "not whole",
        ),
        (
            lambda: fit(
                CodePrior(2, 4), torch.full((50, 2), 7.0), steps=1, batch_size=32, progress=False
            ),
            "0 to 3",
        ),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
