"""What every model promises that ``fit`` trains, and what every model with a latent code does."""

import copy
import math
import signal
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli
from torch.testing import assert_close

from vae_course import models
from vae_course.distortion import bernoulli
from vae_course.sphere import SphericalLaw, log_area
from vae_course.training import NonFiniteLossError, fit

N = 6


def away_from_start(model: Any) -> Any:
    """The model in eval mode, all its weights moved: what an initial weight hides is then seen."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def same_state(a: nn.Module, b: nn.Module) -> bool:
    tables = a.state_dict(), b.state_dict()
    return tables[0].keys() == tables[1].keys() and all(
        torch.equal(value, tables[1][name]) for name, value in tables[0].items()
    )


def noise(model: Any, n: int = N, seed: int = 2) -> Any:
    return model.draw_noise(n, torch.Generator().manual_seed(seed))


def cast(x: Any, dtype: torch.dtype) -> Any:
    """Numbers with a point in that precision; tokens, and no noise, as they are."""
    return x if x is None or not x.is_floating_point() else x.to(dtype)


def rate_by_quadrature(q: SphericalLaw) -> Tensor:
    """The mean of log q - log p over codes, p uniform, by the angle from the mode."""
    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(200))
    angle, step = (nodes[:, None] + 1) * math.pi / 2, weights[:, None] * math.pi / 2  # (t, 1)
    aside = torch.linalg.qr(torch.cat([q.mode[..., None], torch.eye(q.dim).expand(N, -1, -1)], -1))
    z = angle[..., None].cos() * q.mode + angle[..., None].sin() * aside.Q[..., 1]  # (t, N, d)
    log_q = q.log_prob(z)
    ring = log_area(q.dim - 1) + (q.dim - 2) * angle.sin().log()
    return ((log_q + ring).exp() * (log_q + log_area(q.dim)) * step).sum(0)


class ObjectiveContract:
    """What ``fit`` asks: an objective of each example alone, a function of weights and noise.

    A model names its ``builds``, each a function of a seed, writes the oracles, and inherits the
    rest. Oracles are in float64.
    """

    builds: ClassVar[dict[str, Callable[..., Any]]]
    plan: ClassVar[dict[str, Any]] = dict(steps=40, lr=5e-3, batch_size=32)
    stop_at = 25

    def examples(self, model: Any, n: int = N) -> Tensor:
        raise NotImplementedError

    def distortion_exact(self, model: Any, x: Tensor, eps: Any) -> Tensor:
        raise NotImplementedError

    def rate_exact(self, model: Any, x: Tensor) -> Tensor:
        raise NotImplementedError

    def price_exact(self, model: Any, x: Tensor) -> Tensor:
        """What the loss adds to the distortion."""
        return model.beta * self.rate_exact(model, x)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "build" in metafunc.fixturenames:
            metafunc.parametrize("build", self.builds.values(), ids=self.builds)

    @property
    def first(self) -> Callable[..., Any]:
        return next(iter(self.builds.values()))

    def test_the_loss_is_distortion_plus_the_price_of_the_rate(self, build):
        model = away_from_start(build())
        exact = copy.deepcopy(model).double()
        x, eps = self.examples(model), noise(model)
        inputs = cast(x, torch.float64), cast(eps, torch.float64)
        with torch.no_grad():
            distortion = self.distortion_exact(exact, *inputs)
            rate = self.rate_exact(exact, inputs[0])
            loss = distortion + self.price_exact(exact, inputs[0])
            for dtype, tol in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
                ours = model.to(dtype).loss_terms(cast(x, dtype), cast(eps, dtype))
                for term, oracle in zip(ours, (loss, distortion, rate), strict=True):
                    assert term.dtype == dtype and term.shape == (N,)  # per example
                    assert_close(term.double(), oracle, rtol=tol, atol=tol)
        assert (rate >= 0).all()

    def test_the_terms_of_a_batch_are_those_of_each_example_alone(self, build):
        model = away_from_start(build())
        x, eps = self.examples(model), noise(model)
        parts = [None] * N if eps is None else eps.split(1)
        alone = [model.loss_terms(*pair) for pair in zip(x.split(1), parts, strict=True)]
        for i, together in enumerate(model.loss_terms(x, eps)):
            assert_close(together, torch.cat([terms[i] for terms in alone]), rtol=1e-5, atol=1e-5)

    def test_the_noise_is_of_the_seed_and_the_loss_a_function_of_the_noise(self, build):
        model = build().eval()
        x = self.examples(model)
        eps, again, other = noise(model), noise(model), noise(model, seed=3)
        assert torch.equal(model.loss_terms(x, eps).loss, model.loss_terms(x, again).loss)
        if eps is not None:
            assert torch.equal(eps, again) and not torch.equal(eps, other)
            assert not torch.equal(model.loss_terms(x, eps).loss, model.loss_terms(x, other).loss)

    def test_weights_depend_on_the_seed_and_global_randomness_on_nothing(self, build):
        torch.manual_seed(3)
        before = torch.get_rng_state()
        first, used = build(seed=5), build(seed=5)
        x = self.examples(used)
        used.train().loss_terms(x, noise(used)).loss.sum().backward()
        if hasattr(used, "encode"):
            used.encode(x)
        if hasattr(used, "sample"):
            used.sample(3, seed=0)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(4)
        assert same_state(first, build(seed=5))
        assert not same_state(first, build(seed=6))

    def test_training_lowers_the_loss_and_resumes_to_the_very_same_weights(self, tmp_path):
        whole, stopped, resumed = self.first(), self.first(), self.first()
        x = self.examples(whole, 128)
        history = fit(whole, x, **self.plan, progress=False)
        assert history.loss[-5:].mean() < 0.8 * history.loss[:5].mean()
        assert not whole.training and all(p.grad is None for p in whole.parameters())

        file = dict(checkpoint=tmp_path / "run", checkpoint_every=10, progress=False)
        terms, steps = stopped.loss_terms, iter(range(1, 1000))

        def interrupted(x, eps):
            if next(steps) == self.stop_at:
                signal.raise_signal(signal.SIGINT)
            return terms(x, eps)

        stopped.loss_terms = interrupted
        with pytest.raises(KeyboardInterrupt, match=f"after step {self.stop_at} of"):
            fit(stopped, x, **self.plan, **file)
        again = fit(resumed, x, **self.plan, **file)
        assert same_state(resumed, whole)
        assert all(
            (a == b).all()
            for a, b in zip(vars(again).values(), vars(history).values(), strict=True)
        )

    def test_a_loss_that_is_not_finite_stops_training(self):
        model = self.first()
        next(model.parameters()).data.view(-1)[0] = math.nan
        with pytest.raises(NonFiniteLossError):
            fit(model, self.examples(model), steps=3, batch_size=N, progress=False)


class LatentModelContract(ObjectiveContract):
    """What every latent model of images promises besides: codes, images, files and clear errors."""

    def examples(self, model: Any, n: int = N) -> Tensor:
        """Rank one, so that a code has something to say."""
        generator = torch.Generator().manual_seed(1)
        bright = torch.rand(n, *[1] * len(model.image_shape), generator=generator)
        x = bright * torch.rand(model.image_shape, generator=generator)
        return x.round() if model.distortion is bernoulli else x

    def code(self, model: Any, x: Tensor, eps: Any) -> Tensor:
        """What the decoder sees."""
        raise NotImplementedError

    def distortion_exact(self, model: Any, x: Tensor, eps: Any) -> Tensor:
        output = model.decode(self.code(model, x, eps))
        if model.distortion is bernoulli:  # decode then gives the pixels' means
            return -Bernoulli(probs=output).log_prob(x).flatten(1).sum(1)
        return (x - output).square().flatten(1).sum(1)

    def of_own_networks(self, model: Any) -> Any:
        """The same model, built from its networks as if they were of your own."""
        networks = model.encoder, model.decoder
        return type(model)(*networks, image_shape=model.image_shape, d=model.d)

    def test_an_image_has_a_code_and_a_code_an_image(self, build):
        model = build()
        x = self.examples(model)
        z = self.code(model, x, noise(model))
        assert len(z) == N and z.shape[-1] == model.d
        assert model.decode(z).shape == x.shape
        assert_close(model.decode(z[0]), model.decode(z)[0], rtol=1e-5, atol=1e-6)

    def test_a_nan_reaches_the_loss_of_its_image_alone(self, build):
        model = build().eval()
        x = self.examples(model)
        x.view(N, -1)[2, -1] = math.nan
        loss = model.loss_terms(x, noise(model)).loss
        assert loss.isnan().tolist() == [i == 2 for i in range(N)]

    def test_a_saved_model_comes_back_as_it_was(self, build, tmp_path, monkeypatch):
        model = away_from_start(build())
        model.save(tmp_path / "model.safetensors")
        monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("code may run"))
        again = models.load(tmp_path / "model.safetensors")
        assert type(again) is type(model) and again.config == model.config and not again.training
        assert again.distortion is model.distortion and again.image_shape == model.image_shape
        assert same_state(again, model)
        x, eps = self.examples(model), noise(model)
        assert torch.equal(again.loss_terms(x, eps).loss, model.loss_terms(x, eps).loss)

    def test_your_own_networks_make_a_model_that_save_refuses(self, build, tmp_path):
        model = self.of_own_networks(build())
        x = self.examples(model)
        assert model.loss_terms(x, noise(model)).loss.shape == (N,)
        with pytest.raises(ValueError, match="your own networks.*state_dict"):
            model.save(tmp_path / "model.safetensors")

    def test_images_and_codes_of_another_shape_are_named(self, build, unchecked):
        model = build()
        with pytest.raises(ValueError, match=r"\(5, 7, 7\): this model takes \(batch, .*reshape"):
            model.encode(torch.zeros(5, 7, 7))
        d = model.d + 1
        with pytest.raises(ValueError, match=rf"\(5, {d}\); codes of this model are \(batch, "):
            model.decode(torch.zeros(5, d))
