"""Jacobian and pull-back metric against reverse mode and closed forms, for any decoder."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.worlds import TOYS, ConstantDecoder, IsometricToy, LinearGaussian
from vae_course.data import toy_isometric as toy
from vae_course.isometry import jacobian, metric_scaled, metric_ssim, pullback_metric
from vae_course.models import VAE, networks

IMAGE = (1, 8, 8)
D = 3


def codes(n=5, d=D, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64).to(dtype)


def network(kind: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "conv":
            return networks.conv_decoder(D, IMAGE, width=4)
        return networks.mlp_decoder(D, IMAGE, (20, 30), activation=kind)


def by_reverse_mode(decoder, z: Tensor) -> Tensor:
    """One code at a time, one output after the other."""
    rows = [torch.autograd.functional.jacobian(lambda u: decoder(u[None])[0], row) for row in z]
    return torch.stack(rows)


@pytest.mark.parametrize("kind", ["silu", "tanh", "softplus", "relu", "conv"])
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_forward_mode_agrees_with_reverse_mode(kind, dtype, tol):
    decoder = network(kind).double()
    oracle = by_reverse_mode(decoder, codes())
    ours = jacobian(decoder.to(dtype), codes(dtype=dtype))
    assert ours.dtype == dtype and ours.shape == (5, *IMAGE, D)
    assert_close(ours.double(), oracle, rtol=0.0, atol=tol * oracle.abs().max().item())


def test_the_jacobian_of_the_outer_product_is_known():
    z = codes()
    j = jacobian(lambda z: z[:, :, None] * z[:, None, :], z)  # d(z_a z_b)/dz_c
    eye = torch.eye(D, dtype=z.dtype)
    oracle = torch.einsum("ac,nb->nabc", eye, z) + torch.einsum("bc,na->nabc", eye, z)
    assert_close(j, oracle)


@pytest.mark.parametrize("metric", [None, "matrix", metric_ssim])
def test_the_pull_back_is_the_jacobian_on_both_sides_of_the_metric(metric):
    decoder, z = network("silu").double(), codes()
    j = by_reverse_mode(decoder, z)
    if metric == "matrix":
        root = codes(64, 64, seed=3)
        metric = root @ root.T
        flat = j.flatten(1, 3)
        oracle = flat.mT @ metric @ flat
    else:
        columns = j.movedim(-1, 0)  # (d, n, *image)
        weighted = columns if metric is None else metric(decoder(z), columns)
        oracle = torch.einsum("antuv,bntuv->nab", columns, weighted)
    assert_close(pullback_metric(decoder, z, metric), oracle, rtol=1e-10, atol=1e-12)


WORLDS = {
    "linear": (LinearGaussian(torch.tensor([2.0, 0.9, 0.1]).double(), beta=0.3), None),
    "isometric": (IsometricToy(TOYS["B"]), None),
    "dearer-outside": (IsometricToy(TOYS["B"], slope=2 / 21), metric_scaled(toy.weight)),
    "constant": (ConstantDecoder(d=D), None),
}


@pytest.mark.parametrize("name", WORLDS)
def test_the_pull_back_of_a_world_is_its_metric(name):
    world, metric = WORLDS[name]
    found = pullback_metric(world.decode, codes(), metric)
    assert_close(found, world.metric_exact(codes()), rtol=1e-12, atol=1e-12)


def test_the_pull_back_measures_small_steps():
    decoder, z = network("silu").double(), codes()
    dz = 1e-5 * codes(seed=1)
    squared_length = (decoder(z + dz) - decoder(z - dz)).flatten(1).square().sum(1) / 4
    form = torch.einsum("ni,nij,nj->n", dz, pullback_metric(decoder, z), dz)
    assert_close(form, squared_length, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("chunk", [1, 2, 4, 7, 1000])
def test_chunks_bound_what_the_decoder_sees_and_change_nothing(chunk):
    decoder, z, seen = network("conv").double(), codes(), []

    def spied(z: Tensor) -> Tensor:
        seen.append(len(z))
        return decoder(z)

    j, m = jacobian(spied, z, chunk=chunk), pullback_metric(spied, z, chunk=chunk)
    assert max(seen) <= max(1, chunk // D)
    assert_close(j, jacobian(decoder, z), rtol=1e-12, atol=1e-14)
    assert_close(m, pullback_metric(decoder, z), rtol=1e-12, atol=1e-14)


def test_a_decoder_may_record_gradients_or_not():
    z = codes(dtype=torch.float32)
    model = VAE.mlp(IMAGE, d=D, hidden=(20,), distortion="bernoulli")
    expected = jacobian(model.decode, z)
    model.requires_grad_(False)
    assert_close(jacobian(model.decode, z), expected, rtol=0.0, atol=0.0)
    model.requires_grad_(True)
    assert_close(jacobian(torch.no_grad()(model.decode), z), expected, rtol=0.0, atol=0.0)
    with torch.no_grad():
        assert_close(jacobian(model.decode, z), expected, rtol=0.0, atol=0.0)
    probability = model.decode(z).detach()[..., None]
    of_logits = jacobian(model.decoder, z)
    assert_close(expected, probability * (1 - probability) * of_logits, rtol=1e-4, atol=1e-7)


def test_nothing_is_changed_by_a_look():
    decoder = nn.Sequential(nn.Linear(D, 6), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 4))
    decoder.eval()
    z = codes(dtype=torch.float32).requires_grad_()
    before, z_before, random = copy.deepcopy(decoder.state_dict()), z.clone(), torch.get_rng_state()
    j = jacobian(decoder, z)
    m = pullback_metric(decoder, z)
    assert not j.requires_grad and not m.requires_grad
    assert z.requires_grad and z.grad is None and torch.equal(z, z_before)
    assert all(p.grad is None and p.requires_grad for p in decoder.parameters())
    assert all(torch.equal(v, before[k]) for k, v in decoder.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout()])
def test_layers_that_mix_rows_or_draw_at_random_are_refused_until_eval(layer):
    decoder = nn.Sequential(nn.Linear(D, 4), layer).double()
    for function in (decoder, decoder.forward):
        with pytest.raises(ValueError, match=rf"{type(layer).__name__} .*training.*eval\(\)"):
            jacobian(function, codes())
    assert jacobian(decoder.eval(), codes()).shape == (5, 4, D)


@pytest.mark.parametrize(
    "z, error, message",
    [
        (torch.zeros(5), ValueError, r"z has shape \(5,\)"),
        (torch.zeros(0, 3), ValueError, r"z has shape \(0, 3\)"),
        (torch.zeros(2, 3, dtype=torch.int64), TypeError, "z must hold floating-point"),
        (torch.tensor([[0.0, float("nan")]]), ValueError, "z must be finite, got nan"),
    ],
)
def test_what_is_no_batch_of_codes_is_refused(unchecked, z, error, message):
    with pytest.raises(error, match=message):
        jacobian(lambda z: z, z)


@pytest.mark.parametrize(
    "decoder, message",
    [
        (lambda z: z.sum(1), r"decoder gave shape \(4,\).*must map \(batch, d\)"),
        (lambda z: z[:1], r"decoder gave shape \(1, 3\)"),
        (lambda z: z.abs().sqrt(), "Jacobian is not finite"),
        (lambda z: z / 0, "Jacobian is not finite"),
    ],
)
def test_what_is_no_decoder_is_refused(decoder, message):
    with pytest.raises(ValueError, match=message):
        jacobian(decoder, torch.zeros(4, 3))


def test_chunks_are_whole(unchecked):
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        jacobian(lambda z: z, torch.zeros(4, 3), chunk=0)


@pytest.mark.parametrize(
    "metric, message",
    [
        (torch.eye(4), r"metric has shape \(4, 4\); for 3 outputs"),
        (lambda x, v: v[0], r"metric gave shape \(4, 3\) for tangent vectors \(3, 4, 3\)"),
        (lambda x, v: v / 0, "metric gave values that are not finite"),
    ],
)
def test_what_is_no_metric_is_refused(metric, message):
    with pytest.raises(ValueError, match=message):
        pullback_metric(lambda z: z, torch.zeros(4, 3), metric)
