"""Models: the objective against torch.distributions, safety at extremes, files."""

import math
import os
import pickle

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.testing import assert_close

from vae_course import models
from vae_course.distortion import squared_error
from vae_course.models import VAE, Autoencoder, DenoisingAutoencoder, networks
from vae_course.training import fit, sweep

DIGIT = (1, 8, 8)
X = torch.rand(6, *DIGIT, generator=torch.Generator().manual_seed(1))
AUTOENCODERS = Autoencoder, DenoisingAutoencoder
EPS = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))


def same_weights(a, b):
    tables = a.state_dict(), b.state_dict()
    return tables[0].keys() == tables[1].keys() and all(
        torch.equal(value, tables[1][name]) for name, value in tables[0].items()
    )


@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_loss_is_distortion_plus_beta_times_the_kl_divergence(dtype, tol):
    model = VAE.mlp(DIGIT, d=3, hidden=(20,), beta=0.7).to(dtype)
    x, eps = X.to(dtype), EPS.to(dtype)
    mu, sigma = model.encode(x)
    terms = model.loss_terms(x, eps)
    ball = torch.distributions.Normal(mu.double(), sigma.double())
    prior = torch.distributions.Normal(torch.zeros(3).double(), torch.ones(3).double())
    kl = torch.distributions.kl_divergence(ball, prior).sum(-1)
    error = ((x - model.decode(mu + sigma * eps)) ** 2).sum((1, 2, 3)).double()
    assert_close(terms.rate.double(), kl, rtol=tol, atol=tol)
    assert_close(terms.distortion.double(), error, rtol=tol, atol=tol)
    assert_close(terms.loss.double(), error + model.beta.double() * kl, rtol=tol, atol=tol)


def test_the_rate_is_the_kl_of_the_gaussian_module():
    gaussian = pytest.importorskip("vae_course.gaussian")
    model = VAE.mlp(DIGIT, d=3).double()
    x, eps = X.double(), EPS.double()
    assert_close(model.loss_terms(x, eps).rate, gaussian.kl_to_standard_normal(*model.encode(x)))


def test_bernoulli_decodes_to_the_mean_of_the_pixels():
    model = VAE.mlp(DIGIT, d=3, distortion="bernoulli", beta=1.0).double()
    x, eps = X.double().round(), EPS.double()
    mu, sigma = model.encode(x)
    pixels = torch.distributions.Bernoulli(probs=model.decode(mu + sigma * eps))
    oracle = -pixels.log_prob(x).flatten(1).sum(1)
    assert_close(model.loss_terms(x, eps).distortion, oracle)


def test_an_autoencoder_is_a_vae_without_noise_and_rate():
    model = Autoencoder.mlp(DIGIT, d=3)
    terms = model.loss_terms(X, model.draw_noise(6, torch.Generator()))
    assert_close(terms.loss, squared_error(X, model.decode(model.encode(X))))
    assert torch.equal(terms.loss, terms.distortion)
    assert torch.equal(terms.rate, torch.zeros(6))


@pytest.mark.parametrize("build", ["mlp", "conv"])
def test_without_noise_the_denoising_autoencoder_is_the_autoencoder(build):
    plain, denoising = (getattr(kind, build)(DIGIT, d=3, seed=4) for kind in AUTOENCODERS)
    denoising.noise.zero_()
    eps = denoising.draw_noise(6, torch.Generator().manual_seed(0))
    one, other = denoising.loss_terms(X, eps), plain.loss_terms(X)
    assert_close(one, other, rtol=0, atol=0)
    one.loss.sum().backward(), other.loss.sum().backward()
    for mine, theirs in zip(denoising.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs) and torch.equal(mine.grad, theirs.grad)


