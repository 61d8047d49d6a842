"""The autoencoder and the denoising one: no rate, and noise on the image alone."""

import math
from functools import partial

import pytest
import torch
from torch.testing import assert_close

from tests.models.contract import LatentModelContract, noise
from vae_course.distortion import squared_error
from vae_course.models import Autoencoder, DenoisingAutoencoder
from vae_course.training import fit

DIGIT = (1, 8, 8)
X = torch.rand(6, *DIGIT, generator=torch.Generator().manual_seed(1))


class TestAutoencoder(LatentModelContract):
    builds = {
        "mlp": partial(Autoencoder.mlp, DIGIT, d=3, hidden=(20,)),
        "conv": partial(Autoencoder.conv, DIGIT, d=2, width=4),
    }

    def code(self, model, x, eps):
        return model.encode(x)

    def rate_exact(self, model, x):
        return torch.zeros(len(x), dtype=x.dtype)

    price_exact = rate_exact


class TestDenoisingAutoencoder(TestAutoencoder):
    builds = {
        "mlp": partial(DenoisingAutoencoder.mlp, DIGIT, d=2, hidden=(20,), noise=0.3),
        "conv": partial(DenoisingAutoencoder.conv, DIGIT, d=2, width=4, noise=0.3),
    }

    def code(self, model, x, eps):
        """Of the noisy image, against which the clean one is held."""
        return model.encode(x + model.noise * eps)

    def test_the_loss_without_a_draw_is_the_plain_one(self, build):
        model = build()
        error = squared_error(X, model.decode(model.encode(X)))
        assert_close(model.loss_terms(X).loss, error)

    @pytest.mark.parametrize("network", ["mlp", "conv"])
    def test_without_noise_it_is_the_autoencoder(self, network):
        kinds = Autoencoder, DenoisingAutoencoder
        plain, denoising = (getattr(kind, network)(DIGIT, d=3, seed=4) for kind in kinds)
        denoising.noise.zero_()
        one, other = denoising.loss_terms(X, noise(denoising)), plain.loss_terms(X)
        assert_close(one, other, rtol=0, atol=0)
        one.loss.sum().backward(), other.loss.sum().backward()
        for mine, theirs in zip(denoising.parameters(), plain.parameters(), strict=True):
            assert torch.equal(mine, theirs) and torch.equal(mine.grad, theirs.grad)

    def test_its_noise_is_standard_normal_one_number_a_pixel(self):
        model = DenoisingAutoencoder.mlp((100, 100), d=2, hidden=(1,))
        eps = noise(model, 4)
        assert eps.shape == (4, 100, 100)
        assert abs(eps.mean()) < 4 / 200 and abs(eps.var() - 1) < 4 * math.sqrt(2) / 200

    def test_the_best_linear_one_is_a_wiener_filter(self):
        variances, s, d = torch.tensor([4.0, 2.0, 1.0, 0.2, 0.1]), 1.0, 3
        generator = torch.Generator().manual_seed(0)
        axes = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
        white = torch.randn(2000, 5, generator=generator)
        white = white - white.mean(0)
        white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / 2000)).T
        x = 1.0 + (white * variances.sqrt()) @ axes.T  # with these variances along axes, exactly
        model = DenoisingAutoencoder.mlp((5,), d=d, hidden=(), noise=s)
        fit(model, x, steps=200, lr=5e-2, batch_size=1000, schedule="cosine", progress=False)
        shrinkage = variances / (variances + s**2)
        shrinkage[d:] = 0
        filtered = 1.0 + (x - 1.0) @ axes @ shrinkage.diag() @ axes.T
        with torch.no_grad():
            assert_close(model.decode(model.encode(x)), filtered, rtol=0, atol=0.05)

    @pytest.mark.parametrize("s", [-0.1, math.inf])
    def test_noise_is_finite_and_not_negative(self, s):
        with pytest.raises(ValueError, match=f"noise.*{s}"):
            DenoisingAutoencoder.mlp(noise=s)
