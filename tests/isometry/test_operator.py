"""The pull-back as an operator against dense Jacobians, and what it says to what is no decoder."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.isometry.test_decoder import DECODERS, MidBlock
from tests.isometry.test_jacobian import by_reverse_mode
from tests.worlds import (
    Blur,
    Circles,
    LinearGaussian,
    Tanh,
    Tori,
    TurnedLinear,
    log_uniform,
    normal,
)
from vae_course.isometry import Pullback, metric_logits, metric_scaled, pullback_metric

MODES = ["auto", "reverse", "forward"]
SPATIAL = (2, 3, 4)  # MidBlock's codes
WORLDS = {
    "linear": (TurnedLinear(log_uniform(24, 1e4)), (24,)),
    "circles": (Circles(torch.linspace(0.5, 2, 6).double()), (2, 3)),
    "tori": (Tori(), (6,)),
    "blur": (Blur(4, 1e3, wave=0.4), (1, 4, 4)),
    "tanh": (Tanh(5, 9, 12), (5,)),
}


def mid_block(dtype=torch.float64) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MidBlock().to(dtype).eval()


def dense(decoder, z: Tensor) -> Tensor:
    """(batch, outputs, d), by reverse mode, one output after the other."""
    j = by_reverse_mode(decoder, z)
    return j.flatten(1, j.ndim - z.ndim).flatten(2)


def applied(matrix: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("nij,nj->ni", matrix, v.flatten(1))


def agree(pullback: Pullback, j: Tensor, tol: float) -> None:
    v = normal(*pullback.z.shape, seed=3)
    u = normal(*pullback.x.shape, seed=4)
    for ours, wanted in (
        (pullback.push(v.to(pullback.z)), applied(j, v)),
        (pullback.pull(u.to(pullback.z)), applied(j.mT, u)),
        (pullback(v.to(pullback.z)), applied(j.mT @ j, v)),
    ):
        assert not ours.requires_grad and ours.dtype == pullback.z.dtype
        bound = tol * wanted.abs().max().item()
        assert_close(ours.flatten(1).double(), wanted, rtol=0.0, atol=bound)
    assert pullback.push(v.to(pullback.z)).shape == pullback.x.shape
    assert pullback.pull(u.to(pullback.z)).shape == pullback.z.shape


# ---- equal to the dense Jacobian


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_products_are_those_of_the_dense_jacobian(name, mode, dtype, tol):
    world, shape = WORLDS[name]
    z = normal(3, *shape, seed=1)
    j = dense(world.decode, z)
    agree(Pullback(world.decode, z.to(dtype), mode=mode), j, tol)
    spectrum = torch.linalg.svdvals(j).square()
    assert_close(spectrum, world.spectrum_exact(z).sort(descending=True).values)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_attention_and_normalisation_over_groups_take_any_batch(kind, mode, dtype, tol):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = DECODERS[kind]().double().eval()
    z = normal(3, 24, seed=1)
    j = dense(decoder, z)
    agree(Pullback(decoder.to(dtype), z.to(dtype), mode=mode), j, tol)


@pytest.mark.parametrize("mode", MODES)
def test_codes_of_any_shape_and_kinks(mode):
    relu = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(2)).double()
    for decoder in (relu, mid_block()):
        z = normal(2, *SPATIAL, seed=1)
        agree(Pullback(decoder, z, mode=mode), dense(decoder, z), 1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_normalised_groups_with_their_channels_last(mode):
    """Where PyTorch's forward mode fails for more than one code at once."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(2, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.Tanh()
    decoder = nn.Sequential(*layers).double().to(memory_format=torch.channels_last)
    z = normal(3, *SPATIAL, seed=1)
    agree(Pullback(decoder, z, mode=mode), dense(decoder, z), 1e-12)


@pytest.mark.parametrize(
    "axes, how",
    [
        (1, {"stride": 2, "dilation": 2, "padding": 2, "groups": 2}),
        (2, {}),
        (2, {"bias": False}),
        (2, {"stride": 2}),
        (2, {"stride": (3, 2), "padding": (2, 1)}),
        (2, {"dilation": 2, "padding": 1}),
        (2, {"groups": 2, "bias": False}),
        (2, {"padding": "same"}),
        (2, {"padding": 1, "padding_mode": "circular"}),
        (3, {"stride": 2, "dilation": 2, "padding": 2, "groups": 2}),
    ],
    ids=str,
)
def test_convolutions_of_every_kind(axes, how):
    """Sizes that a stride does not divide, and what follows a convolution and comes before."""
    down = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    up = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[axes - 1]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        decoder = nn.Sequential(
            up(2, 4, 3, stride=2, output_padding=1), nn.Tanh(), down(4, 2, 3, **how)
        ).double()
    z = normal(2, 2, *[3, 2, 2][:axes], seed=1)
    agree(Pullback(decoder, z), dense(decoder, z), 1e-12)