def test_the_denoising_loss_is_of_the_noisy_image_s_code_against_the_clean_image():
    model = DenoisingAutoencoder.mlp(DIGIT, d=3, noise=0.3)
    eps = model.draw_noise(6, torch.Generator().manual_seed(0))
    assert eps.shape == X.shape
    terms = model.loss_terms(X, eps)
    drawn = model.decode(model.encode(X + torch.tensor(0.3) * eps))
    assert_close(terms.loss, ((drawn - X) ** 2).sum((1, 2, 3)))
    assert torch.equal(terms.loss, terms.distortion) and (terms.rate == 0).all()
    # The code of an image is of that image, and the loss without a draw is the plain one.
    assert_close(model.loss_terms(X).loss, squared_error(X, model.decode(model.encode(X))))


def test_noise_of_the_denoising_autoencoder_is_standard_normal_and_of_the_seed():
    model = DenoisingAutoencoder.mlp((100, 100), d=2, hidden=(1,))
    eps = model.draw_noise(4, torch.Generator().manual_seed(0))
    assert abs(eps.mean()) < 4 / 200 and abs(eps.var() - 1) < 4 * math.sqrt(2) / 200
    assert torch.equal(eps, model.draw_noise(4, torch.Generator().manual_seed(0)))
    assert not torch.equal(eps, model.draw_noise(4, torch.Generator().manual_seed(1)))


def test_the_best_linear_denoising_autoencoder_is_a_wiener_filter():
    variances, noise, d = torch.tensor([4.0, 2.0, 1.0, 0.2, 0.1]), 1.0, 3
    generator = torch.Generator().manual_seed(0)
    axes = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    white = torch.randn(2000, 5, generator=generator)
    white = white - white.mean(0)
    white = white @ torch.linalg.inv(torch.linalg.cholesky(white.T @ white / 2000)).T
    x = 1.0 + (white * variances.sqrt()) @ axes.T  # with these variances along axes, exactly
    model = DenoisingAutoencoder.mlp((5,), d=d, hidden=(), noise=noise)
    fit(model, x, steps=400, lr=3e-2, batch_size=1000, schedule="cosine", progress=False)
    shrinkage = variances / (variances + noise**2)
    shrinkage[d:] = 0
    filtered = 1.0 + (x - 1.0) @ axes @ shrinkage.diag() @ axes.T
    with torch.no_grad():
        assert_close(model.decode(model.encode(x)), filtered, rtol=0, atol=0.05)


