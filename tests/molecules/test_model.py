"""The VAE of strings: its decoder token by token, and what each family inherits."""

import itertools
import math
from functools import partial

import pytest
import torch

from tests.models.contract import ObjectiveContract, rate_by_quadrature
from vae_course.molecules import FAMILIES, SmilesVAE, Vocabulary
from vae_course.training import fit

ALKANES = Vocabulary(["C", "O", "CC"])


def tiny(family="gaussian", **options):
    options = dict(d=3, hidden=8, embedding=4, initial_rate=2.0) | options
    return SmilesVAE(ALKANES, 6, family=family, **options)


def brute_force_log_prob(model, row, z, temperature=1.0):
    """The decoder run one token at a time."""
    state, token, total = model.start(z).tanh()[None, None], torch.tensor(0), 0.0
    for word in [*row, 0]:
        output, state = model.decoder(torch.cat([model.embed(token), z])[None, None], state)
        scores = model.predict(output[0, 0]) / temperature
        total += scores.log_softmax(-1)[word].item()
        token = torch.tensor(word)
    return total


def test_teacher_forcing_gives_the_log_probability_token_by_token():
    model = tiny().requires_grad_(False)
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    rows = [[1, 2, 3], [], [3], [2, 2, 2, 2, 1]]
    tokens = torch.tensor([[*row, *[0] * (6 - len(row))] for row in rows], dtype=torch.int16)
    expected = [-brute_force_log_prob(model, row, code) for row, code in zip(rows, z, strict=True)]
    torch.testing.assert_close(model.surprise(tokens, z), torch.tensor(expected))


def test_sampled_strings_occur_as_often_as_the_decoder_says():
    model = tiny().requires_grad_(False)
    z, n = torch.ones(3), 20_000
    drawn = model.strings(z.expand(n, 3), temperature=0.5, seed=0)
    shares: dict[str, float] = {}  # of each string of up to two symbols, however it is cut
    for size in range(3):
        for row in itertools.product([1, 2, 3], repeat=size):
            name = "".join(ALKANES.tokens[i - 1] for i in row)
            if len(name) <= 2:
                share = math.exp(brute_force_log_prob(model, row, z, 0.5))
                shares[name] = shares.get(name, 0) + share
    assert len(shares) == 7 and sum(shares.values()) > 0.1
    for name, p in shares.items():
        assert abs(drawn.count(name) - n * p) < 5 * math.sqrt(n * p)


def test_greedy_decoding_takes_the_likeliest_token_at_each_step():
    model = tiny(seed=3).requires_grad_(False)
    z = 3 * torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    for code, string in zip(z, model.strings(z), strict=True):
        prefix: list[int] = []
        while len(prefix) < model.length:
            scores = [_next(model, prefix, code, word) for word in range(4)]
            best = max(range(4), key=scores.__getitem__)
            if best == 0:
                break
            prefix.append(best)
        assert "".join(ALKANES.tokens[i - 1] for i in prefix) == string


def _next(model, prefix, z, word):
    words = torch.tensor([0, *prefix])
    inputs = torch.cat([model.embed(words), z.expand(len(words), 3)], -1)[None]
    output, _ = model.decoder(inputs, model.start(z).tanh()[None, None])
    return model.predict(output[0, -1])[word].item()


class SmilesVAEContract(ObjectiveContract):
    """What a VAE of strings promises in each of its families."""

    family: str
    plan = dict(steps=24, lr=2e-2, batch_size=32)
    stop_at = 15

    @property
    def builds(self):
        return {"recurrent": partial(tiny, self.family, beta=0.3)}

    def examples(self, model, n=6):
        strings = ["C", "", "OCC", "CCCC", "OCO", "CCO"]
        return ALKANES.encode([strings[i % 6] for i in range(n)], 6)

    def code(self, model, x, eps):
        return model.encode(x).transport(eps)

    def distortion_exact(self, model, x, eps):
        pairs = zip(x, self.code(model, x, eps), strict=True)
        rows = [-brute_force_log_prob(model, row[row > 0].tolist(), z) for row, z in pairs]
        return torch.tensor(rows, dtype=eps.dtype)

    def rate_exact(self, model, x):
        return rate_by_quadrature(model.encode(x))

    def test_what_follows_the_end_of_a_string_changes_nothing(self):
        model = tiny(self.family)
        short, long = ALKANES.encode(["CCO", "O"], 3), ALKANES.encode(["CCO", "O"], 6)
        eps = model.draw_noise(2, torch.Generator().manual_seed(0))
        for a, b in zip(model.loss_terms(short, eps), model.loss_terms(long, eps), strict=True):
            torch.testing.assert_close(a, b)

    def test_every_family_starts_at_the_same_rate(self):
        model = tiny(self.family, initial_rate=2.5)
        with torch.no_grad():
            model.head.bias[:3] = 0 if self.family == "gaussian" else 1
            model.head.weight[:3] = 0
        eps = model.draw_noise(1, torch.Generator().manual_seed(0))
        rate = model.loss_terms(ALKANES.encode(["CO"]), eps).rate
        torch.testing.assert_close(rate, torch.tensor([2.5]), rtol=1e-5, atol=0)

    def test_a_few_strings_are_learnt_by_heart(self):
        strings = ["C", "CO", "OCC", "CCCC", "OCO", "CCO", "COC", "O"]
        tokens = ALKANES.encode(strings, 6)
        model = tiny(self.family, hidden=32, embedding=8, beta=0.01)
        fit(model, tokens, steps=150, batch_size=8, lr=2e-2, progress=False)
        posterior = model.encode(tokens)
        centres = posterior.mean if self.family == "gaussian" else posterior.loc
        assert model.strings(centres) == strings
        assert all(torch.isfinite(p).all() for p in model.parameters())

    def test_prior_codes_have_the_priors_moments(self):
        z = tiny(self.family, d=8).prior(20_000, seed=0)
        second = z.T @ z / len(z)
        # Entries have standard error below 1.5 / sqrt(20,000) in units of the variance.
        scale = 1 if self.family == "gaussian" else 1 / 8
        assert (second / scale - torch.eye(8)).abs().max() < 6 * 1.5 / math.sqrt(20_000)
        if self.family != "gaussian":
            torch.testing.assert_close(z.norm(dim=-1), torch.ones(20_000))


