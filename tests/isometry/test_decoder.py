"""Any decoder: attention of every kind, codes of any shape, and one sentence for what is none."""

import collections
import types

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu
from torch.testing import assert_close

from tests.isometry.test_jacobian import by_reverse_mode
from tests.worlds import Blur, normal
from vae_course import isometry
from vae_course.isometry import forward_mode, jacobian, pullback_metric

LENGTH, WIDTH = 3, 8


class Attention(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        heads = z.unflatten(1, (1, LENGTH, WIDTH))
        return scaled_dot_product_attention(heads, heads.sin(), heads.tanh()).flatten(2)[:, 0]


class MultiHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, z: Tensor) -> Tensor:
        tokens = z.unflatten(1, (LENGTH, WIDTH))
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


class Encoder(nn.Module):
    def __init__(self, layers: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, batch_first=True)
        stack = nn.TransformerEncoder(layer, layers)
        self.encoder = layer if layers == 1 else stack

    def forward(self, z: Tensor) -> Tensor:
        return self.encoder(z.unflatten(1, (LENGTH, WIDTH)))


class MidBlock(nn.Module):
    """The middle of a latent diffusion model's decoder: normed, attended over pixels, added."""

    def __init__(self) -> None:
        super().__init__()
        self.lift = nn.Conv2d(2, WIDTH, 3, padding=1)
        self.norm = nn.GroupNorm(4, WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up = nn.ConvTranspose2d(WIDTH, 1, 4, stride=2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        h = self.lift(z.reshape(len(z), 2, 3, 4))
        tokens = self.norm(h).flatten(2).mT  # (batch, pixels, WIDTH)
        q, k, v = self.qkv(tokens)[:, None].chunk(3, -1)
        attended = self.out(scaled_dot_product_attention(q, k, v)[:, 0])
        return self.up(silu(h + attended.mT.unflatten(2, (3, 4))))


DECODERS = {
    "sdpa": Attention,
    "multi-head": MultiHead,
    "encoder layer": lambda: Encoder(1),
    "encoder": lambda: Encoder(2),
    "mid-block": MidBlock,
}


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_attention_has_the_jacobian_of_reverse_mode(kind, dtype, tol):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = DECODERS[kind]().double().eval().requires_grad_(False)
    z = normal(2, 24, seed=1)
    oracle = by_reverse_mode(decoder, z)
    ours = jacobian(decoder.to(dtype), z.to(dtype))
    assert_close(ours.double(), oracle, rtol=0.0, atol=tol * oracle.abs().max().item())
    metric = pullback_metric(decoder, z.to(dtype)).double()
    flat = oracle.flatten(1, -2)
    assert_close(metric, flat.mT @ flat, rtol=0.0, atol=tol * metric.abs().max().item())


def test_attention_reaches_all_that_is_built_on_the_jacobian():
    decoder = Encoder(1).eval().requires_grad_(False)
    mu, sigma = torch.randn(3, 24), torch.full((3, 24), 0.1)
    price = isometry.price_isometricity(decoder, decoder(mu), mu, sigma, 0.1, draws=2)
    assert isometry.isometricity(decoder, mu, sigma, 0.1).isfinite().all()
    assert price.isfinite().all()
    assert isometry.geodesic(decoder, mu[:1], mu[1:2], segments=4).length.isfinite().all()


def test_codes_may_have_any_shape():
    decoder = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.SiLU(), nn.Flatten(2)).double()
    z = normal(3, 2, 4, 5)
    ours = jacobian(decoder, z)
    assert ours.shape == (3, 3, 20, 2, 4, 5)
    assert_close(ours, by_reverse_mode(decoder, z), rtol=1e-12, atol=1e-14)
    flat = ours.flatten(1, 2).flatten(2)
    assert_close(pullback_metric(decoder, z), flat.mT @ flat)


SHAPED = {
    "isometricity": lambda f, z, s, x: isometry.isometricity(f, z, s, 0.1),
    "in blocks": lambda f, z, s, x: isometry.isometricity(f, z, s, 0.1, chunk=7),
    "price_isometricity": lambda f, z, s, x: isometry.price_isometricity(
        f, x, z, s, 0.1, draws=2, seed=3
    ),
    "effective_price": lambda f, z, s, x: isometry.effective_price(f, z, s, coordinates=5),
    "tangent_log_det": lambda f, z, s, x: isometry.tangent_log_det(f, z, torch.eye(80).to(z)),
    "precision_spectrum": lambda f, z, s, x: isometry.precision_spectrum(f, z, 0.1, chunk=2),
    "geodesic": lambda f, z, s, x: isometry.geodesic(f, z, z + s, segments=3),
    "log_density": lambda f, z, s, x: isometry.log_density(z, s, 0.1),
}


@pytest.mark.parametrize("call", SHAPED)
def test_a_code_that_is_an_image_is_measured_as_its_flat_self(call):
    """The decoder, of convolutions, sees images; the numbers are those of the same vectors."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1), nn.SiLU(), nn.ConvTranspose2d(5, 5, 2, stride=2)
        ).double()
    z, sigma = normal(3, 3, 2, 2), 0.1 + normal(3, 3, 2, 2, seed=1).abs() / 4

    def of_vectors(flat: Tensor) -> Tensor:
        return decoder(flat.unflatten(1, (3, 2, 2))).flatten(1)

    x = of_vectors(z.flatten(1)).detach() + 0.1
    shaped = SHAPED[call](lambda z: decoder(z).flatten(1), z, sigma, x)
    flat = SHAPED[call](of_vectors, z.flatten(1), sigma.flatten(1), x)
    results = (r if isinstance(r, tuple) else (r,) for r in (shaped, flat))
    for a, b in zip(*results, strict=True):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        if a.shape != b.shape:  # one number a latent
            assert a.shape[-3:] == (3, 2, 2)
            a = a.flatten(-3)
        assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", [None, "scaled"])
@pytest.mark.parametrize("chunk", [None, 1000, 64])
def test_long_codes_have_isometricity_without_a_matrix(monkeypatch, metric, chunk):
    """Of a Jacobian that is known: it is diagonal but for a circular blur."""
    world = Blur(20, condition=10.0, wave=0.5)  # 400 latents
    z, sigma = normal(2, 1, 20, 20), normal(2, 1, 20, 20, seed=1).abs()
    monkeypatch.setattr(forward_mode, "joined", None)  # all columns together would be a Jacobian
    g = None if metric is None else isometry.metric_scaled(lambda x: 2 + 0 * x[:, 0, 0, 0])
    found = isometry.isometricity(world.decode, z, sigma, 0.1, g, chunk=chunk)
    columns = (1 + 0.5 * z.cos()).square() * world.response.square().mean()
    expected = (20 if metric is None else 40) * sigma.square() * columns
    assert_close(found, expected)


def test_a_jacobian_that_fits_no_memory_is_refused_with_what_needs_none(monkeypatch):
    monkeypatch.setattr(forward_mode, "MOST_HELD", 6 * 5 * 4 - 1)
    for call in (jacobian, pullback_metric):
        with pytest.raises(ValueError, match="z has codes of 6 numbers .* gives 5: .*spectrum"):
            call(nn.Sequential(nn.Flatten(), nn.Linear(6, 5)), torch.zeros(2, 2, 3))


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_weights_that_follow_the_code_and_shared_directions_count_alike(batch):
    """``linear`` is taken apart: into weights that have directions, and that have none."""
    fixed = normal(4, 3, seed=2)

    def decoder(z: Tensor) -> Tensor:
        shared = torch.nn.functional.linear(z, fixed, fixed[:, 0])  # directions of all codes alike
        once_more = torch.nn.functional.linear(shared.sin(), fixed.T)
        own = torch.stack([torch.nn.functional.linear(row, row.outer(row)) for row in z])
        return torch.nn.functional.linear(own + once_more, fixed)

    z = normal(batch, 3, seed=3)
    assert_close(jacobian(decoder, z), by_reverse_mode(decoder, z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "activation",
    [
        nn.SiLU(),
        nn.SiLU(inplace=True),
        nn.GELU(),
        nn.GELU(approximate="tanh"),
        nn.Mish(),
        nn.Softplus(beta=3.0, threshold=2.0),
    ],
    ids=repr,
)
def test_activations_have_one_slope_for_all_directions(activation):
    linear = nn.Linear(3, 4).double()
    z = normal(5, 3)

    def decoder(z: Tensor) -> Tensor:
        return activation(linear(activation(2 * z)))

    assert_close(jacobian(decoder, z), by_reverse_mode(decoder, z), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_of_every_kind_are_affine(axes, bias):
    down = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    up = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[axes - 1]
    decoder = nn.Sequential(
        nn.Unflatten(1, (2, *[2] * axes)),
        up(2, 4, 3, stride=2, output_padding=1, groups=2, bias=bias),
        nn.Tanh(),
        down(4, 2, 2, dilation=2, padding=1, bias=bias),
    ).double()
    z = normal(3, 2 * 2**axes)
    assert_close(jacobian(decoder, z), by_reverse_mode(decoder, z), rtol=1e-12, atol=1e-12)


def test_a_forward_derivative_inside_a_decoder_is_no_other():
    linear = nn.Linear(3, 3).double()

    def decoder(z: Tensor) -> Tensor:
        return torch.func.jvp(lambda u: linear(u.square()), (z,), (z.sin(),))[1] + linear(z)

    z = normal(4, 3)
    assert_close(jacobian(decoder, z), by_reverse_mode(decoder, z), rtol=1e-12, atol=1e-12)


def test_nothing_is_left_switched(monkeypatch):
    before = torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()
    jacobian(Encoder(1).eval(), torch.randn(2, 24))
    with pytest.raises(ValueError, match="not finite"):
        jacobian(lambda z: z / 0, torch.zeros(2, 3))
    after = torch.backends.cuda.flash_sdp_enabled(), torch.backends.mha.get_fastpath_enabled()
    assert after == before


# ---- how much at once


def test_parts_are_of_equal_size_and_fit_the_widest_layer(monkeypatch):
    wide = nn.Sequential(nn.Linear(4, 1000), nn.Tanh(), nn.Linear(1000, 2)).requires_grad_(False)
    seen: list[int] = []
    wide.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    assert forward_mode.pairs_at_once(wide, torch.zeros(1, 4)) == 2**24 // 4000
    monkeypatch.setattr(forward_mode, "CACHED", 4 * 1000 * 4 * 10)  # ten codes
    monkeypatch.setattr(forward_mode, "FEWEST", 1)
    seen.clear()
    pullback_metric(wide, torch.zeros(31, 4))
    assert seen == [1, 8, 8, 8, 7]  # one to look, and no last part of one


def test_no_layer_is_too_wide_for_the_memory(monkeypatch):
    monkeypatch.setattr(forward_mode, "HELD", 4 * 64 * 3)
    decoder = nn.Linear(4, 64)
    z = torch.randn(2, 4)
    monkeypatch.setattr(forward_mode, "CACHED", 1)
    assert forward_mode.pairs_at_once(decoder, z) == 3
    assert_close(jacobian(decoder, z), decoder.weight.detach().expand(2, 64, 4))


# ---- what is none


class Output(collections.OrderedDict):
    """As diffusers and pythae give it: a dict whose entries are attributes too."""

    def __init__(self, **entries: Tensor) -> None:
        super().__init__(entries)
        self.__dict__.update(entries)


OUTPUTS = {
    "an object": (lambda x: types.SimpleNamespace(sample=x), r"Namespace.*decoder\(z\)\.sample$"),
    "both": (lambda x: Output(reconstruction=x), r"Output.*decoder\(z\)\.reconstruction$"),
    "a dict": (lambda x: {"loss": 0.0, "recon": x}, r"dict.*decoder\(z\)\['recon'\]$"),
    "a tuple": (lambda x: (None, x), r"tuple.*decoder\(z\)\[1\]$"),
    "a list": (lambda x: [x], r"list.*decoder\(z\)\[0\]$"),
    "a law": (lambda x: torch.distributions.Normal(x, 1.0), r"Normal.*decoder\(z\)\.mean$"),
    "none": (lambda x: None, "NoneType.*must return its output$"),
    "numpy": (lambda x: np.zeros(3), "ndarray.*not a tensor"),
    "complex": (lambda x: x + 0j, r"complex64.*view_as_real"),
    "whole": (lambda x: x.long(), "torch.int64"),
}  # fmt: skip
Z = torch.ones(4, 2)
CALLS = {
    "jacobian": lambda f: jacobian(f, Z),
    "pullback_metric": lambda f: pullback_metric(f, Z),
    "isometricity": lambda f: isometry.isometricity(f, Z, Z, 0.1),
    "price_isometricity": lambda f: isometry.price_isometricity(f, Z, Z, Z, 0.1),
    "effective_price": lambda f: isometry.effective_price(f, Z, Z / 2),
    "geodesic": lambda f: isometry.geodesic(f, Z, 2 * Z),
    "tangent_log_det": lambda f: isometry.tangent_log_det(f, Z, None),
    "Pullback": lambda f: isometry.Pullback(f, Z)(Z),
    "spectrum": lambda f: isometry.spectrum(f, Z).nodes,
    "largest": lambda f: isometry.largest(f, Z, 1),
    "trace": lambda f: isometry.trace(f, Z),
    "diagonal": lambda f: isometry.diagonal(f, Z),
    "bend": lambda f: isometry.bend(f, Z, Z),
    "curvature": lambda f: isometry.curvature(f, Z, Z),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_what_gives_no_tensor_is_refused_with_what_helps(call, kind):
    output, message = OUTPUTS[kind]
    with pytest.raises(TypeError, match="^decoder gave .*" + message):
        CALLS[call](lambda z: output(2 * z))


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_function_is_refused(unchecked, call):
    with pytest.raises(TypeError, match="decoder must be a callable or a module, got Tensor"):
        CALLS[call](Z)


def test_codes_of_numpy_are_refused_with_what_helps(unchecked):
    with pytest.raises(TypeError, match=r"z must be a tensor, got ndarray: .*torch.as_tensor\(z"):
        jacobian(lambda z: z, np.zeros((2, 3), dtype=np.float32))


def test_codes_unlike_the_weights_are_refused_by_name():
    with pytest.raises(ValueError, match="z is torch.float64 on cpu and the decoder's weights"):
        jacobian(nn.Linear(2, 3), Z.double())
    with pytest.raises(ValueError, match="z is torch.float32 on meta .* torch.float32 on cpu"):
        jacobian(nn.Linear(2, 3), Z.to("meta"))


def test_an_operation_without_forward_mode_is_named():
    def decoder(z: Tensor) -> Tensor:
        return torch.cdist(z, torch.ones(5, 2))

    with pytest.raises(ValueError, match="no forward mode .*cdist_forward.: write .*jacrev"):
        jacobian(decoder, Z)


def test_inference_mode_is_refused_with_what_helps():
    with pytest.raises(ValueError, match="decoder runs in inference mode.*no_grad"):
        jacobian(torch.inference_mode()(nn.Linear(2, 3)), Z)


def test_a_metric_that_overflows_is_no_infinity():
    with pytest.raises(ValueError, match="overflows torch.float32.*float64"):
        pullback_metric(lambda z: 1e30 * z, Z)


# ---- where and how precisely


@pytest.mark.parametrize("call", CALLS)
def test_a_default_device_and_autocast_change_nothing(call):
    decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5)).requires_grad_(False)
    x = decoder(Z)
    price = {"price_isometricity": lambda f: isometry.price_isometricity(f, x, Z, Z, 0.1, draws=2)}
    call = (CALLS | price)[call]
    expected = call(decoder)
    with torch.device("meta"):
        found = call(decoder)
    with torch.autocast("cpu", torch.bfloat16):
        cast = call(decoder)
    results = (r if isinstance(r, tuple) else (r,) for r in (expected, found, cast))
    for a, b, c in zip(*results, strict=True):
        assert_close(a, b, rtol=0.0, atol=0.0, equal_nan=True)
        assert_close(c, a, equal_nan=True)