@pytest.mark.parametrize("build", ["mlp", "conv"])
def test_a_sweep_of_denoising_autoencoders_gives_each_its_run_alone(build):
    build, config = getattr(DenoisingAutoencoder, build), dict(image_shape=DIGIT, d=2, noise=0.5)
    options = dict(steps=8, batch_size=4, progress=False)
    many = sweep(build, config, X, betas=None, seeds=[0, 5], **options)
    alone = build(**config, seed=5)
    history = fit(alone, X, seed=5, **options)
    assert_close(many.history.loss[:, 0, 1], history.loss, rtol=1e-5, atol=0)
    assert_close(many.member(seed=5).encode(X), alone.encode(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("logit", [0.0, 1e30, -1e30, math.inf, -math.inf])
def test_sigma_its_square_and_its_inverse_are_finite_at_any_logit(logit):
    model = VAE.mlp((2,), d=1, hidden=())
    model.encoder[-1].weight.data.zero_()
    model.encoder[-1].bias.data.copy_(torch.tensor([0.0, logit]))
    _, sigma = model.encode(torch.zeros(1, 2))
    assert 4.5e-5 < sigma.item() < 2.21e4
    assert all(v.isfinite().all() for v in model.loss_terms(torch.zeros(1, 2), torch.ones(1, 1)))


def test_nan_is_not_hidden_by_the_bound_on_sigma():
    model = VAE.mlp((2,), d=1, hidden=())
    assert model.encode(torch.full((1, 2), math.nan)).sigma.isnan().all()


@pytest.mark.parametrize("build", [VAE.mlp, VAE.conv, Autoencoder.mlp, Autoencoder.conv])
def test_weights_depend_on_the_seed_and_global_randomness_on_nothing(build):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = build(DIGIT, d=3, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert same_weights(first, build(DIGIT, d=3, seed=5))
    assert not same_weights(first, build(DIGIT, d=3, seed=6))


def test_prior_samples_are_decoded_standard_normal_draws():
    model = VAE.mlp((40_000,), d=40_000, hidden=(1,))
    model.decoder = nn.Identity()
    z = model.sample(2, seed=0).flatten()
    assert abs(z.mean()) < 4 / math.sqrt(z.numel())  # four standard errors
    assert abs(z.var() - 1) < 4 * math.sqrt(2 / z.numel())
    assert torch.equal(z, model.sample(2, torch.Generator().manual_seed(0)).flatten())


# PyTorch's own forward mode calls what it deprecates
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_decode_is_differentiable_by_forward_mode_one_code_at_a_time():
    model = VAE.mlp(DIGIT, d=3)
    jacobian = torch.func.vmap(torch.func.jacfwd(model.decode))(EPS)  # (6, *image, d)
    step = 1e-2 * torch.eye(3)[0]
    difference = (model.decode(EPS + step) - model.decode(EPS - step)) / 2e-2
    assert_close(jacobian[..., 0], difference, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(
    "model",
    [
        VAE.mlp(DIGIT, d=3, hidden=(9,), beta=0.3, activation="tanh", seed=7),
        VAE.mlp((16,), d=3, hidden=()),
        VAE.conv(DIGIT, d=3, width=4, distortion="bernoulli"),
        Autoencoder.conv(DIGIT, d=2, width=4),
        DenoisingAutoencoder.mlp(DIGIT, d=2, noise=0.3),
    ],
    ids=["mlp", "linear", "conv", "autoencoder", "denoising"],
)
def test_a_saved_model_comes_back_as_it_was(model, tmp_path):
    model.encoder[-1].bias.data += 1.0  # not the initial weights
    model.save(tmp_path / "model.safetensors")
    again = models.load(tmp_path / "model.safetensors")
    assert type(again) is type(model) and again.config == model.config and not again.training
    assert again.distortion is model.distortion and again.image_shape == model.image_shape
    assert same_weights(again, model)


def test_a_save_killed_half_way_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    old = VAE.mlp(DIGIT, d=3, seed=0)
    old.save(path)

    def no_space(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="no space"):
        VAE.mlp(DIGIT, d=3, seed=1).save(path)
    assert same_weights(models.load(path), old)
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_every_length_of_header_is_told_from_a_pickle(tmp_path):
    path = tmp_path / "model.safetensors"
    for length in range(1, 140):  # some make the first bytes of the file those of a pickle
        model = VAE.mlp((1,) * length, d=1, hidden=())
        model.save(path)
        assert same_weights(models.load(path), model)


@pytest.mark.parametrize(
    "write", [torch.save, lambda obj, path: path.write_bytes(pickle.dumps(obj))]
)
def test_a_pickle_is_refused_unread(write, tmp_path):
    path = tmp_path / "model.pt"
    write(VAE.mlp(DIGIT, d=3).state_dict(), path)
    with pytest.raises(ValueError, match=r"model\.pt' is a pickle.*weights_only=True.*save"):
        models.load(path)


def test_a_damaged_or_foreign_file_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "model.safetensors"
    VAE.mlp(DIGIT, d=3).save(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"model\.safetensors' is not .* or is damaged.*save"):
        models.load(path)
    safetensors.torch.save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="is not a model saved by vae_course"):
        models.load(path)
    with pytest.raises(FileNotFoundError, match="absent"):
        models.load(tmp_path / "absent")


def absolute_error(x, output):
    return (x - output).abs().flatten(1).sum(1)


def test_a_distortion_of_your_own_is_asked_for_again_at_loading(tmp_path):
    path = tmp_path / "model.safetensors"
    model = VAE.mlp(DIGIT, d=3, distortion=absolute_error)
    model.save(path)
    with pytest.raises(ValueError, match=r"load\(path, distortion=\.\.\.\)"):
        models.load(path)
    again = models.load(path, distortion=absolute_error)
    assert torch.equal(again.loss_terms(X, EPS).loss, model.loss_terms(X, EPS).loss)
    VAE.mlp(DIGIT, d=3).save(path)
    with pytest.raises(ValueError, match="'squared_error': leave out"):
        models.load(path, distortion=absolute_error)


def test_your_own_networks_make_a_model_that_save_refuses(tmp_path):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))
    decoder = nn.Sequential(nn.Linear(3, 64), nn.Unflatten(1, DIGIT))
    model = VAE(encoder, decoder, image_shape=DIGIT, d=3)
    assert model.loss_terms(X, EPS).loss.shape == (6,)
    with pytest.raises(ValueError, match="your own networks.*state_dict"):
        model.save(tmp_path / "model.safetensors")


@pytest.mark.parametrize("bottleneck", ["linear", "relu"])
@pytest.mark.parametrize("kind", [Autoencoder, DenoisingAutoencoder, VAE])
def test_a_latent_with_places_is_a_flat_code_of_networks_of_your_own(kind, bottleneck):
    k, shape, x = 3, (1, 28, 28), torch.rand(4, 1, 28, 28)
    encoder = networks.spatial_encoder(shape, k * kind.heads, 4, bottleneck=bottleneck)
    decoder = networks.spatial_decoder(k, shape, 4)
    model = kind(encoder, decoder, image_shape=shape, d=49 * k)
    eps = model.draw_noise(4, torch.Generator().manual_seed(0))
    terms = model.loss_terms(x, eps)
    assert terms.loss.shape == (4,) and terms.loss.isfinite().all()
    codes = model.encode(x)
    z = codes.mu if kind is VAE else codes
    # channel by channel; of a VAE the first half of the channels are its means
    latent = z.unflatten(-1, networks.spatial_shape(shape, k))
    assert_close(latent, encoder[:-1](x)[:, :k], rtol=0, atol=0)
    assert (z == 0).any() == (bottleneck == "relu")
    assert model.decode(z).shape == x.shape and model.decode(z[0]).shape == shape
    assert fit(model, x, steps=2, batch_size=4, progress=False).loss.shape == (2,)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: VAE.mlp(beta=-0.1), r"beta=-0\.1"),
        (lambda: VAE.mlp(beta=math.nan), "beta=nan"),
        (lambda: DenoisingAutoencoder.mlp(noise=-0.1), r"noise=-0\.1.*not negative"),
        (lambda: DenoisingAutoencoder.mlp(noise=math.inf), "noise=inf"),
        (lambda: VAE.mlp(d=0), r"d=\(0,\)"),
        (lambda: VAE.mlp(hidden=(8, 0)), r"hidden=\(8, 0\)"),
        (lambda: VAE.mlp(distortion="mse"), "distortion='mse'"),
        (lambda: VAE.mlp().encode(torch.zeros(5, 64)), r"\(5, 64\).*\(batch, 1, 8, 8\).*reshape"),
        (lambda: VAE.mlp(d=3).decode(torch.zeros(5, 4)), r"\(5, 4\).*\(batch, 3\)"),
        (lambda: VAE.mlp().sample(3), "seed=0, or a generator"),
        (lambda: VAE.mlp().sample(3, torch.Generator(), seed=1), "one source"),
    ],
)
def test_bad_arguments_are_named(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_ablations_remove_the_noise_or_the_pull_and_nothing_else():
    x, eps = torch.rand(5, 1, 8, 8), torch.randn(5, 8)
    models = {
        name: VAE.mlp(seed=3, **options)
        for name, options in {
            "vae": {},
            "still": {"sampling": False},
            "free": {"pull": False},
        }.items()
    }
    terms = {name: model.loss_terms(x, eps) for name, model in models.items()}
    mu = models["vae"].encode(x).mu
    torch.testing.assert_close(terms["still"].rate, terms["vae"].rate)
    torch.testing.assert_close(
        terms["still"].distortion, models["vae"].loss_terms(x, torch.zeros_like(eps)).distortion
    )
    torch.testing.assert_close(terms["free"].distortion, terms["vae"].distortion)
    torch.testing.assert_close(terms["free"].rate, terms["vae"].rate - mu.square().sum(1) / 2)
