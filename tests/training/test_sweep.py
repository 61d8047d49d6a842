"""A sweep is its solo runs: the ensemble changes the time, never the numbers."""

import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.training.small import DIGITS as X, QUICK, X as FEW, weights
from vae_course.models import VAE, VQVAE, Autoencoder, DenoisingAutoencoder, SphericalVAE
from vae_course.training import Ensemble, NonFiniteLossError, fit, sweep

CONFIG = dict(image_shape=(1, 8, 8), d=2, hidden=(32,))
BETAS, SEEDS = (0.03, 0.3), (0, 5)


def double(**config):
    return VAE.mlp(**config).double()


def own_network(beta, seed):
    """A model whose layers don't take stacked weights: the way of vmap."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Flatten(1), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 4))
    decoder = nn.Sequential(nn.Linear(2, 64), nn.Unflatten(1, (1, 8, 8)))
    return VAE(encoder, decoder, image_shape=(1, 8, 8), d=2, beta=beta)


def own_network_double(**config):
    return own_network(**config).double()


@pytest.mark.parametrize(
    "build, config, options, tol",
    [
        (VAE.mlp, CONFIG, dict(steps=60), 1e-5),
        (VAE.mlp, CONFIG | dict(distortion="bernoulli"), dict(steps=30), 1e-5),
        (VAE.mlp, CONFIG, dict(steps=30, clip=1.0), 1e-5),
        (double, CONFIG, dict(steps=30, target_rate=1.5), 1e-10),
        (own_network_double, {}, dict(steps=30, target_rate=1.5), 1e-10),
        (double, CONFIG, dict(steps=60), 1e-11),
        (VAE.conv, dict(image_shape=(1, 8, 8), d=2, width=2), dict(steps=12), 1e-5),
        (own_network, {}, dict(steps=30), 1e-5),
    ],
    ids=["mlp", "bernoulli", "clipped", "target", "own-target", "float64", "conv", "own"],
)
def test_each_member_is_its_solo_run(build, config, options, tol):
    """Weights are of order 0.1 and losses of order 10: a bound on the weights' absolute and the
    losses' relative difference. Only the order of summation differs (seen: 3e-7 and 2e-7)."""
    options = options | dict(batch_size=64, progress=False)
    many = sweep(build, config, X, betas=BETAS, seeds=SEEDS, **options)
    for i, beta in enumerate(BETAS):
        for j, seed in enumerate(SEEDS):
            alone = build(**config, beta=beta, seed=seed)
            history = fit(alone, X, seed=seed, **options)
            assert_close(weights(many.member(beta, seed)), weights(alone), rtol=0.0, atol=tol)
            assert_close(many.member(beta, seed).beta, alone.beta, rtol=tol, atol=0.0)
            assert (alone.beta == torch.tensor(beta)) == ("target_rate" not in options)
            for curve in ("loss", "distortion", "rate"):
                solo = getattr(history, curve)
                together = getattr(many.history, curve)[:, i, j]
                assert_close(together, solo, rtol=tol, atol=tol)


FAMILIES = ("cauchy", "vmf", "power")


def own_sphere(beta, family, seed):
    """A spherical VAE of the same networks, which vmap has to carry."""
    torch.manual_seed(seed)
    encoder = nn.Sequential(nn.Flatten(1), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 6))
    decoder = nn.Sequential(nn.Linear(5, 64), nn.Unflatten(1, (1, 8, 8)))
    networks = encoder.double(), decoder.double()
    return SphericalVAE(*networks, image_shape=(1, 8, 8), d=5, beta=beta, family=family).double()


def sphere_double(**config):
    return SphericalVAE.mlp(**config).double()


@pytest.mark.parametrize(
    "build, config, tol",
    [
        (SphericalVAE.mlp, dict(d=3, hidden=(32,)), 1e-5),
        (SphericalVAE.mlp, dict(d=11, hidden=(32,), distortion="bernoulli"), 1e-5),
        (sphere_double, dict(d=3, hidden=(32,)), 1e-10),
        (sphere_double, dict(d=11, hidden=(32,)), 1e-10),
        (SphericalVAE.conv, dict(d=3, width=2), 1e-5),
        (own_sphere, None, 1e-10),
    ],
    ids=["globe", "bernoulli", "globe64", "float64", "conv", "own"],
)
def test_families_in_one_stack_are_their_solo_runs(build, config, tol):
    """What each member draws is its own run's, past the first epoch, of 8 batches, too; and so is
    the price that a target rate finds. Bounds as for Gaussian codes above."""
    config = {} if config is None else dict(image_shape=(1, 8, 8)) | config
    options = dict(steps=14, batch_size=64, target_rate=1.5, progress=False)
    few = X[:512]
    many = sweep(build, config, few, betas=BETAS, seeds=SEEDS, families=FAMILIES, **options)
    assert many.history.loss.shape == (14, 6, 2)
    for f, family in enumerate(FAMILIES):
        for i, beta in enumerate(BETAS):
            for j, seed in enumerate(SEEDS):
                alone = build(**config, beta=beta, family=family, seed=seed)
                history = fit(alone, few, seed=seed, **options)
                member = many.member(beta, seed, family)
                assert member is many.members[f * len(BETAS) + i][j] and member.family == family
                assert_close(weights(member), weights(alone), rtol=0.0, atol=tol)
                assert_close(member.beta, alone.beta, rtol=tol, atol=0.0)
                for curve in ("loss", "distortion", "rate"):
                    together = getattr(many.history, curve)[:, f * len(BETAS) + i, j]
                    assert_close(together, getattr(history, curve), rtol=tol, atol=tol)