def test_convolutions_with_weights_of_their_own():
    """Shared by two layers, given by name, made of the code, or made by a reparametrisation."""
    kernel = normal(2, 2, 3, seed=3)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 2, 3, padding=1)).double()
    conv1d = nn.functional.conv1d

    def decoder(z: Tensor) -> Tensor:
        twice = conv1d(conv1d(z, kernel, None, 1, 1).sin(), kernel, padding=1)
        own = [conv1d(row[None], row.mean(1).view(1, 2, 1))[0] for row in z]
        return torch.cat([normed(twice), torch.stack(own), twice], 1)

    z = normal(3, 2, 6, seed=1)
    agree(Pullback(decoder, z), dense(decoder, z), 1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_pull_is_the_adjoint_of_push(mode):
    decoder, z = mid_block(), normal(4, *SPATIAL, seed=1)
    pullback = Pullback(decoder, z, mode=mode)
    v, u = normal(*z.shape, seed=2), normal(*pullback.x.shape, seed=3)
    there = (pullback.push(v) * u).flatten(1).sum(1)
    back = (v * pullback.pull(u)).flatten(1).sum(1)
    assert_close(there, back, rtol=1e-12, atol=1e-12)


def test_the_decoded_points_are_the_decoders():
    decoder, z = mid_block(), normal(2, *SPATIAL, seed=1)
    pullback = Pullback(decoder, z)
    assert_close(pullback.x, decoder(z).detach())
    assert not pullback.x.requires_grad


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["matrix", "logits", "scaled"])
def test_a_metric_stands_between_the_two(kind, mode):
    decoder = Tanh(5, 9, 12).decode
    z = normal(3, 5, seed=1)
    root = normal(12, 12, seed=2)
    metric = {
        "matrix": root @ root.T,
        "logits": metric_logits,
        "scaled": metric_scaled(lambda x: 1 + x.square().sum(1)),
    }[kind]
    v = normal(3, 5, seed=3)
    found = Pullback(decoder, z, metric, mode=mode)(v)
    assert_close(found, applied(pullback_metric(decoder, z, metric), v), rtol=1e-11, atol=1e-12)
    x = decoder(z)
    weight = {
        "matrix": root @ root.T,
        "logits": (x.sigmoid() * (-x).sigmoid() / 2).diag_embed(),
        "scaled": (1 + x.square().sum(1))[:, None, None] * torch.eye(12).double(),
    }[kind]
    j = Tanh(5, 9, 12).jacobian_exact(z)
    assert_close(found, applied(j.mT @ weight @ j, v), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_products_are_counted_and_nothing_else(mode):
    pullback = Pullback(mid_block(), normal(2, *SPATIAL), mode=mode)
    assert pullback.products == 0  # looking whether it works is no product
    v, u = pullback.z, pullback.x
    pullback.push(v)
    assert pullback.products == 1
    pullback.pull(u)
    assert pullback.products == 2
    pullback(v)
    assert pullback.products == 4


def test_two_reverse_passes_run_the_decoder_once():
    calls = []
    world = Tanh(5, 9, 12)

    def spied(z: Tensor) -> Tensor:
        calls.append(len(z))
        return world.decode(z)

    pullback = Pullback(spied, normal(3, 5))
    for seed in range(4):
        pullback(normal(3, 5, seed=seed))
    assert calls == [3]


@pytest.mark.parametrize("mode", MODES)
def test_what_can_be_differentiated_once_only_goes_forward(mode):

    class Once(torch.autograd.Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(z: Tensor) -> Tensor:
            return z.sin()

        @staticmethod
        def setup_context(ctx, inputs, output) -> None:
            ctx.save_for_backward(*inputs)
            ctx.save_for_forward(*inputs)

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, grad: Tensor) -> Tensor:
            return grad * ctx.saved_tensors[0].cos()

        @staticmethod
        def jvp(ctx, tangent: Tensor) -> Tensor:
            return tangent * ctx.saved_tensors[0].cos()

    z = normal(3, 4)
    if mode == "reverse":
        with pytest.raises(ValueError, match="no second derivative in reverse mode.*'forward'"):
            Pullback(Once.apply, z, mode=mode)
        return
    agree(Pullback(Once.apply, z, mode=mode), z.cos().diag_embed(), 1e-12)


# ---- under whatever a caller has set, and nothing changed


def test_gradients_may_be_recorded_or_not():
    decoder, z = mid_block(), normal(2, *SPATIAL, seed=1)
    v = normal(*z.shape, seed=2)
    expected = Pullback(decoder, z)(v)
    with torch.no_grad():
        assert torch.equal(Pullback(decoder, z)(v), expected)
    outside = Pullback(decoder, z)
    with torch.no_grad():
        assert torch.equal(outside(v), expected)
    decoder.requires_grad_(False)
    assert torch.equal(Pullback(decoder, z)(v), expected)
    recorded = Pullback(decoder, z.clone().requires_grad_())
    assert torch.equal(recorded(v), expected) and not recorded.z.requires_grad


@pytest.mark.parametrize("mode", MODES)
def test_autocast_and_a_default_device_change_nothing(mode):
    decoder, z = mid_block(torch.float32), normal(2, *SPATIAL, seed=1).float()
    v = normal(*z.shape, seed=2).float()
    expected = Pullback(decoder, z, mode=mode)(v)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Pullback(decoder, z, mode=mode)(v), expected)
    outside = Pullback(decoder, z, mode=mode)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(outside(v), expected)
    with torch.device("meta"):
        assert torch.equal(Pullback(decoder, z, mode=mode)(v), expected)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_changed_by_a_look(mode):
    decoder = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 4))
    decoder.eval()
    z = normal(5, 3).float().requires_grad_()
    before, z_before, random = copy.deepcopy(decoder.state_dict()), z.clone(), torch.get_rng_state()
    pullback = Pullback(decoder, z, mode=mode)
    pullback(torch.ones(5, 3))
    assert z.requires_grad and z.grad is None and torch.equal(z, z_before)
    assert all(p.grad is None and p.requires_grad for p in decoder.parameters())
    assert all(torch.equal(t, before[k]) for k, t in decoder.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.is_grad_enabled() and torch.backends.cuda.flash_sdp_enabled()


# ---- what is none

Z = torch.ones(4, 2)


class NoSecond(torch.autograd.Function):
    """As many a fused kernel: a backward, once, and no forward mode."""

    @staticmethod
    def forward(ctx, z: Tensor) -> Tensor:
        return 2 * z

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        return 2 * grad


@pytest.mark.parametrize(
    "decoder, message",
    [
        (lambda z: z.detach(), "decoder has no derivative by the code"),
        (torch.no_grad()(lambda z: 2 * z), "decoder has no derivative by the code"),
        (lambda z: torch.ones(4, 3), "decoder has no derivative by the code"),
        (lambda z: z - z.mean(0), "decoder mixes rows.*one code at a time"),
        (lambda z: z.cumsum(0), "decoder mixes rows"),
        (lambda z: z.flip(0).cumsum(0).flip(0), "decoder mixes rows"),
        (lambda z: z + z.roll(-1, 0), "decoder mixes rows"),
        (lambda z: z.sum(1), r"decoder gave shape \(4,\).*must map \(batch, d\)"),
        (lambda z: z[:1], r"decoder gave shape \(1, 2\)"),
        (lambda z: (z - 1).abs().sqrt(), "Jacobian is not finite"),
        (lambda z: z / 0, "not finite"),
        (NoSecond.apply, "derivative"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_no_decoder_is_refused(decoder, message, mode):
    with pytest.raises(ValueError, match=message):
        Pullback(decoder, Z, mode=mode).push(Z)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout()])
def test_layers_in_training_mode_are_refused(layer):
    decoder = nn.Sequential(nn.Linear(2, 4), layer)
    with pytest.raises(ValueError, match=rf"{type(layer).__name__} .*training.*eval\(\)"):
        Pullback(decoder, Z)
    assert Pullback(decoder.eval(), Z).push(Z).shape == (4, 4)


def test_what_is_no_metric_is_refused(unchecked):
    for metric, message in (
        (torch.eye(3), r"metric has shape \(3, 3\); for 2 outputs"),
        (lambda x, v: v[0], r"metric gave shape \(2,\) for tangent vectors \(4, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            Pullback(lambda z: 2 * z, Z, metric)(Z)
    with pytest.raises(TypeError, match="metric must be None, a tensor .* or a callable"):
        Pullback(lambda z: 2 * z, Z, "ssim")


def test_arguments_are_named(unchecked):
    world = LinearGaussian(torch.tensor([2.0, 0.9]).double(), beta=0.3)
    pullback = Pullback(world.decode, Z)
    with pytest.raises(ValueError, match="mode='both': choose"):
        Pullback(world.decode, Z, mode="both")
    with pytest.raises(TypeError, match="decoder must be a callable or a module, got Tensor"):
        Pullback(Z, Z)
    with pytest.raises(ValueError, match=r"z has shape \(4,\)"):
        Pullback(world.decode, Z[:, 0])
    with pytest.raises(ValueError, match="z must be finite, got nan"):
        Pullback(world.decode, Z * torch.nan)
    with pytest.raises(ValueError, match=r"v has shape \(4, 3\): it must be \(4, 2\)"):
        pullback.push(torch.ones(4, 3))
    with pytest.raises(ValueError, match=r"u has shape \(4, 2\): it must be \(4, 6\)"):
        pullback.pull(Z)
    with pytest.raises(ValueError, match="v is torch.float64 and z torch.float32"):
        pullback.push(Z.double())
    with pytest.raises(TypeError, match="v must hold floating-point numbers"):
        pullback(Z.long())


def test_what_does_not_fit_the_memory_says_how_many_codes_do():
    def small(z: Tensor) -> Tensor:
        if len(z) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return 2 * z

    with pytest.raises(MemoryError, match="4 codes at once do not fit the memory: .*2"):
        Pullback(small, Z)
    assert Pullback(small, Z[:2]).push(Z[:2]).shape == (2, 2)
