"""Strings as tokens, the VAE over them, and the weights that ship."""

import itertools
import math

import pytest
import torch

from vae_course.data import load
from vae_course.data.tokens import SYMBOLS
from vae_course.molecules import FAMILIES, SmilesVAE, Vocabulary, pretrained, ship
from vae_course.molecules.shipped import FOLDER
from vae_course.training import fit

ALKANES = Vocabulary(["C", "O", "CC"])


def tiny(family="gaussian", **options):
    options = dict(d=3, hidden=8, embedding=4, initial_rate=2.0) | options
    return SmilesVAE(ALKANES, 6, family=family, **options)


# ---- tokens


def test_every_string_of_moses_small_survives_its_tokens():
    data = load("moses_small")
    vocabulary = Vocabulary(data.meta["vocabulary"])
    for tokens in (data.train, data.test):
        strings = vocabulary.decode(tokens)
        assert len(set(strings)) == len(strings)
        assert torch.equal(vocabulary.encode(strings, tokens.shape[1]), tokens)


def test_two_letter_atoms_are_never_cut():
    vocabulary = Vocabulary(["B", "Br", "C", "CC", "Cl", "C(=", "O", "CB", "(", ")", "="])
    assert vocabulary.split("CCl") == ["C", "Cl"]
    assert vocabulary.split("CCCl") == ["CC", "Cl"]
    assert vocabulary.split("CBr") == ["C", "Br"]
    assert vocabulary.split("CBC") == ["CB", "C"]


def test_the_longest_token_wins_from_the_left():
    assert ALKANES.split("CCCOCC") == ["CC", "C", "O", "CC"]
    assert ALKANES.encode(["CCCO", "O"]).tolist() == [[3, 1, 2, 0], [2, 0, 0, 0]]


def test_byte_pair_encoding_merges_the_most_frequent_neighbours():
    base = len(SYMBOLS)  # CC occurs three times, CN twice; then CC N is the only pair
    learnt = Vocabulary.learn(["CCN", "CCN", "CC"], base + 2)
    assert learnt.tokens[base:] == ("CC", "CCN")
    assert learnt.split("CCN") == ["CCN"]


def test_strings_laid_end_to_end_come_back_as_rows():
    flat = torch.tensor([3, 1, 0, 0, 2, 0]).numpy()
    assert ALKANES.rows(flat, 4).tolist() == [[3, 1, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0]]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ALKANES.split("C[nH]"), "no token for"),
        (lambda: ALKANES.encode(["CCO"], 2), "length=2"),
        (lambda: Vocabulary(["C", "C"]), "distinct"),
        (lambda: Vocabulary.learn(["C"], 3), "size=3"),
        (lambda: Vocabulary.learn(["CC"], 40), "fragments for"),
    ],
)
def test_bad_strings_and_vocabularies_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- the model


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


@pytest.mark.parametrize("family", FAMILIES)
def test_what_follows_the_end_of_a_string_changes_nothing(family):
    model = tiny(family)
    short, long = ALKANES.encode(["CCO", "O"], 3), ALKANES.encode(["CCO", "O"], 6)
    eps = model.draw_noise(2, torch.Generator().manual_seed(0))
    for a, b in zip(model.loss_terms(short, eps), model.loss_terms(long, eps), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_starts_at_the_same_rate(family):
    model = tiny(family, initial_rate=2.5)
    with torch.no_grad():
        model.head.bias[:3] = 0 if family == "gaussian" else 1
        model.head.weight[:3] = 0
    eps = model.draw_noise(1, torch.Generator().manual_seed(0))
    rate = model.loss_terms(ALKANES.encode(["CO"]), eps).rate
    torch.testing.assert_close(rate, torch.tensor([2.5]), rtol=1e-5, atol=0)


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


@pytest.mark.parametrize("family", FAMILIES)
def test_a_few_strings_are_learnt_by_heart(family):
    strings = ["C", "CO", "OCC", "CCCC", "OCO", "CCO", "COC", "O"]
    tokens = ALKANES.encode(strings, 6)
    model = tiny(family, hidden=32, embedding=8, beta=0.01)
    fit(model, tokens, steps=400, batch_size=8, lr=1e-2, progress=False)
    posterior = model.encode(tokens)
    centres = posterior.mean if family == "gaussian" else posterior.loc
    assert model.strings(centres) == strings
    assert all(torch.isfinite(p).all() for p in model.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_prior_codes_have_the_priors_moments(family):
    z = tiny(family, d=8).prior(20_000, seed=0)
    second = z.T @ z / len(z)
    # Entries have standard error below 1.5 / sqrt(20,000) in units of the variance.
    scale = 1 if family == "gaussian" else 1 / 8
    assert (second / scale - torch.eye(8)).abs().max() < 6 * 1.5 / math.sqrt(20_000)
    if family != "gaussian":
        torch.testing.assert_close(z.norm(dim=-1), torch.ones(20_000))


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
        (lambda: pretrained("power"), "weights are shipped"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- shipped weights


def test_shipped_weights_are_small_and_say_where_they_come_from():
    assert sum(file.stat().st_size for file in FOLDER.glob("*.safetensors")) < 4_000_000
    recipes = []
    for family in FAMILIES:
        model = pretrained(family)
        assert not model.training and model.family == family
        assert len(model.provenance["log"]["rate"]) > 1
        recipes.append((model.provenance["recipe"], model.provenance["data"]))
    assert recipes[0] == recipes[1] == recipes[2]  # trained alike


def test_a_shipped_model_is_the_one_stored_to_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_course.molecules.shipped.FOLDER", tmp_path)
    model = tiny("vmf")
    ship(model, data="none")
    again = pretrained("vmf")
    assert again.config == model.config and again.provenance == {"data": "none"}
    for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=2**-11, atol=1e-7)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_course.molecules.shipped.FOLDER", tmp_path)
    with pytest.raises(RuntimeError, match="install vae_course again"):
        pretrained("vmf")
    (tmp_path / "vmf.safetensors").write_bytes(b"not weights")
    with pytest.raises(RuntimeError, match="install vae_course again"):
        pretrained("vmf")