def test_a_sweep_over_families_names_what_it_lacks():
    options = dict(betas=[0.1], seeds=[0], steps=2, progress=False)
    config = dict(image_shape=(1, 8, 8), d=3, hidden=(8,))
    many = sweep(SphericalVAE.mlp, config, X, families=["vmf", "cauchy"], **options)
    assert many.member(family="cauchy").family == "cauchy" and many.families == ("vmf", "cauchy")
    for family in ("power", None):
        with pytest.raises(ValueError, match=rf"family={family}.*\['vmf', 'cauchy'\]"):
            many.member(family=family)
    with pytest.raises(ValueError, match=r"families=\['vmf', 'vmf'\].*only once"):
        sweep(SphericalVAE.mlp, config, X, families=["vmf", "vmf"], **options)
    with pytest.raises(ValueError, match=r"family=vmf is not in this sweep"):
        sweep(VAE.mlp, CONFIG, X, **options).member(family="vmf")


@pytest.mark.parametrize("network, size", [("mlp", dict(hidden=(32,))), ("conv", dict(width=4))])
@pytest.mark.parametrize("kind", [Autoencoder, DenoisingAutoencoder])
def test_autoencoders_sweep_over_seeds_alone(kind, network, size):
    build, config = getattr(kind, network), dict(image_shape=(1, 8, 8), d=2) | size
    options = dict(steps=8, batch_size=64, progress=False)
    many = sweep(build, config, X, betas=None, seeds=SEEDS, **options)
    alone = build(**config, seed=5)
    history = fit(alone, X, seed=5, **options)
    assert_close(many.history.loss[:, 0, 1], history.loss, rtol=1e-5, atol=0)
    assert_close(weights(many.member(seed=5)), weights(alone), rtol=0.0, atol=1e-5)
    codes = many.encode(X[:7])
    assert codes.shape == (1, 2, 7, 2)
    assert_close(codes[0, 1], alone.encode(X[:7]), rtol=1e-4, atol=1e-5)


def test_batched_products_and_vmap_are_the_same_function():
    members = [VAE.mlp(**CONFIG, beta=0.1 + i, seed=i).double() for i in range(3)]
    batched, mapped = Ensemble(members), None
    assert batched.batched
    for member in members:
        member.encoder[1].__class__ = nn.Linear  # no longer known to take stacked weights
    mapped = Ensemble(members)
    assert not mapped.batched
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(3, 5, 1, 8, 8, generator=generator, dtype=torch.float64)
    eps = torch.randn(3, 5, 2, generator=generator, dtype=torch.float64)
    for ours, theirs in zip(batched.loss_terms(x, eps), mapped.loss_terms(x, eps), strict=True):
        assert ours.shape == (3, 5)
        assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.fixture(scope="module")
def trained():
    return sweep(VAE.mlp, CONFIG, X, betas=BETAS, seeds=SEEDS, steps=60, progress=False)


def test_encode_and_decode_are_the_members_own(trained):
    posterior = trained.encode(X[:9])
    images = trained.decode(posterior.mu)
    assert posterior.mu.shape == posterior.sigma.shape == (2, 2, 9, 2)
    assert images.shape == (2, 2, 9, 1, 8, 8) and not images.requires_grad
    member = trained.member(0.3, 0)
    mu, sigma = member.encode(X[:9])
    assert torch.equal(posterior.mu[1, 0], mu) and torch.equal(posterior.sigma[1, 0], sigma)
    assert torch.equal(images[1, 0], member.decode(mu))


