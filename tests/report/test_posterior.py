"""What encoders give: each kind is read as what it is, and nothing else without its remedy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, LogNormal, MultivariateNormal, Normal
from torch.testing import assert_close

from vae_course import sphere
from vae_course.report.posterior import Posterior, read

N = 3
MU = torch.arange(24.0).reshape(N, 2, 4) / 24
SIGMA = MU + 0.5


def given(output, n=N, seed=0):
    return read(output, n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "output",
    [(MU, SIGMA), [MU, SIGMA], Normal(MU, SIGMA), Independent(Normal(MU, SIGMA), 2)],
    ids=["pair", "list", "Normal", "Independent"],
)
def test_balls_are_read_from_pairs_and_normal_laws(output):
    found = given(output)
    assert found.kind == "gaussian"
    assert_close((found.mu, found.sigma), (MU, SIGMA), rtol=0, atol=0)


def test_a_tensor_is_points_or_indices_by_its_dtype():
    assert given(MU).kind == "point" and given(MU.half()).kind == "point"
    for dtype in (torch.int64, torch.int32, torch.uint8):
        found = given(torch.ones(N, 5, dtype=dtype))
        assert found.kind == "codebook" and found.mu.dtype == torch.int64


FAMILIES = {
    "cauchy": lambda m: sphere.SphericalCauchy(m, torch.tensor([0.3, 0.5, 0.7])),
    "vmf": lambda m: sphere.VonMisesFisher(m, torch.tensor([3.0, 5.0, 7.0])),
    "power": lambda m: sphere.PowerSpherical(m, torch.tensor([3.0, 5.0, 7.0])),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_laws_on_the_sphere_bring_mode_draw_rate_and_concentration(family):
    mode = torch.nn.functional.normalize(torch.randn(N, 5, generator=torch.manual_seed(0)), dim=1)
    law = FAMILIES[family](mode)
    found = given(law)
    assert found.kind == "sphere" and found.sigma is None
    assert_close(found.mu, mode)
    assert_close(found.rate, law.kl_to_uniform())
    assert_close(found.drawn.norm(dim=1), torch.ones(N))
    assert_close(found.drawn, given(law).drawn, rtol=0, atol=0)
    assert not torch.equal(found.drawn, given(law, seed=1).drawn)
    assert found.concentration.shape == (N,) and (found.concentration.diff() > 0).all()


def test_a_law_that_is_one_for_all_images_is_not_one_each():
    one = sphere.VonMisesFisher(torch.eye(5)[0], torch.tensor(3.0))
    for law in (one, sphere.SphericalUniform(5)):
        with pytest.raises(ValueError, match=r"one law each.*batch shape \(3,\)"):
            given(law)


def test_batches_are_joined_and_moved_whole():
    pieces = [given((MU[i : i + 1], SIGMA[i : i + 1]), 1).to("cpu") for i in range(N)]
    joined = Posterior.joined(pieces)
    assert joined.kind == "gaussian" and joined.rate is None
    assert_close((joined.mu, joined.sigma), (MU, SIGMA))
    graph = given((MU.clone().requires_grad_(), SIGMA)).to("cpu")
    assert not graph.mu.requires_grad


DIFFUSERS = SimpleNamespace(latent_dist=SimpleNamespace(mean=MU, std=SIGMA, logvar=MU))
PYTHAE = SimpleNamespace(embedding=MU, log_covariance=SIGMA)
OBJECTS = {
    "diffusers": (DIFFUSERS, r"adapted\(model\).*latent_dist.*d\.std"),
    "unwrapped": (DIFFUSERS.latent_dist, r"\(d\.mean, d\.std\)"),
    "pythae": (PYTHAE, r"adapted\(model\).*log_covariance / 2\)\.exp"),
    "pythae's AE": (SimpleNamespace(embedding=MU), r"\.embedding"),
    "VQModel": (SimpleNamespace(latents=MU), r"\.latents"),
    "codes": (SimpleNamespace(indices=MU), r"\.indices"),
    "NumPy": (np.zeros((N, 2)), "torch.from_numpy"),
    "three": ((MU, SIGMA, MU), r"3 things \(Tensor, Tensor, Tensor\).*log_variance / 2"),
    "dict": ({"mu": MU, "logvar": SIGMA}, "mu, logvar"),
    "covariance": (MultivariateNormal(torch.zeros(N, 2), torch.eye(2)), r"d\.stddev"),
    "categorical": (Categorical(torch.ones(N, 4)), "gave Categorical.*Normal"),
    "log-normal": (LogNormal(MU, SIGMA), "gave LogNormal"),
    "nothing": (None, "gave NoneType"),
    "a pair of objects": ((MU, None), "a sigma that is NoneType"),
    "a pair of whole numbers": ((MU.long(), SIGMA), "a mu that is torch.int64"),
    "truth": (MU > 0, "gave torch.bool"),
    "complex": (MU.to(torch.complex64), "gave torch.complex64"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_for_a_tensor_is_named_with_the_way_out(name):
    output, message = OBJECTS[name]
    with pytest.raises(TypeError, match=f"^(?=encode gave ).*{message}"):
        given(output)


@pytest.mark.parametrize(
    "output, message",
    [
        ((MU, SIGMA[:, :1]), r"one shape, \(batch, \*code\).*expand_as"),
        ((MU[:2], SIGMA[:2]), r"mu has shape \(2, 2, 4\) for 3 images"),
        (MU[:, 0, 0], r"\(3,\) for 3 images; it must be \(3, \*code\)"),
        (MU[:, :0], r"\(3, 0, 4\)"),
    ],
    ids=["sigma of another shape", "another number", "no code axis", "empty"],
)
def test_a_shape_that_is_no_batch_of_codes_is_named(output, message):
    with pytest.raises(ValueError, match=message):
        given(output)
