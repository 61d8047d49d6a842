"""A discriminator that trains itself: as Adam would, when it is told to, and to be resumed."""

import copy

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.testing import assert_close

from tests.distortion.contract import DistortionContract, InAModelContract
from vae_course import files
from vae_course.distortion import (
    Adversarial,
    SpectralConv2d,
    combine,
    hinge,
    patch_discriminator,
    squared_error,
)
from vae_course.models import VAE
from vae_course.training import NonFiniteLossError, fit

DIGITS = torch.tensor(load_digits().images[:200] / 16, dtype=torch.float32)[:, None]


def images(n=32, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 8, 8, generator=generator, dtype=torch.float64).to(dtype)


def blurred(x):
    return nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def critic(start=0, lr=5e-4, **arguments):
    """Awake from the first call on, unless told otherwise; in training mode."""
    return Adversarial(patch_discriminator(width=4, **arguments), start=start, lr=lr).train()


def kernel(*arguments):
    """Of a seed, and one whose power iteration has converged."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        conv = SpectralConv2d(*arguments).double().train()
    for _ in range(300):
        conv.iterate()
    return conv


def state(module):
    return copy.deepcopy(module.state_dict())


def same(before, after):
    return all(torch.equal(before[name], after[name]) for name in before)


class TestAdversarial(DistortionContract, InAModelContract):
    """Awake; in the model of the contract its three steps go on from one already taken."""

    float32_error = 1e-5

    @pytest.fixture
    def distortion(self):
        return self.awake(seed=0)

    @pytest.fixture
    def stranger(self):
        return self.awake(seed=9)

    def awake(self, seed):
        adversarial = critic(seed=seed).double()
        adversarial(images(), blurred(images()))
        assert adversarial.active
        return adversarial.eval()


# --- the discriminator --------------------------------------------------------------------------


def test_kernels_have_spectral_norm_one_and_training_alone_moves_the_estimate():
    conv = kernel(3, 5, 4, 2)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    largest = torch.linalg.matrix_norm(conv.weight.flatten(1), 2)
    assert_close(conv.norm(), largest)
    expected = nn.functional.conv2d(x, conv.weight / largest, conv.bias, 2, 1)
    assert_close(conv.eval()(x), expected)
    with torch.no_grad():
        conv.weight.mul_(3)
        conv.weight[0].add_(1)
    before = conv.u.clone()
    conv(x)
    assert torch.equal(conv.u, before)
    conv.train()(x)
    assert not torch.equal(conv.u, before)


def test_the_gradient_of_a_spectral_kernel_is_that_of_the_normalised_one():
    """Oracle: differentiate W / sigma with sigma from the SVD."""
    conv = kernel(2, 3, 3)
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (ours,) = torch.autograd.grad(conv.eval()(x).square().sum(), conv.weight)
    w = conv.weight.detach().clone().requires_grad_()
    normalised = w / torch.linalg.svdvals(w.flatten(1))[0]
    out = nn.functional.conv2d(x, normalised, conv.bias, 1, 1)
    (theirs,) = torch.autograd.grad(out.square().sum(), w)
    assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("halvings, side", [(1, 4), (2, 2)])
def test_it_scores_patches_and_a_seed_makes_its_weights(halvings, side):
    random = torch.get_rng_state()
    net = patch_discriminator(2, 4, halvings=halvings, seed=3)
    assert torch.equal(torch.get_rng_state(), random)
    assert net.eval()(torch.rand(5, 2, 8, 8)).shape == (5, 1, side, side)
    twin = patch_discriminator(2, 4, halvings=halvings, seed=3)
    other = patch_discriminator(2, 4, halvings=halvings, seed=4)
    assert same(state(net), state(twin)) and not same(state(net), state(other))


def test_hinge_is_zero_beyond_the_margins_and_counts_what_is_missing():
    real, fake = torch.tensor([1.5, 1.0, 0.0]), torch.tensor([-2.0, -1.0, 0.5, 0.5])
    assert hinge(real, fake) == 1 / 3 + (0 + 0 + 1.5 + 1.5) / 4
    assert hinge(real + 1, fake - 2) == 0


# --- its training -------------------------------------------------------------------------------


def test_it_learns_by_adam_on_the_hinge_loss():
    """Oracle: PyTorch's Adam, on a copy of the network."""
    adversarial = critic(lr=3e-3).double()
    net = copy.deepcopy(adversarial.discriminator).requires_grad_(True).train()
    adam = torch.optim.Adam(net.parameters(), lr=3e-3, betas=(0.5, 0.99))
    for step in range(6):
        x, x_hat = images(seed=step), blurred(images(seed=step))
        adversarial(x, x_hat)
        real, fake = net(torch.cat([x, x_hat])).chunk(2)
        adam.zero_grad()
        hinge(real, fake).backward()
        adam.step()
    for ours, theirs in zip(adversarial.discriminator.parameters(), net.parameters(), strict=True):
        assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_its_hinge_falls_where_images_can_be_told_apart_and_they_cost_more_and_more():
    adversarial = critic(lr=3e-3)
    bright, dark = images(dtype=torch.float32) + 0.5, -images(dtype=torch.float32) - 0.5

    def loss():
        return hinge(adversarial.discriminator(bright), adversarial.discriminator(dark)).item()

    untrained = loss()
    costs = [adversarial(bright, dark).mean().item() for _ in range(100)]
    assert untrained > 1 and loss() < 0.05
    assert costs[-1] > 32 > costs[0]  # 16 patches, each more than 2 apart


