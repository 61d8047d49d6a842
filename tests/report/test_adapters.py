"""Adapters: what a library's own calls give is what the report is given, and what is declared."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.testing import assert_close

from tests.worlds import LinearGaussian
from vae_course.distortion import bernoulli, squared_error
from vae_course.models import VAE, VQVAE, Autoencoder, DenoisingAutoencoder, SphericalVAE
from vae_course.report.adapters import Adapted, adapted, opened
from vae_course.report.plan import Sizes

ROOT = Path(__file__).resolve().parents[2]
X = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
SMALL = {"sizes": Sizes(images=5, decoded=5), "only": ["fit"], "progress": False}


def same(one, other):
    assert_close(one, other, rtol=0, atol=0)


# --- plain callables ---------------------------------------------------------------------------
class Mixing(nn.Module):
    """A model that a batch in training mode changes."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(64), nn.Dropout(0.5)

    def encode(self, x):
        mu = self.drop(self.norm(x.flatten(1)))
        return mu, torch.full_like(mu, 0.1)

    def decode(self, z):
        return z.unflatten(1, (1, 8, 8))


def test_a_module_is_looked_at_in_eval_mode_and_left_as_it_was():
    model = Mixing().train()
    model.drop.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    found = adapted(model)
    mu, _ = found.encode(X)
    same(mu, Mixing().eval().encode(X)[0])
    same(dict(model.state_dict()), before)
    assert (model.training, model.norm.training, model.drop.training) == (True, True, False)
    with pytest.raises(RuntimeError):
        found.encode(X[:, :, :4])
    assert model.norm.training
    assert found.declared == {"name": "Mixing", "device": torch.device("cpu")}


def test_a_pair_is_taken_as_it_is_and_what_is_said_goes_before_what_is_declared():
    def encode(x):
        return x.flatten(1)

    def decode(z):
        return z.unflatten(1, (1, 8, 8))

    found = adapted((encode, decode), name="mine", beta=0.1)
    assert (found.encode, found.decode) == (encode, decode)
    again = adapted(found, beta=0.2)
    assert again.declared == {"name": "mine", "beta": 0.2}
    card = again.report(X, name="yours", **SMALL)
    assert (card.meta["name"], card.meta["declared"]["beta"]) == ("yours", 0.2)
    assert card.measures["fit"].value == 1


@pytest.mark.parametrize("wrong", [3, nn.Linear(2, 2), (1, 2), SimpleNamespace(encode=len)])
def test_what_has_no_encode_and_decode_is_refused_with_the_way_out(wrong):
    with pytest.raises(TypeError, match=r"adapted knows no .*\(encode, decode\)"):
        adapted(wrong)


# --- models of the course ----------------------------------------------------------------------
COURSE = {
    "Autoencoder": (Autoencoder, {}, "point"),
    "DenoisingAutoencoder": (DenoisingAutoencoder, {"noise": 0.2}, "point"),
    "VAE": (VAE, {"beta": 0.3}, "gaussian"),
    "bernoulli": (VAE, {"beta": 0.5, "distortion": "bernoulli"}, "gaussian"),
    "VQVAE": (VQVAE, {"slots": 3, "num_codes": 7}, "codebook"),
    "levels": (VQVAE, {"slots": 3, "levels": (3, 5)}, "codebook"),
    "SphericalVAE": (SphericalVAE, {"beta": 0.3}, "sphere"),
}


@pytest.mark.parametrize("name", COURSE)
def test_a_model_of_the_course_saved_or_not_is_reported_as_itself(name, tmp_path):
    family, objective, kind = COURSE[name]
    d = 3 if family is SphericalVAE else 2
    model = family.mlp((1, 8, 8), d=d, hidden=(8,), **objective)
    model.save(tmp_path / "model.safetensors")
    for found in (adapted(model), opened(tmp_path / "model.safetensors")):
        assert found.kind == kind and found.shape == (1, 8, 8)
        assert found.declared["name"] == family.__name__
        assert found.declared.get("beta") == pytest.approx(objective.get("beta"))
        codes = found.encode(X)
        if kind == "codebook":
            same(codes, model.encode(X).indices)
            assert found.declared["codes"] == model.num_codes
            same(found.decode(codes), model.decode(model.encode(X).quantized))
        elif kind == "gaussian":
            same(tuple(codes), tuple(model.encode(X)))
            same(found.decode(codes[0]), model.decode(codes[0]))
        assert found.report(X, **SMALL).meta["kind"] == kind


