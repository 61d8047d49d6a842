"""VQ-VAE: the decoder sees centres alone, and the codebook's own state is saved and resumed."""

import copy
import math
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from tests.models.contract import LatentModelContract, same_state
from vae_course import models
from vae_course.data import load
from vae_course.distortion import bernoulli, squared_error
from vae_course.models import VQVAE
from vae_course.quantization import VectorQuantizer, perplexity, usage
from vae_course.training import NonFiniteLossError, fit

DIGIT = (1, 8, 8)
X = load("digits").train
QUICK = dict(batch_size=32, progress=False)


def small(**arguments):
    return VQVAE.mlp(DIGIT, **dict(d=3, hidden=(16,), slots=2, num_codes=20) | arguments)


class VQVAEContract(LatentModelContract):
    """What a VQ-VAE promises, whatever gives it its centres."""

    def examples(self, model, n=6):
        x = X[:n] if model.image_shape == DIGIT else X[:n, 0, :2].flatten(1)
        return x.round() if model.distortion is bernoulli else x.clone()

    def code(self, model, x, eps):
        return model.encode(x).quantized

    def rate_exact(self, model, x):
        return torch.full((len(x),), model.slots * math.log(model.num_codes), dtype=x.dtype)

    def weight(self, model):
        """Of the squared distance to the centre: the pull on the encoder, and on the centre."""
        return model.quantizer.commitment

    def price_exact(self, model, x):
        codes = model.encode(x)
        return self.weight(model) * (codes.z - codes.quantized).square().sum((1, 2))

    def of_own_networks(self, model):
        networks = model.encoder, model.decoder, model.quantizer
        return VQVAE(*networks, slots=model.slots, image_shape=model.image_shape)

    def test_the_decoder_sees_the_centres_of_the_indices_and_nothing_else(self, build):
        model = build().double().eval()
        codes = model.encode(self.examples(model, 10).double())
        assert codes.indices.shape == (10, model.slots)
        assert codes.quantized.shape == codes.z.shape == (10, model.slots, model.d)
        assert torch.equal(model.quantizer.lookup(codes.indices), codes.quantized)
        output = model.decode_indices(codes.indices)
        assert torch.equal(output, model.decode(codes.quantized))

    def test_the_rate_bounds_the_entropy_of_the_codes(self, build):
        model = build()
        x, k = self.examples(model, 300), model.num_codes
        indices = model.encode(x).indices
        tuples = (indices * k ** torch.arange(model.slots)).sum(1)
        marginal = sum(math.log(perplexity(slot, k)) for slot in indices.T)
        joint = math.log(perplexity(tuples, k**model.slots))
        rate = model.loss_terms(x).rate
        assert 0 < joint <= marginal <= rate[0].item() + 1e-5

    def test_encoding_teaches_nothing(self, build):
        model = build()
        before = copy.deepcopy(model)
        x = self.examples(model, 32)
        model.encode(x)
        model.eval().loss_terms(x)
        assert same_state(model, before)

    def test_a_model_that_was_trained_and_saved_goes_on_as_if_it_had_not_been(
        self, build, tmp_path
    ):
        model = build()
        x = self.examples(model, 64)
        fit(model, x, steps=5, **QUICK)
        model.save(tmp_path / "model.safetensors")
        again = models.load(tmp_path / "model.safetensors")
        assert same_state(again, model) and again.slots == model.slots
        assert type(again.quantizer) is type(model.quantizer)
        fit(model, x, steps=5, **QUICK)
        fit(again, x, steps=5, **QUICK)
        assert same_state(again, model)


class TestRunningMeans(VQVAEContract):
    builds = {
        "mlp": partial(small, activation="tanh", commitment=0.5, revive=3),
        "linear": partial(VQVAE.mlp, (16,), d=2, hidden=()),
        "conv": partial(VQVAE.conv, DIGIT, d=3, width=4, num_codes=9, distortion="bernoulli"),
    }

    def test_training_alone_teaches_the_codebook(self, build):
        model = build()
        before = copy.deepcopy(model)
        model.train().loss_terms(self.examples(model, 32))
        assert not same_state(model, before)

    def test_training_lowers_the_loss_and_resumes_to_the_very_same_weights(
        self, tmp_path, monkeypatch
    ):
        """With revivals before and after the interruption."""
        revivals, revive = [], VectorQuantizer._revive

        def counted(quantizer, dead, *rest):
            revivals.append(int(quantizer.batches))
            return revive(quantizer, dead, *rest)

        monkeypatch.setattr(VectorQuantizer, "_revive", counted)
        super().test_training_lowers_the_loss_and_resumes_to_the_very_same_weights(tmp_path)
        assert min(revivals) <= self.stop_at < max(revivals)


class TestCodebookByGradient(TestRunningMeans):
    builds = {"mlp": partial(small, decay=None, revive=3)}

    def weight(self, model):
        return model.quantizer.commitment + 1


class TestFiniteScalars(VQVAEContract):
    builds = {"mlp": partial(small, d=2, levels=(4, 5))}

    def weight(self, model):
        return 0.0


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


def test_training_uses_the_whole_codebook():
    model = VQVAE.mlp(DIGIT, d=2, slots=4, num_codes=8, hidden=(64,))
    fit(model, X, steps=200, lr=1e-2, batch_size=64, progress=False)
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
        fit(model, X, steps=20, lr=1e30, schedule="constant", **QUICK)
    assert same_state(model, before)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: small(slots=0), r"slots=\(0,\)"),
        (lambda: small(num_codes=0), "num_codes must be at least 1, got 0"),
        (lambda: small(levels=(4, 5)), r"levels=\[4, 5\].*d=3"),
        (lambda: small(d=2, levels=(4, 5), decay=0.9), r"\['decay'\].*leave"),
        (lambda: VQVAE.conv((1, 8, 6)), "divisible by 4"),
        (lambda: small().decode(torch.zeros(5, 3)), r"\(5, 3\).*\(batch, 2, 3\)"),
        (lambda: small().decode_indices(torch.zeros(5, 3).long()), r"\(5, 3, 3\).*\(batch, 2, 3\)"),
        (lambda: small().decode_indices(torch.full((5, 2), 20)), "0 to 19"),
        (lambda: small().encode(torch.full((1, *DIGIT), math.nan)), "NaN"),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
