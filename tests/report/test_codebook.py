"""How much of a codebook is used: what few tokens can show, and what they cannot."""

import math

import pytest
import torch

from tests.report.bases import base
from vae_course import quantization
from vae_course.report.codebook import codebook, even_perplexity, expected_usage, perplexity
from vae_course.report.measures import MEASURES, Unmeasured
from vae_course.report.plan import Sizes
from vae_course.report.study import Declared, Study


def study(indices, codes):
    """A model that gives these indices for its images, whatever they show."""
    images = torch.arange(len(indices), dtype=torch.float32)[:, None].repeat(1, 2)

    def encode(x):
        return indices[x[:, 0].long()]

    def decode(z):
        return z.float()

    sizes = Sizes(images=len(images))
    return Study(encode, decode, images, declared=Declared(codes=codes), sizes=sizes)


def drawn(n, places, shares, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(shares, n * places, True, generator=generator).view(n, places)


def verdict(found):
    return MEASURES["codebook_usage"].condition.verdict(found["codebook_usage"].value)


def test_an_even_codebook_shows_what_chance_allows_whatever_the_number_of_tokens():
    even = torch.ones(512) / 512
    for n, places in ((5, 49), (20, 49), (400, 49)):
        found = codebook(study(drawn(n, places, even), 512))
        usage, evenness = found["codebook_usage"], found["codebook_perplexity"]
        assert usage.value == pytest.approx(1, abs=0.12)
        assert evenness.value.value == pytest.approx(evenness.null, rel=0.12)
        assert verdict(found) == "pass"


def test_six_of_512_fail_and_five_images_of_a_healthy_codebook_do_not():
    """The two rows of the museum: .36 of the codes is what 245 tokens can show."""
    six = torch.zeros(512)
    six[:6] = 1 / 6
    assert verdict(codebook(study(drawn(400, 49, six), 512))) == "fail"
    assert verdict(codebook(study(drawn(5, 49, six), 512))) == "fail"
    found = codebook(study(drawn(5, 49, torch.ones(512) / 512), 512))
    assert verdict(found) == "pass"
    assert "245 tokens" in found["codebook_usage"].reading
    assert "few" in found["codebook_usage"].reading


def test_nulls_are_the_means_of_even_draws():
    k, n, trials = 32, 40, 2000
    counts = torch.stack(
        [torch.bincount(t, minlength=k) for t in drawn(trials, n, torch.ones(k) / k)]
    )
    used = (counts > 0).double().mean(1)
    assert abs(used.mean().item() - expected_usage(k, n)) < 4 * used.std().item() / trials**0.5
    logs = torch.tensor([math.log(perplexity(c)) for c in counts])
    assert abs(logs.mean().item() - math.log(even_perplexity(k, n))) < (
        4 * logs.std().item() / trials**0.5
    )


def test_nulls_of_many_tokens_are_all_codes():
    assert expected_usage(64, 10**6) == 1
    assert even_perplexity(64, 10**6) == pytest.approx(64, rel=1e-6)
    assert even_perplexity(1, 10) == expected_usage(1, 10) == 1
    assert even_perplexity(2, 1) == pytest.approx(1)  # one token is one code


def test_the_perplexity_is_the_library_s_but_for_the_bias():
    indices = drawn(30, 7, torch.tensor([0.5, 0.3, 0.2, 0.0]))
    plain = quantization.perplexity(indices, 4)
    corrected = perplexity(torch.bincount(indices.flatten(), minlength=4))
    assert corrected == pytest.approx(plain * math.exp(2 / (2 * 210)))


def test_errors_are_over_images_whose_tokens_depend_on_each_other():
    """Each image repeats one code 50 times: as uncertain as 1 token an image."""
    even = torch.ones(8) / 8
    one = drawn(100, 1, even)
    alone = codebook(study(one, 8))["codebook_perplexity"].value
    repeated = codebook(study(one.repeat(1, 50), 8))["codebook_perplexity"].value
    assert repeated.error == pytest.approx(alone.error, rel=0.1)


def test_intervals_hold():
    """Of 100 samples of images with an uneven codebook, against the mean of all: 90 or more."""
    shares = torch.arange(1, 65, dtype=torch.float32).reciprocal()
    found = [codebook(study(drawn(60, 9, shares, seed), 64)) for seed in range(100)]
    estimates = [f["codebook_perplexity"].value for f in found]
    values = torch.tensor([e.value for e in estimates])
    truth = values.mean().item()
    half = sum(e.high - e.low for e in estimates) / 200
    assert sum(e.low <= truth <= e.high for e in estimates) >= 90
    assert half < 1.5 * 1.96 * values.std().item()


def test_counts_are_kept_for_the_picture():
    one = study(torch.tensor([[0, 2], [2, 2]]), 4)
    codebook(one)
    assert one.tables["codebook_counts"].tolist() == [3, 1, 0, 0]


def test_what_is_not_known_or_wrong_is_said():
    with pytest.raises(Unmeasured, match="codes=K"):
        codebook(study(torch.zeros(3, 2, dtype=torch.long), None))
    with pytest.raises(ValueError, match="codes=4, but indices reach from 0 to 4"):
        codebook(study(torch.tensor([[0], [4]]), 4))


def test_a_healthy_codebook_passes():
    healthy = base("codebook")
    one = Study(
        healthy.encode, healthy.decode, healthy.images,
        declared=Declared(**healthy.declared), sizes=Sizes(images=400),
    )  # fmt: skip
    assert verdict(codebook(one)) == "pass"