def test_pixels_that_are_probabilities_declare_their_range_and_metric():
    by = {"bernoulli": bernoulli, "squared_error": squared_error}
    for name, distortion in by.items():
        declared = adapted(VAE.mlp((1, 8, 8), d=2, hidden=(8,), distortion=name)).declared
        assert declared["distortion"] is distortion
        assert declared.get("value_range") == ((0, 1) if name == "bernoulli" else None)


def test_another_range_is_the_same_model_at_the_same_price():
    """Lengths double, so D and beta are four times theirs; what has no unit stays as it is."""
    world = LinearGaussian(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64), beta=0.3)
    x = world.images(200, seed=1)

    def encode(x):
        mu, sigma = world.encode(x)
        return mu, sigma.expand_as(mu)

    one = Adapted(encode, world.decode, declared={"beta": 0.3, "value_range": (-20.0, 20.0)})
    other = one.seeing((-40.0, 40.0))
    how = {"sizes": Sizes(images=200, decoded=200), "only": ["fit", "contract"], "progress": False}
    cards = one.report(x, **how), other.report(2 * x, **how)
    assert cards[1].meta["declared"]["beta"] == pytest.approx(1.2)
    for key in ("fit", "psnr", "contract", "contract_twice"):
        assert cards[1].measures[key].value == pytest.approx(cards[0].measures[key].value, 1e-6)
    assert one.seeing((-20.0, 20.0)) is one
    with pytest.raises(ValueError, match="give images in that range"):
        adapted((encode, world.decode), distortion=bernoulli).seeing((-1.0, 1.0))


# --- diffusers ---------------------------------------------------------------------------------
BLOCKS = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "norm_num_groups": 4,
}
COLOUR = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def kl(library):
    torch.manual_seed(0)
    return library.AutoencoderKL(**BLOCKS, scaling_factor=0.7, shift_factor=0.1).train()


@pytest.fixture(scope="module")
def vq(library):
    torch.manual_seed(0)
    return library.VQModel(**BLOCKS, latent_channels=3, num_vq_embeddings=32)


def test_the_balls_of_autoencoderkl_have_standard_deviations(kl, tmp_path):
    kl.save_pretrained(tmp_path)
    truth = kl.encode(COLOUR).latent_dist
    for found in (adapted(kl), opened(tmp_path)):
        mu, sigma = found.encode(COLOUR)
        # Close, not equal: attention rounds by where its numbers lie in memory.
        assert_close((mu, sigma), (truth.mean, truth.var.sqrt()))
        assert_close(found.decode(mu), kl.decode(mu).sample)
        wanted = {"factor": 0.7, "shift": 0.1, "value_range": (-1, 1), "name": "AutoencoderKL"}
        assert wanted.items() <= found.declared.items() and "beta" not in found.declared
    card = adapted(kl).report(COLOUR, **SMALL)
    assert card.meta["kind"] == "gaussian" and card.meta["declared"]["factor"] == 0.7


def test_a_factor_for_each_channel_is_not_declared_as_one(library):
    model = library.AutoencoderKL(**BLOCKS, latents_mean=[0.0] * 4, latents_std=[1.0] * 4)
    assert "factor" not in adapted(model).declared


def test_the_codes_of_vqmodel_are_indices_and_decode_as_in_one_go(vq, tmp_path):
    vq.save_pretrained(tmp_path)
    for found in (adapted(vq), opened(tmp_path)):
        codes = found.encode(COLOUR)
        assert codes.dtype == torch.int64 and codes.shape == (3, 8, 8)
        # z + (e - z) is e to rounding: diffusers decodes the former.
        assert_close(found.decode(codes), vq(COLOUR).sample, rtol=1e-4, atol=1e-5)
        assert found.declared["codes"] == 32 and "factor" not in found.declared
    assert adapted(vq).report(COLOUR, **SMALL).meta["kind"] == "codebook"


def test_half_precision_stays_inside(kl):
    copy = type(kl).from_config(kl.config)
    copy.load_state_dict(kl.state_dict())
    found = adapted(copy.bfloat16())
    mu, sigma = found.encode(COLOUR)
    assert mu.dtype == sigma.dtype == found.decode(mu).dtype == torch.float32
    assert_close(mu, adapted(kl).encode(COLOUR)[0], rtol=0.05, atol=0.05)


