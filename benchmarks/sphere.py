"""A spherical posterior's step, sample and KL, forward and backward: ours and two public ones.

``python -m benchmarks.sphere``; see README.md. Errors stand beside times: an answer that is wrong,
or not a number, is cheap.
"""

import math
from collections.abc import Callable
from statistics import median

import mpmath
import power_spherical
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from benchmarks.rounds import Bar, Contender, Measure, cpu_seconds, interleave, write
from benchmarks.sphere_peers import PublicUniform, PublicVonMisesFisher
from vae_course.sphere import (
    PowerSpherical,
    SphericalCauchy,
    SphericalUniform,
    VonMisesFisher,
    matched,
    normalise,
)

BATCH, STEPS, ROUNDS = 128, 25, 11
DIMS = (3, 16, 64, 256, 1024)
CAUCHY, VMF, POWER = "SphericalCauchy", "VonMisesFisher", "PowerSpherical"
PUBLIC_VMF, PUBLIC_POWER = "public vMF", "power-spherical"
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (loc, parameter) to (sample, KL)


def ours(law: type) -> Step:
    def step(loc: Tensor, parameter: Tensor) -> tuple[Tensor, Tensor]:
        q = law(loc, parameter)
        return q.rsample(), kl_divergence(q, SphericalUniform(loc.shape[-1]))

    return step


def public_vmf(loc: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    q = PublicVonMisesFisher(loc, kappa.unsqueeze(-1))
    return q.rsample(), kl_divergence(q, PublicUniform(loc.shape[-1]))


def public_power(loc: Tensor, kappa: Tensor) -> tuple[Tensor, Tensor]:
    q = power_spherical.PowerSpherical(loc, kappa)
    return q.rsample(), kl_divergence(q, power_spherical.HypersphericalUniform(loc.shape[-1]))


STEPS_OF: dict[str, tuple[str, Step]] = {
    PUBLIC_VMF: ("vmf", public_vmf),
    PUBLIC_POWER: ("power", public_power),
    CAUCHY: ("cauchy", ours(SphericalCauchy)),
    VMF: ("vmf", ours(VonMisesFisher)),
    POWER: ("power", ours(PowerSpherical)),
}


def exact(family: str, d: int, parameter: float) -> tuple[float, float]:
    """KL and mean cosine of a float32 parameter, by quadrature over the latitude in 30 digits."""
    with mpmath.workdps(30):
        p, m = mpmath.mpf(parameter), d - 1
        centre, tilt = {
            "cauchy": (p, lambda t: -m * mpmath.log(mpmath.cosh(p) - t * mpmath.sinh(p))),
            "vmf": (mpmath.asinh(2 * p / m) / 2, lambda t: p * t),
            "power": (mpmath.log1p(2 * p / m) / 2, lambda t: p * mpmath.log1p(t)),
        }[family]
        reach = 60 / mpmath.mpf(m) + 9 / mpmath.sqrt(m)  # the trapezoid rule in u, t = tanh u
        mass = log_ratio = cosine = area = mpmath.mpf(0)
        for k in range(-200, 201):
            step = k * reach / 200
            t, uniform = mpmath.tanh(centre + step), mpmath.sech(centre + step) ** m
            weight = mpmath.exp(tilt(t)) * uniform
            area += mpmath.sech(step) ** m
            mass, cosine = mass + weight, cosine + weight * t
            log_ratio += weight * tilt(t)
        return float(log_ratio / mass - mpmath.log(mass / area)), float(cosine / mass)


def errors(name: str, loc: Tensor, parameter: Tensor) -> dict[str, float]:
    """How wrong 8,192 samples and their KL are; what of them and of the gradients is no number."""
    family, step = STEPS_OF[name]
    many = [v.repeat_interleave(64, 0).requires_grad_() for v in (loc, parameter)]
    z, kl = step(*many)
    gradients = torch.autograd.grad(z.sum() + kl.sum(), many)
    kl_truth, cosine = exact(family, loc.shape[-1], parameter[0].item())
    t = (z.detach() * many[0].detach()).sum(-1).double()
    return {
        "KL rel. error": abs(kl[0].item() / kl_truth - 1),
        "mean cosine, z": ((t.mean() - cosine) / (t.std() / math.sqrt(len(t)))).item(),
        "norm off by": (z.detach().double().norm(dim=-1) - 1).abs().max().item(),
        "not finite": float(sum((~v.isfinite()).sum() for v in (z, kl, *gradients))),
    }


def compare(d: int, **matching: float) -> Measure:
    """The median of ``STEPS`` steps a round of every contender, laws made alike by ``matching``."""

    def setting(family: str, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        loc = normalise(torch.randn(BATCH, d, generator=generator))
        law = matched(family, loc, **matching)
        parameter = law.r if isinstance(law, SphericalCauchy) else law.concentration
        return loc, parameter.clone()

    def timed(name: str) -> Contender:
        family, step = STEPS_OF[name]

        def contender(seed: int) -> tuple[float, dict[str, float]]:
            loc, parameter = (v.requires_grad_() for v in setting(family, seed))
            weight = torch.randn(BATCH, d)

            def work() -> None:
                z, kl = step(loc, parameter)
                torch.autograd.grad((z * weight).sum() + kl.sum(), [loc, parameter])

            torch.manual_seed(seed)
            # A step that another process cut short says nothing: the median is deaf to a few.
            seconds = median(cpu_seconds(work) for _ in range(STEPS))
            return seconds, errors(name, *setting(family, 0)) if seed == 0 else {}

        return contender

    public = 4.0 if d <= 256 else 1.0
    bars = [Bar(CAUCHY, POWER, 1.0), Bar(CAUCHY, PUBLIC_POWER, 1.0)]
    bars += [Bar(CAUCHY, PUBLIC_VMF, public), Bar(VMF, PUBLIC_VMF, 1.0)]
    ((kind, value),) = matching.items()
    measure = Measure(f"d = {d}, {kind.replace('_', ' ')} {value:g}", bars)
    contenders = {name: timed(name) for name in STEPS_OF}
    for contender in contenders.values():
        contender(1)
    return interleave(measure, contenders, ROUNDS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    settings = [{"mean_cosine": 0.9}, {"curvature": 10.0}]
    write(
        "sphere",
        [compare(d, **matching) for d in DIMS for matching in settings],
        "scipy",
        "power-spherical",
    )
