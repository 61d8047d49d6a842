"""Constants are right whatever surrounds the first call: traces, modes, devices, autocast."""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributions import kl_divergence

from tests.sphere.contract import generator
from tests.sphere.test_cauchy_rate import kl_oracle
from vae_course.sphere import (
    FAMILIES,
    SphericalUniform,
    angle,
    cauchy_kl,
    cauchy_mean_cosine,
    coverage,
    from_stretch,
    hyperbolic_distance,
    matched,
    moebius,
    normalise,
    slerp,
)

DIMS = [3, 5, 8, 30]  # one of each formula


def numbers(d: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """What every public function makes of inputs on the CPU."""
    g = generator(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, device="cpu").to(dtype)

    loc, other, number = normalise(normal(5, d)), normalise(normal(5, d)), normal(5).abs() + 0.3
    uniform = SphericalUniform(d, dtype=dtype, device="cpu")
    out = {
        "uniform": uniform.sample((3,), g),
        "uniform log_prob": uniform.log_prob(loc),
        "uniform moments": uniform.variance + uniform.mean + uniform.mode,
        "rate": cauchy_kl(number, d),
        "cosine": cauchy_mean_cosine(number, d),
        "angle": angle(loc, other),
        "slerp": slerp(loc, other, 0.3),
        "moebius": moebius(loc, other, 0.3),
        "distance": hyperbolic_distance(loc, number, other, 0.2),
    }
    for name, family in FAMILIES.items():
        p, q = family(loc, number), family(other, 0.7)
        values = [p.kl_to_uniform(), p.entropy(), p.log_prob(other), p.mean_cosine, p.curvature]
        values += [kl_divergence(uniform, p), kl_divergence(p, uniform)]
        if name != "power":
            values.append(kl_divergence(p, q))
        out[name] = torch.stack(values)
        out[f"{name} moments"] = torch.stack([p.mean, p.variance, p.mode])
        out[f"{name} draws"] = torch.cat(
            [p.sample((3,), g), p.transport(normal(1, 5, p.noise_dim))]
        )
        alike = [matched(name, loc, rate=2.0), matched(name, loc, mean_cosine=number / 10)]
        alike.append(from_stretch(name, loc, 0.4))
        out[f"{name} alike"] = torch.stack([law.mean_cosine for law in alike])
    codes = normalise(normal(60, d))
    for name, reference in (("hole", None), ("loss", codes)):
        found = coverage(codes[:50], reference, centres=16, null=5)
        out[name], out[f"{name} null"] = found.centre, found.null
    return out


@pytest.mark.parametrize("d", DIMS)
def test_a_default_device_elsewhere_changes_no_number(d):
    before = numbers(d)
    torch.set_default_device("meta")
    try:
        after = numbers(d)
    finally:
        torch.set_default_device(None)
    for name, value in before.items():
        assert after[name].device.type == "cpu" and torch.equal(after[name], value), name


@pytest.mark.parametrize("d", [*DIMS, 24])
def test_autocast_changes_no_number(d):
    before = numbers(d)
    with torch.autocast("cpu", torch.bfloat16):
        after = numbers(d)
    for name, value in before.items():
        assert torch.equal(after[name], value), name


@pytest.mark.parametrize("d", [11, 31])  # of no other test: nothing is in the tables yet
@pytest.mark.parametrize("family", FAMILIES)
def test_fake_tensors_leave_no_trace(family, d):
    """The first call for d is a fake one; afterwards rates and draws are real and right."""
    with FakeTensorMode():
        p = FAMILIES[family](torch.zeros(5, d), torch.ones(5))
        p.kl_to_uniform(), p.log_prob(p.loc), p.variance, p.transport(torch.zeros(5, p.noise_dim))
        kl_divergence(SphericalUniform(d), p)
    p = FAMILIES[family](normalise(torch.ones(d)), torch.ones(()))
    rate, single = (
        matched(family, p.loc, mean_cosine=p.mean_cosine).kl_to_uniform(),
        p.kl_to_uniform(),
    )
    torch.testing.assert_close(rate, single, rtol=1e-5, atol=0)
    if family == "cauchy":
        assert single.item() == pytest.approx(kl_oracle(1.0, d), rel=1e-6)
    assert type(p.sample()) is Tensor and p.log_prob(p.sample()).isfinite()


def test_an_export_leaves_the_rate_what_it_was():
    class Rate(nn.Module):
        def forward(self, r: Tensor) -> Tensor:
            return cauchy_kl(r, 9)

    exported = torch.export.export(Rate(), (torch.ones(3),)).module()
    after = cauchy_kl(torch.ones(1), 9)
    assert type(after) is Tensor
    assert after.item() == pytest.approx(kl_oracle(1.0, 9), rel=1e-6)
    assert torch.equal(exported(torch.ones(3)), after.expand(3))


def test_tables_of_the_first_inference_are_no_inference_tensors():
    with torch.inference_mode():
        cauchy_kl(torch.ones(2), 41)
    r = torch.ones(2, requires_grad=True)
    cauchy_kl(r, 41).sum().backward()
    torch.testing.assert_close(r.grad, 40 * cauchy_mean_cosine(torch.ones(2), 41))