def test_to_the_decoder_it_is_the_hinge_generators_loss():
    adversarial = critic().double()
    x, x_hat = images(), blurred(images()).requires_grad_()
    value = adversarial(x, x_hat)
    ((ours),) = torch.autograd.grad(value.sum(), x_hat)
    scores = adversarial.discriminator(x_hat)  # after the step
    (theirs,) = torch.autograd.grad(-scores.sum(), x_hat)
    assert_close(ours, theirs)
    real = adversarial.discriminator(x)
    assert_close(value, (real - scores).flatten(1).sum(1))
    assert torch.equal(adversarial(x, x), torch.zeros(32, dtype=x.dtype))


def test_until_its_start_it_is_zero_and_learns_nothing():
    adversarial = critic(start=3)
    x = images(dtype=torch.float32)
    before = state(adversarial.discriminator)
    for _ in range(3):
        x_hat = blurred(x).requires_grad_()
        value = adversarial(x, x_hat)
        value.sum().backward()
        assert torch.equal(value, torch.zeros(32)) and torch.equal(x_hat.grad, 0 * x)
    assert not adversarial.active and same(before, state(adversarial.discriminator))
    adversarial(x, blurred(x))
    assert adversarial.active and not same(before, state(adversarial.discriminator))
    late, fresh = adversarial, critic()
    fresh(x, blurred(x))  # the sleep leaves no trace in the first step
    assert same(state(fresh.discriminator), state(late.discriminator))


# --- inside a model that trains -----------------------------------------------------------------

RUN = dict(steps=24, batch_size=16, progress=False)


def model(start=8, share=0.5, control="gradient", **arguments):
    adversarial = critic(start=start, **arguments)
    loss = combine(adversarial, share, control)
    return VAE.mlp((1, 8, 8), d=2, hidden=(8,), distortion=loss), adversarial


def test_the_loops_optimizer_never_touches_the_discriminator():
    vae, adversarial = model(start=10**6)
    before = state(adversarial.discriminator)
    fit(vae, DIGITS, lr=0.1, **RUN)
    assert same(before, state(adversarial.discriminator)) and int(adversarial.calls) == 24
    vae, adversarial = model(start=8, lr=1e-30)  # awake, and slower than rounding
    fit(vae, DIGITS, lr=0.1, clip=1.0, **RUN)
    weights = dict(adversarial.discriminator.named_parameters())
    assert all(torch.equal(before[name], weight) for name, weight in weights.items())
    assert not any(p.requires_grad or p.grad is not None for p in adversarial.parameters())
    assert not adversarial.training and not adversarial.discriminator.training
    vae, adversarial = model(start=8)
    fit(vae, DIGITS, **RUN)
    assert not same(before, state(adversarial.discriminator))


@pytest.mark.parametrize("control, killed_at", [("gradient", 5), ("add", 15), ("balanced", 20)])
def test_interrupted_and_resumed_it_ends_with_the_very_weights(control, killed_at, tmp_path):
    def trained(until=None, **arguments):
        vae, _ = model(control=control)
        calls = 0

        def stop(*_):
            nonlocal calls
            calls += 1
            if calls == until:
                raise RuntimeError("killed")

        vae.encoder.register_forward_hook(stop)
        fit(vae, DIGITS, **RUN, **arguments)
        return state(vae)

    file = dict(checkpoint=tmp_path / "run", checkpoint_every=4)
    with pytest.raises(RuntimeError, match="killed"):
        trained(killed_at, **file)
    assert files.load(tmp_path / "run")["step"] == (killed_at - 1) // 4 * 4
    assert same(trained(), trained(**file))


