"""Laws that are built inside of what is compiled are one graph, with the right derivatives.

Each process by itself: torch.compile doesn't trace the checks of shapes that tests run under.
"""

import subprocess
import sys

import pytest

WHOLE = """
import torch
from torch.distributions import kl_divergence
from vae_course.sphere import *

generator = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def check(f, *leaves):
    torch._dynamo.reset()
    leaves = [leaf.requires_grad_() for leaf in leaves]
    compiled, eager = torch.compile(f, fullgraph=True, backend="aot_eager")(*leaves), f(*leaves)
    torch.testing.assert_close(compiled, eager, rtol=1e-11, atol=1e-13)
    got, wanted = (torch.autograd.grad(y.square().sum(), leaves[-1]) for y in (compiled, eager))
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-11)


for name, law in FAMILIES.items():
    for d in (3, 5) if name == "vmf" else (5,):
        loc, number, y = normalise(normal(2, d)), normal(2).abs() + 0.3, normalise(normal(2, d))
        eps, uniform = normal(2, law(loc, number).noise_dim), SphericalUniform(d, dtype=y.dtype)
        check(lambda loc, number: law(loc, number).kl_to_uniform(), loc, number)
        check(lambda loc, number: law(loc, number).transport(eps), loc, number)
        check(lambda loc, number: law(loc, number).log_prob(y), loc, number)
        check(lambda loc, number: law(loc, number).variance, loc, number)
        check(lambda loc, number: kl_divergence(uniform, law(loc, number)), loc, number)
check(lambda r: cauchy_kl(r, 8), number)
check(moebius, normal(2, 5), loc.detach(), number)
check(lambda a, b: slerp(a, b, 0.3), loc, y)

# A torch.func transform inside breaks the graph, and is right.
slope = torch.func.vmap(torch.func.grad(lambda r: cauchy_kl(r, 8)))
r = number.detach()
broken = torch.compile(slope, backend="aot_eager")(r)
torch.testing.assert_close(broken, 7 * cauchy_mean_cosine(r, 8))
torch._dynamo.reset()
try:
    torch.compile(slope, backend="aot_eager", fullgraph=True)(r)
except torch._dynamo.exc.Unsupported as error:
    assert "a torch.func transform over vae_course.sphere" in str(error)
else:
    raise AssertionError("it was traced")
"""


@pytest.mark.slow(reason="traces 23 functions, half a second each, in a process of its own")
def test_laws_and_maps_are_one_graph():
    done = subprocess.run([sys.executable, "-c", WHOLE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