@pytest.mark.parametrize(
    "images, message",
    [(COLOUR[:, :, :15], "halves sides 1 times.*multiples of 2"), (COLOUR[:, :1], "takes 3 chan")],
)
def test_images_that_do_not_fit_are_named_before_the_convolutions(kl, images, message):
    with pytest.raises(ValueError, match=message):
        adapted(kl).encode(images)


def test_a_pipeline_is_opened_at_its_vae(kl, tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    kl.save_pretrained(tmp_path / "vae")
    assert opened(tmp_path).declared["name"] == "AutoencoderKL"


def test_pickles_and_halves_of_a_model_are_refused_with_the_way_out(kl, tmp_path):
    kl.save_pretrained(tmp_path / "bin", safe_serialization=False)
    with pytest.raises(OSError, match="no weights in safetensors.*use_safetensors=False"):
        opened(tmp_path / "bin")
    kl.save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({k: v for k, v in tensors.items() if k != "quant_conv.bias"}, weights)
    with pytest.raises(ValueError, match="lack 1 tensors, quant_conv.bias among them"):
        opened(tmp_path)
    save_file(tensors | {"quant_conv.bias": torch.zeros(3)}, weights)
    with pytest.raises(ValueError, match="no model of diffusers"):
        opened(tmp_path)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises((OSError, ValueError), match=str(tmp_path)):
        opened(tmp_path)
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(ValueError, match="holds a UNet2DModel, which is no autoencoder"):
        opened(tmp_path)


def test_nothing_is_asked_of_the_network_and_the_environment_is_put_back(kl, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    kl.save_pretrained(tmp_path)
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("DISABLE_TELEMETRY", raising=False)
    opened(tmp_path)
    assert os.environ["HF_HUB_OFFLINE"] == "0" and "DISABLE_TELEMETRY" not in os.environ


HUB = "stabilityai/sd-vae-ft-mse"


@pytest.mark.parametrize(
    "name", [HUB, f"https://huggingface.co/{HUB}", f"https://huggingface.co/{HUB}/tree/main"]
)
def test_a_name_on_the_hub_is_refused_with_the_command_that_downloads_it(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    command = f"hf download {HUB} --local-dir sd-vae-ft-mse"
    for call in (opened, adapted):
        with pytest.raises(ValueError, match=f"no folder '{name}'.*{command}"):
            call(name)


def test_without_diffusers_the_error_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ImportError, match=r"pip install 'vae_course\[report\]'"):
        opened(tmp_path)


def test_no_library_is_imported_for_a_model_of_another():
    code = (
        "import sys; from vae_course.report import adapted; from vae_course.models import VAE;"
        "adapted(VAE.mlp((4,), d=1, hidden=())); adapted((len, len));"
        "print({'diffusers', 'pythae', 'huggingface_hub', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


# --- pythae ------------------------------------------------------------------------------------
def double(name, **config):
    """A model that looks as one of pythae: its classes' names, their outputs, their config."""

    class Base(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 3)
            self.model_config = SimpleNamespace(
                **{"uses_default_decoder": True, "input_dim": (1, 8, 8)} | config
            )
            self.beta = config.get("beta")

        def encoder(self, x):
            mu = self.layer(x.flatten(1))
            return SimpleNamespace(embedding=mu, log_covariance=mu - 1, log_concentration=mu[:, :1])

        def decoder(self, z):
            return {"reconstruction": (z @ self.layer.weight).sigmoid().unflatten(1, (1, 8, 8))}

        def loss_function(self):
            pass

    Base.__module__ = "pythae.models.vae.vae_model"
    Base.__name__ = "AE" if name in ("AE", "RAE_L2") else "VAE"
    made = type(name, (Base,), {"loss_function": lambda self: None})
    made.__module__ = "pythae.models.other"
    return made


@pytest.mark.parametrize(
    "name, config, kind, beta",
    [
        # ½S + β KL is S + 2β KL up to a factor; a cross-entropy is counted whole.
        ("VAE", {"reconstruction_loss": "mse"}, "gaussian", 2.0),
        ("VAE", {"reconstruction_loss": "bce"}, "gaussian", 1.0),
        ("BetaVAE", {"reconstruction_loss": "mse", "beta": 0.3}, "gaussian", 0.6),
        ("BetaVAE", {"reconstruction_loss": "bce", "beta": 0.3}, "gaussian", 0.3),
        ("BetaTCVAE", {"reconstruction_loss": "mse", "beta": 0.3}, "gaussian", None),
        ("SVAE", {"reconstruction_loss": "mse"}, "sphere", 2.0),
        ("AE", {}, "point", None),
        ("RAE_L2", {}, "point", None),
    ],
)
def test_a_model_of_pythae_declares_the_price_in_sums_of_squares(name, config, kind, beta):
    model = double(name, **config)()
    found = adapted(model)
    assert found.kind == kind and found.shape == (1, 8, 8)
    assert found.declared.get("beta") == pytest.approx(beta)
    assert found.declared["value_range"] == (0, 1)
    assert (found.declared.get("distortion") is bernoulli) == ("bce" in config.values())
    output, codes = model.encoder(X), found.encode(X)
    if kind == "gaussian":
        same(codes, (output.embedding, (output.log_covariance / 2).exp()))
    elif kind == "sphere":
        assert_close(codes.concentration, nn.functional.softplus(output.embedding[:, 0]) + 1)
    else:
        same(codes, output.embedding)
    assert found.report(X, **SMALL).meta["kind"] == kind


def test_a_subclass_is_known_by_its_base_and_keeps_the_price_of_its_own_loss_to_itself():
    vae = double("VAE", reconstruction_loss="mse")
    assert adapted(type("Mine", (vae,), {})()).declared["beta"] == 2
    other = type("Mine", (vae,), {"loss_function": lambda self: 0})
    assert "beta" not in adapted(other()).declared


def test_a_decoder_of_ones_own_declares_no_range():
    model = double("VAE", uses_default_decoder=False)()
    assert "value_range" not in adapted(model).declared


@pytest.mark.parametrize("name", ["HVAE", "VAE_IAF", "PoincareVAE"])
def test_codes_that_a_flow_has_moved_are_no_balls(name):
    with pytest.raises(ValueError, match=f"pythae's {name} .*of your own"):
        adapted(double(name)())


def test_weights_of_pythae_are_pickles_and_not_read_unless_trusted(tmp_path, monkeypatch):
    last = tmp_path / "final_model"
    last.mkdir()
    (last / "model_config.json").write_text('{"name": "VAEConfig"}')
    (last / "model.pt").write_bytes(b"never read")
    (last / "encoder.pkl").write_bytes(b"never read")
    with pytest.raises(ValueError, match=r"pickles \(model\.pt, encoder\.pkl\).*--trust"):
        opened(tmp_path)
    monkeypatch.setitem(sys.modules, "pythae", None)
    with pytest.raises(
        ImportError, match="pip install --no-deps pythae==0.1.2 && pip install cloudp"
    ):
        opened(tmp_path, trust=True)


REAL = """
import warnings
warnings.simplefilter("ignore")
import sys, torch
from pythae.data.datasets import DatasetOutput
from pythae.models import *
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from vae_course.report.adapters import adapted, opened

torch.manual_seed(0)
x, folder = torch.rand(6, 1, 8, 8), sys.argv[1]
size = {"input_dim": (1, 8, 8), "latent_dim": 4}

def both(model, name):
    model.save(f"{folder}/{name}")
    return model.eval(), opened(f"{folder}/{name}", trust=True), adapted(model)

for name, loss in (("vae", "mse"), ("bce", "bce")):
    config = BetaVAEConfig(**size, beta=3.0, reconstruction_loss=loss)
    model, saved, found = both(BetaVAE(config), name)
    assert saved.kind == found.kind == "gaussian"
    for one in (saved, found):
        mu, sigma = one.encode(x)
        rate = (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1) / 2
        # pythae's own loss, at a draw of its own: its KL is the rate, its price the declared one.
        said = model.loss_function(one.decode(mu), x, mu, 2 * sigma.log(), mu)
        distortion = (x - one.decode(mu)).square().sum((1, 2, 3))
        if loss == "bce":
            distortion = torch.nn.functional.binary_cross_entropy(
                one.decode(mu), x, reduction="none").sum((1, 2, 3))
        share = said[0] / (distortion + one.declared["beta"] * rate).mean()
        assert abs(share - (0.5 if loss == "mse" else 1)) < 1e-5, share
model, saved, found = both(AE(AEConfig(**size)), "ae")
assert torch.equal(saved.encode(x), model.encoder(x).embedding)
model, saved, found = both(SVAE(SVAEConfig(**size)), "svae")
loc, k = found.encode(x).loc, found.encode(x).concentration
own = model._compute_kl(4, k[:, None]).squeeze()
assert torch.allclose(found.encode(x).kl_to_uniform(), own, rtol=1e-3, atol=1e-3), own

class Down(BaseEncoder):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 3, 3, 2, 1)
    def forward(self, x):
        return ModelOutput(embedding=self.layer(x))

class Up(BaseDecoder):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.ConvTranspose2d(3, 1, 4, 2, 1)
    def forward(self, z):
        return ModelOutput(reconstruction=self.layer(z))

for ema in (False, True):
    config = {**size, "num_embeddings": 16, "use_ema": ema}
    for name, parts in ((f"flat{ema}", ()), (f"grid{ema}", (Down(), Up()))):
        model, saved, found = both(VQVAE(VQVAEConfig(**config), *parts), name)
        whole = model(DatasetOutput(data=x)).recon_x
        for one in (saved, found):
            assert torch.allclose(one.decode(one.encode(x)), whole, atol=1e-6)
            assert one.report(x, only=["fit"], progress=False).meta["kind"] == "codebook"
print("all held")
"""


@pytest.mark.slow(reason="installs pythae, which is not ours to require")
def test_models_that_pythae_itself_saved(tmp_path):
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "pythae==0.1.2"]
    subprocess.run([*install, "--target", tmp_path / "site"], check=True)
    (tmp_path / "real.py").write_text(REAL)
    path = os.pathsep.join(map(str, (tmp_path / "site", ROOT)))
    done = subprocess.run(
        [sys.executable, tmp_path / "real.py", tmp_path],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip().endswith("all held"), done.stderr


# --- what a name stands for --------------------------------------------------------------------
@pytest.mark.parametrize(
    "name, error, message",
    [
        ("nothing", FileNotFoundError, "no file or folder 'nothing': give a .safetensors"),
        ("a/b.safetensors", FileNotFoundError, "no file or folder"),
        ("none_such:make", ImportError, "no module 'none_such'.*PYTHONPATH"),
        ("mine.py:make", ValueError, "package.module:function, without slashes and endings"),
        ("mine:absent", ValueError, "mine has no 'absent'"),
        ("mine:number", ValueError, r"gave int: it must give \(encode, decode\)"),
        ("mine:broken", ValueError, r"raised ZeroDivisionError: .*mine\.py, line 6\)"),
        ("theirs:make", ValueError, "raised ModuleNotFoundError: No module named 'none_such'"),
    ],
)
def test_names_that_stand_for_nothing_say_so(tmp_path, monkeypatch, name, error, message):
    (tmp_path / "mine.py").write_text("number = 3\n\n\ndef broken():\n    zero = 0\n    1 / zero\n")
    (tmp_path / "theirs.py").write_text("import none_such\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("mine", "theirs"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(error, match=message):
        opened(name)


def test_a_function_may_give_a_pair_a_model_or_an_adapted_one(tmp_path, monkeypatch):
    (tmp_path / "giving.py").write_text(
        "from vae_course.models import VAE\n"
        "from vae_course.report import adapted\n"
        "model = VAE.mlp((1, 8, 8), d=2, hidden=())\n"
        "def make(): return model\n"
        "def ready(): return adapted(model, beta=3)\n"
        "def pair(): return model.encode, model.decode\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert opened("giving:model").declared["name"] == "VAE"
    assert opened("giving:make").declared["name"] == "VAE"
    assert opened("giving:ready").declared["beta"] == 3
    assert opened("giving:pair").declared == {}


def test_folders_and_files_that_are_no_models_say_what_they_hold(tmp_path):
    with pytest.raises(ValueError, match="it holds nothing, and no config.json"):
        opened(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="it holds config.json, and no config.json of diffusers"):
        opened(tmp_path)
    torch.save({}, tmp_path / "vae.pt")
    with pytest.raises(ValueError, match="pickle"):
        opened(tmp_path / "vae.pt")