class TestGaussian(SmilesVAEContract):
    family = "gaussian"

    def code(self, model, x, eps):
        return model.encode(x).mean + model.encode(x).stddev * eps

    def rate_exact(self, model, x):
        q = model.encode(x)
        return (q.mean**2 + q.variance - 1 - q.variance.log()).sum(-1) / 2


class TestVonMisesFisher(SmilesVAEContract):
    family = "vmf"


class TestCauchy(SmilesVAEContract):
    family = "cauchy"


@pytest.mark.parametrize("family", ["vmf", "cauchy"])
@pytest.mark.parametrize("d", [5, 64])
def test_unit_codes_drive_the_first_decoder_as_gaussian_ones_do(family, d):
    # What the code adds to the first state and to each gate; both are linear in it.
    loudness = {}
    for name in ("gaussian", family):
        model = tiny(name, d=d, hidden=400).requires_grad_(False)
        z = model.prior(1000, seed=0)
        parts = {"state": model.start.weight, "gates": model.decoder.weight_ih_l0[:, 4:]}
        loudness[name] = {key: (z @ w.T).square().mean().item() for key, w in parts.items()}
        words = model.decoder.weight_ih_l0[:, :4]
        assert words.abs().max() <= 1 / math.sqrt(400)  # PyTorch's own, whatever the family
    for key, expected in loudness["gaussian"].items():
        assert loudness[family][key] == pytest.approx(expected, rel=0.12)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_that_is_loaded_is_not_made_louder_again(family):
    model = tiny(family)
    again = tiny(family, seed=1)
    again.load_state_dict(model.state_dict())
    z = model.prior(5, seed=0)
    assert torch.equal(again.start(z), model.start(z))


def test_the_families_are_tested_all():
    assert {kind.family for kind in SmilesVAEContract.__subclasses__()} == set(FAMILIES)


def test_the_weight_of_the_rate_grows_evenly_while_training_and_is_whole_otherwise():
    model = tiny(beta=0.5, warmup=2)
    tokens, eps = ALKANES.encode(["CO"]), torch.zeros(1, 3)

    def weight():
        terms = model.loss_terms(tokens, eps)
        return ((terms.loss - terms.distortion) / terms.rate).item()

    assert model.eval() is model and weight() == pytest.approx(0.5, rel=1e-5)
    model.train()
    assert [weight() for _ in range(4)] == pytest.approx([0, 0.25, 0.5, 0.5], rel=1e-5, abs=1e-6)
    assert tiny().train().loss_terms(tokens, eps).loss.isfinite().all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: tiny("cubic"), "family='cubic'"),
        (lambda: tiny(beta=-1.0), "beta=-1"),
        (lambda: tiny(initial_rate=0.0), r"initial_rate=0\.0.*positive"),
        (lambda: tiny(initial_rate=30.0), "10 nats for each dimension.*give less"),
        (lambda: tiny(warmup=-1), "warmup=-1"),
        (lambda: tiny().strings(torch.zeros(2, 4)), "codes are"),
        (lambda: tiny().strings(torch.zeros(2, 3), temperature=-1.0), "temperature"),
        (lambda: tiny().check_data(torch.zeros(2, 6)), "int16"),
        (lambda: tiny().check_data(torch.full((1, 2), 9).short()), "must lie in 0 to 3"),
        (lambda: tiny().check_data(torch.ones(1, 6).short()), "end in 0"),
        (lambda: tiny().check_data(torch.zeros(1, 7).short()), "at most 6"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