def test_a_vqvae_sweeps_over_workers_only_and_its_codes_keep_their_fields(tmp_path):
    config, options = {"d": 2, "slots": 3, "num_codes": 4}, {"steps": 2, "progress": False}
    with pytest.raises(ValueError, match="workers=2, folder=PATH"):
        sweep(VQVAE.mlp, config, X, betas=None, seeds=[0], **options)
    elsewhere = {"workers": 1, "folder": tmp_path}
    ours = sweep(VQVAE.mlp, config, X, betas=None, seeds=[0, 1], **options, **elsewhere)
    codes = ours.encode(X[:5])
    assert codes.indices.shape == (1, 2, 5, 3) and codes.z.shape == (1, 2, 5, 3, 2)
    for seed in (0, 1):
        for all_of_them, its_own in zip(codes, ours.member(seed=seed).encode(X[:5]), strict=True):
            assert torch.equal(all_of_them[0, seed], its_own)


def test_over_workers_each_run_has_its_own_price_and_its_file_keeps_it(tmp_path):
    options = dict(betas=(0.3,), seeds=(0, 1), steps=10, target_rate=1.0, progress=False)
    elsewhere = dict(workers=1, folder=tmp_path)
    first = sweep(VAE.mlp, CONFIG, X, **options, **elsewhere)
    again = sweep(VAE.mlp, CONFIG, X, **options, **elsewhere)
    prices = [first.member(seed=seed).beta.item() for seed in (0, 1)]
    assert prices == [again.member(seed=seed).beta.item() for seed in (0, 1)]
    assert prices[0] != prices[1] and 0.3 not in prices
    assert len(list(tmp_path.iterdir())) == 2
    sweep(VAE.mlp, CONFIG, X, **options | dict(target_rate=2.0), **elsewhere)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_distortion_that_learns_needs_a_process_for_each_run():
    class Learning(nn.Module):
        learns = True

        def forward(self, x, x_hat):
            return (x - x_hat).square().flatten(1).sum(1)

    config = CONFIG | dict(distortion=Learning())
    with pytest.raises(ValueError, match="distortion learns.*workers=2, folder=PATH"):
        sweep(VAE.mlp, config, X, betas=BETAS, seeds=SEEDS, steps=2, progress=False)


def test_a_member_is_a_whole_model_that_knows_its_beta_and_seed(trained, tmp_path):
    member = trained.member(0.3, 5)
    assert member is trained.members[1][1] and not member.training
    assert member.config["beta"] == 0.3 and member.config["seed"] == 5
    assert member.beta.shape == () and member.beta.item() == pytest.approx(0.3)
    member.save(tmp_path / "member.safetensors")


def test_a_larger_beta_gives_a_smaller_rate(trained):
    rate = trained.history.rate[-20:].mean((0, 2))
    assert trained.history.rate.shape == (60, 2, 2) and rate[1] < rate[0]


def test_a_killed_sweep_resumes_to_the_very_weights(killed):
    folder, ends = killed
    assert ends["in_a_sweep"] == -signal.SIGKILL
    config = CONFIG | dict(hidden=(16,))
    whole, resumed = (
        sweep(VAE.mlp, config, FEW, betas=BETAS, seeds=SEEDS, checkpoint=path, **QUICK)
        for path in (None, folder / "in_a_sweep")
    )
    assert np.array_equal(resumed.history.loss, whole.history.loss)
    for row, again in zip(whole.members, resumed.members, strict=True):
        assert all(torch.equal(weights(a), weights(b)) for a, b in zip(row, again, strict=True))


def test_a_diverging_member_is_named():
    def build(beta, seed):
        model = VAE.mlp(**CONFIG, beta=beta, seed=seed)
        if beta == 0.3 and seed == 5:
            model.decoder[-2].bias.data += 1e30
        return model

    with pytest.raises(NonFiniteLossError, match=r"loss inf at step 0 of beta=0\.3, seed=5"):
        sweep(build, {}, X, betas=BETAS, seeds=SEEDS, steps=10, progress=False)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(betas=()), r"betas=\[\]"),
        (dict(betas=(0.1, 0.1)), r"betas=\[0\.1, 0\.1\].*only once"),
        (dict(betas=(0.1, -0.1)), r"beta=-0\.1"),
        (dict(seeds=(3, 3)), r"seeds=\[3, 3\]"),
        (dict(steps=0), "steps=0"),
        (dict(batch_size=10_000), "batch_size=10000"),
        (dict(target_rate=0.0), r"target_rate=0\.0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = dict(betas=BETAS, seeds=SEEDS, steps=5, progress=False) | change
    with pytest.raises(ValueError, match=message):
        sweep(VAE.mlp, CONFIG, X, **arguments)


def test_a_beta_that_was_not_swept_is_named(trained):
    with pytest.raises(ValueError, match=r"beta=0\.2 is not in this sweep.*\[0\.03, 0\.3\]"):
        trained.member(0.2, 0)
    with pytest.raises(ValueError, match="beta=None"):
        trained.member(seed=0)
