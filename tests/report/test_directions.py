"""Codes on the sphere: what they cost, whether their laws differ, and whether they huddle."""

import pytest
import torch

from tests.report.bases import base
from vae_course.report.directions import sphere
from vae_course.report.measures import MEASURES, Unmeasured
from vae_course.report.plan import Sizes
from vae_course.report.study import Study
from vae_course.sphere import PowerSpherical, SphericalCauchy, VonMisesFisher, normalise


def study(law, images, seed=0):
    sizes = Sizes(images=len(images))
    return Study(law, lambda z: z, images, sizes=sizes, value_range=(-9, 9), seed=seed)


def points(n, d=8, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def verdict(found, key):
    value = found[key].value
    return MEASURES[key].condition.verdict(value if isinstance(value, float) else value.value)


def test_a_concentration_that_is_stuck_fails_and_one_that_moves_does_not():
    stuck = sphere(study(lambda x: VonMisesFisher(normalise(x), 10.0), points(200)))
    assert stuck["concentration_spread"].value.value == pytest.approx(0, abs=1e-12)
    assert verdict(stuck, "concentration_spread") == "fail"
    assert "stuck" in stuck["concentration_spread"].reading
    moves = sphere(study(lambda x: VonMisesFisher(normalise(x), 3 * x.norm(dim=1)), points(200)))
    assert moves["concentration_spread"].value.value == pytest.approx(
        points(200).norm(dim=1).log().std().item()
    )
    assert verdict(moves, "concentration_spread") == "pass"


@pytest.mark.parametrize("family", [VonMisesFisher, PowerSpherical, SphericalCauchy])
def test_the_rate_is_the_mean_of_the_laws_own(family):
    x = points(50)
    found = sphere(study(lambda x: family(normalise(x), x.norm(dim=1)), x))["sphere_rate"]
    rates = family(normalise(x), x.norm(dim=1)).kl_to_uniform()
    assert found.value.value == pytest.approx(rates.mean().item())
    assert found.value.error == pytest.approx(rates.std().item() / 50**0.5)
    torch.testing.assert_close(found.each, rates)


def test_uniform_directions_do_not_huddle_and_equal_ones_do():
    """The mean over 40 samples of what is χ² with 8 degrees of freedom, over 8."""
    found = [
        sphere(study(lambda x: VonMisesFisher(normalise(x), 5.0), points(60, seed=s), s))
        for s in range(40)
    ]
    mean = sum(f["huddle"].value for f in found) / 40
    assert abs(mean - 1) < 4 * (2 / 8 / 40) ** 0.5
    together = sphere(
        study(lambda x: VonMisesFisher(normalise(torch.ones_like(x)), 1e6), points(60))
    )
    assert together["huddle"].value == pytest.approx(60, rel=0.01)
    assert together["huddle"].null == 1


def test_two_images_have_no_spread():
    with pytest.raises(Unmeasured, match="2 images"):
        sphere(study(lambda x: VonMisesFisher(normalise(x), 10.0), points(2)))


def test_a_healthy_model_passes():
    healthy = base("sphere")
    one = Study(healthy.encode, healthy.decode, healthy.images, sizes=Sizes(images=400))
    found = sphere(one)
    assert verdict(found, "sphere_rate") == verdict(found, "concentration_spread") == "pass"