def test_a_discriminator_that_is_not_finite_stops_the_run_and_the_last_good_checkpoint_stays(
    tmp_path,
):
    vae, adversarial = model(start=8)
    broken = adversarial.discriminator[0]
    good = {}

    def poison(*_):
        if int(adversarial.calls) == 16:  # after step 16, whose checkpoint is written
            good.update(state(vae))
        if int(adversarial.calls) == 18:
            broken.weight.data.fill_(torch.nan)

    vae.encoder.register_forward_hook(poison)
    with pytest.raises(NonFiniteLossError, match=r"discriminator's loss is nan.*lr=.*step 16"):
        fit(vae, DIGITS, checkpoint=tmp_path / "run", checkpoint_every=8, **RUN)
    saved = files.load(tmp_path / "run")
    assert saved["step"] == 16
    for held in (saved["model"], vae.state_dict()):
        assert same(good, held) and all(value.isfinite().all() for value in held.values())


def test_alone_it_says_what_is_not_finite_and_keeps_its_weights():
    adversarial = critic()
    x = images(dtype=torch.float32)
    before = state(adversarial.discriminator)
    with pytest.raises(FloatingPointError, match="step 1,.*the decoder's images are not finite"):
        adversarial(x, x / 0)
    with pytest.raises(FloatingPointError, match="loss is nan at its step 1, with lr=0.0005"):
        with torch.no_grad():
            adversarial.discriminator[0].weight[0] = torch.nan
        critic_again = copy.deepcopy(adversarial)
        critic_again.calls.zero_()
        critic_again(x, blurred(x))
    weights = dict(adversarial.discriminator.named_parameters())
    assert all(torch.equal(w[1:], before[name][1:]) for name, w in weights.items())
    assert adversarial.mean.abs().sum() == 0


def test_next_to_squared_error_a_vae_still_learns_to_draw():
    """Not a claim about its rate: only that the two losses train together without a collapse."""
    adversarial = critic(start=100)
    loss = combine(adversarial, 0.1, "gradient")
    vae = VAE.mlp((1, 8, 8), d=8, hidden=(32,), distortion=loss)
    fit(vae, DIGITS, steps=200, batch_size=64, lr=5e-3, progress=False)
    with torch.no_grad():
        drawn = squared_error(DIGITS, vae.decode(vae.encode(DIGITS).mu)).mean()
    assert adversarial.active and drawn < 0.7 * DIGITS.flatten(1).var(0).sum()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Adversarial(patch_discriminator(), start=-1), "start=-1"),
        (lambda: Adversarial(patch_discriminator(), lr=0.0), "lr=0.0"),
        (lambda: Adversarial(patch_discriminator(), lr=float("inf")), "lr=inf"),
        (lambda: patch_discriminator(channels=0), "channels=0: must be 1 or more"),
        (lambda: patch_discriminator(halvings=0), "halvings=0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# --- the balance ----------------------------------------------------------------------------------


def test_the_balance_is_a_running_mean_of_the_hinge_and_its_least():
    """A critic of opposite images wins: its loss sinks from 2, slowly, and the least is kept."""
    adversarial, x = critic(lr=5e-3), images(dtype=torch.float32)
    expected, lows = 2.0, []
    for step in range(1, 131):
        before = copy.deepcopy(adversarial.discriminator)
        adversarial(x, 1 - x)
        real, fake = before.train()(torch.cat([x, 1 - x])).chunk(2)
        expected += 0.01 * (float(hinge(real, fake).detach()) - expected)
        lows += [expected] if step > 100 else []
        assert_close(adversarial.loss.item(), expected, rtol=1e-4, atol=0.0)
    assert_close(adversarial.lowest.item(), min(2.0, *lows), rtol=1e-4, atol=0.0)
    assert adversarial.loss < 2


def test_a_sleeping_critic_stays_at_two():
    adversarial, x = critic(start=10), images(dtype=torch.float32)
    adversarial(x, 1 - x)
    assert adversarial.loss == adversarial.lowest == 2
