"""What distortions promise: a new one writes the fixture ``distortion`` and inherits the rest."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hvp
from torch.testing import assert_close

from vae_course.distortion import NAMED
from vae_course.models import VAE, load
from vae_course.training import fit

SHAPE = (1, 8, 8)


def images(n: int = 5, seed: int = 0) -> Tensor:
    """Grey ones, so that an image and its neighbours have logits."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 + 0.8 * torch.rand(n, *SHAPE, generator=generator, dtype=torch.float64)


def single(distortion):
    """The same in float32; a module as a copy, since it would be converted itself."""
    if isinstance(distortion, nn.Module):
        return copy.deepcopy(distortion).float()
    return distortion


class DistortionContract:
    """What all of them promise, the adversarial one too."""

    float32_error = 1e-6  # of the largest value

    @pytest.fixture
    def distortion(self):
        """In float64; a module in eval mode."""
        raise NotImplementedError

    @staticmethod
    def output(x: Tensor) -> Tensor:
        """What a decoder puts out that means these images."""
        return x

    def pair(self, dtype=torch.float64) -> tuple[Tensor, Tensor]:
        x = images()
        return x.to(dtype), self.output(x + 0.1 * (images(seed=1) - 0.5)).to(dtype)

    def test_an_image_costs_in_a_batch_what_it_costs_alone(self, distortion):
        x, output = self.pair()
        together = distortion(x, output)
        assert together.shape == (5,)
        alone = [distortion(x[i : i + 1], output[i : i + 1]) for i in range(5)]
        assert_close(together, torch.cat(alone), rtol=1e-10, atol=1e-12)

    def test_its_gradient_is_the_derivative(self, distortion):
        x, output = self.pair()
        check = torch.autograd.gradcheck
        assert check(lambda y: distortion(x, y), output.requires_grad_(), fast_mode=True)

    def test_it_holds_in_float32(self, distortion):
        exact, found = distortion(*self.pair()), single(distortion)(*self.pair(torch.float32))
        assert found.dtype == torch.float32 and exact.dtype == torch.float64
        tolerance = self.float32_error * exact.abs().max().item()
        assert_close(found.double(), exact, rtol=0.0, atol=tolerance)

    def test_a_foreign_default_device_changes_nothing(self, distortion):
        x, output = self.pair()
        expected = distortion(x, output)
        with torch.device("meta"):  # any tensor made there would have no values
            assert torch.equal(distortion(x, output), expected)

    def test_a_look_without_gradients_changes_nothing(self, distortion):
        x, output = self.pair()
        before, random = (x.clone(), output.clone()), torch.get_rng_state()
        state = copy.deepcopy(getattr(distortion, "state_dict", dict)())
        expected = distortion(x, output)
        if isinstance(distortion, nn.Module):
            distortion.train()
        with torch.no_grad():
            assert_close(distortion(x, output), expected, rtol=1e-12, atol=1e-13)
        assert torch.equal(x, before[0]) and torch.equal(output, before[1])
        assert torch.equal(torch.get_rng_state(), random)
        after = getattr(distortion, "state_dict", dict)()
        assert all(torch.equal(value, after[name]) for name, value in state.items())


class LowestContract(DistortionContract):
    """And those that are lowest at the image itself, which therefore have a metric."""

    zero = True  # there; the cross-entropy of grey pixels isn't

    def test_nothing_is_as_cheap_as_the_image_itself(self, distortion):
        x, output = self.pair()
        same = self.output(x).requires_grad_()
        lowest = distortion(x, same)
        assert (distortion(x, output) > lowest + 1e-6).all()
        if self.zero:
            assert_close(lowest, torch.zeros_like(lowest), rtol=0.0, atol=1e-11)
        (slope,) = torch.autograd.grad(lowest.sum(), same)
        assert_close(slope, torch.zeros_like(x), rtol=0.0, atol=1e-10)

    def test_a_small_error_costs_what_half_the_hessian_says(self, distortion):
        x = images()
        same, step = self.output(x), 1e-4 * (images(seed=2) - 0.5)  # no kink so near
        (curved,) = hvp(lambda y: distortion(x, y).sum(), same, step)[1:]
        there_and_back = distortion(x, same + step) + distortion(x, same - step)
        cost = there_and_back / 2 - distortion(x, same)
        assert_close(cost, (step * curved).flatten(1).sum(1) / 2, rtol=1e-3, atol=0.0)


class InAModelContract:
    """A model under it is a file, a copy and a pickle of itself. Mixed in beside the others."""

    @pytest.fixture
    def stranger(self, distortion):
        """What ``load`` is given: one of other weights, which the file's overwrite."""
        return distortion

    def test_it_is_saved_loaded_copied_and_pickled_with_its_model(
        self, distortion, stranger, tmp_path
    ):
        x, eps = images(20).float(), torch.zeros(20, 2)
        names = [name for name, function in NAMED.items() if function is distortion]
        given = names[0] if names else single(distortion)
        model = VAE.mlp(SHAPE, d=2, hidden=(8,), distortion=given)
        fit(model, x, steps=3, batch_size=20, progress=False)
        model.save(tmp_path / "m")
        again = load(tmp_path / "m", **({} if names else {"distortion": single(stranger)}))
        for twin in (again, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.equal(model.loss_terms(x, eps).loss, twin.eval().loss_terms(x, eps).loss)
            state, other = model.state_dict(), twin.state_dict()
            assert all(torch.equal(state[name], other[name]) for name in state)
        assert not names or again.distortion is distortion
