"""What every law on the sphere promises: density, draws, moments, rate, gradients, manners.

A new law writes ``family``, its cases and what it should be equal to, and inherits the rest. The
base classes ``law.py`` and ``axial.py`` have no other tests, and ``polar.py`` only the Möbius map's
in ``test_geometry.py``.

Integrals run over the latitude u, t = tanh u being the cosine to the mode: all densities are
analytic there within pi/4 of the real line, so the trapezoid rule converges geometrically.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.distributions import kl_divergence
from torch.func import jacfwd, jacrev
from torch.testing import assert_close

from vae_course.sphere import SphericalLaw, SphericalUniform, log_area, normalise

DOUBLE = torch.float64
FORWARD = "ignore:.*torch.jit.script:DeprecationWarning"  # torch's own, at its first jvp
# Of d and a von Mises-Fisher kappa: where a sampler with a wrong envelope goes wrong.
FLAGSHIP = [(21, 10.5), (64, 12.0), (256, 100.0), (1024, 300.0)]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=generator(seed))


def axis(d: int, i: int = 0, dtype: torch.dtype = DOUBLE) -> Tensor:
    e = torch.zeros(d, dtype=dtype)
    e[i] = 1
    return e


def rotation(d: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed))[0]


def log_cosh(u: Tensor) -> Tensor:
    return u.abs() + torch.log1p(torch.exp(-2 * u.abs())) - math.log(2)


def reach(d: int) -> float:
    """Latitudes farther than that from the mode hold less than e^-40 of any law."""
    return 40 / (d - 1) + 9 / math.sqrt(d - 1)


def enough(d: int) -> int:
    return 6_000 if d < 1000 else 2_000


class SphericalLawContract:
    """The uniform law's too; one number says how far a law is from it."""

    family: Any
    cases: list[tuple[int, float]]
    flagship: list[tuple[int, float]] = []
    densities: list[tuple[int, float]] = []  # more that must normalise, to the ends of the range
    spare = 0  # normal numbers that a draw takes beyond d
    mass_digits = 1e-11

    def law(self, d: int, number: float, loc: Tensor | None = None, dtype=DOUBLE) -> SphericalLaw:
        loc = normalise(normal(d, seed=d)) if loc is None else loc
        return self.family(loc.to(dtype), torch.tensor(number, dtype=dtype))

    def peak(self, d: int, number: float) -> float:
        """The densest latitude."""
        raise NotImplementedError

    def cdf(self, d: int, number: float, u: np.ndarray) -> np.ndarray:
        """The chance of a latitude below u, by other means than the library's."""
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc):
        """Each law's own cases."""
        drawn = [*self.cases, *self.flagship]
        for name, cases in {
            "number": self.cases,
            "drawn": drawn,
            "dense": [*self.cases, *self.densities],
        }.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(f"d, {name}", cases)
        if "dim" in metafunc.fixturenames:
            metafunc.parametrize("dim", self.dims)

    def meridian(self, d: int, number: float, nodes: int = 801) -> tuple[Tensor, Tensor, Tensor]:
        """Latitudes, log densities there, and the mass of the rings they stand for."""
        u = self.peak(d, number) + torch.linspace(-reach(d), reach(d), nodes, dtype=DOUBLE)
        points = torch.zeros(nodes, d, dtype=DOUBLE)
        points[:, 0], points[:, 1] = u.tanh(), (-log_cosh(u)).exp()
        log_f = self.law(d, number, axis(d)).log_prob(points)
        log_ring = math.log(2) + 0.5 * (d - 1) * math.log(math.pi) - math.lgamma((d - 1) / 2)
        return u, log_f, (u[1] - u[0]) * (log_f + log_ring - (d - 1) * log_cosh(u)).exp()

    def moments(self, d: int, number: float) -> tuple[float, float, float]:
        """Mean and variance of the cosine to the mode; variance in a direction beside it."""
        u, _, mass = self.meridian(d, number)
        mean = mass @ u.tanh()
        along, beside = mass @ (u.tanh() - mean).square(), mass @ (-2 * log_cosh(u)).exp()
        return mean.item(), along.item(), beside.item() / (d - 1)

    # ---- density

    def test_the_density_integrates_to_one(self, d, dense):
        *_, mass = self.meridian(d, dense)
        assert mass.sum().item() == pytest.approx(1, rel=self.mass_digits)

    def test_the_density_is_the_slope_of_the_distribution_function(self, d, number):
        u, _, mass = self.meridian(d, number, nodes=4001)
        cumulated = mass.cumsum(0) - mass / 2
        oracle = torch.from_numpy(self.cdf(d, number, u.numpy()))
        assert_close(cumulated, oracle, rtol=0, atol=1e-4)  # of the trapezoids

    def test_rate_entropy_and_moments_are_integrals_of_the_density(self, d, drawn):
        p, uniform = self.law(d, drawn), SphericalUniform(d, dtype=DOUBLE)
        _, log_f, mass = self.meridian(d, drawn)
        rate = mass @ (log_f - uniform.log_prob(axis(d)))
        assert p.kl_to_uniform().item() == pytest.approx(rate.item(), rel=1e-8, abs=1e-11)
        assert torch.equal(p.kl_to_uniform(), kl_divergence(p, uniform))
        assert_close(p.entropy(), log_area(d) - p.kl_to_uniform(), rtol=1e-13, atol=1e-13)
        assert p.entropy().item() == pytest.approx(-(mass @ log_f).item(), rel=1e-8, abs=1e-8)
        mean, along, beside = self.moments(d, drawn)
        assert p.mean_cosine.item() == pytest.approx(mean, rel=1e-8, abs=1e-11)
        assert_close(p.mean, p.mean_cosine * p.mode)
        if drawn == 0:  # then all directions are alike
            along = beside
        share = p.mode.square()
        assert_close(p.variance, share * along + (1 - share) * beside, rtol=1e-8, atol=1e-11)
        assert_close(p.variance.sum() + p.mean.square().sum(), torch.tensor(1, dtype=DOUBLE))

    def test_no_point_is_denser_than_the_mode(self, d, number):
        p = self.law(d, number)
        y = torch.cat([p.sample((200,), generator(1)), -p.mode[None]])
        assert (p.log_prob(p.mode) >= p.log_prob(y) - 1e-12).all()
        assert abs(p.mode.norm().item() - 1) < 1e-12

    # ---- draws

    def test_draws_have_the_moments_and_the_distribution_of_the_cosine(self, d, drawn):
        """In float64; float32's are the same to 1e-5, far less than chance."""
        p, n = self.law(d, drawn), enough(d)
        y = p.sample((n,), generator(2))
        assert (torch.linalg.vector_norm(y, dim=-1) - 1).abs().max() < 1e-14
        t = y @ p.mode
        mean, along, beside = self.moments(d, drawn)
        sideways = y @ normalise(axis(d, 1) - p.mode[1] * p.mode)
        for sample, centre, variance in ((t, mean, along), (sideways, 0, beside)):
            assert abs(sample.mean().item() - centre) < 5 * math.sqrt(variance / n)
            squared = (sample - centre).square()
            assert abs(squared.mean().item() - variance) < 5 * squared.std() / math.sqrt(n)
        u = torch.atanh(t.clamp(-1, 1)).numpy()
        assert stats.kstest(self.cdf(d, drawn, u), "uniform").pvalue > 1e-3

    def test_a_draw_is_the_transport_of_normal_noise(self, d, number):
        p = self.law(d, number)
        before = torch.get_rng_state()
        assert p.dim == d and p.noise_dim == d + self.spare
        y = p.transport(normal(5, p.noise_dim, seed=0))
        assert y.shape == (5, d) and y.dtype == DOUBLE
        assert torch.equal(y, p.rsample((5,), generator(0)))
        assert torch.equal(y, p.sample((5,), generator(0)))
        assert not torch.equal(y, p.sample((5,), generator(1)))
        assert torch.equal(torch.get_rng_state(), before)

    def test_float32_draws_are_those_of_float64_made_of_the_same_noise(self, d, drawn):
        p, q = self.law(d, drawn, dtype=torch.float32), self.law(d, drawn)
        eps = normal(500, p.noise_dim, seed=2).float()
        eps[0] = 0  # no direction at all
        y = p.transport(eps)
        assert (y.norm(dim=-1) - 1).abs().max() < 1e-6
        assert_close(y[1:].double(), q.transport(eps[1:].double()), rtol=0, atol=1e-5)

    # ---- manners

    def test_batches_broadcast_expand_and_keep_their_dtype(self):
        p = self.law(4, 0.7, dtype=torch.float32).expand((5, 3, 2))
        assert type(p) is self.family and p.has_rsample
        assert p.batch_shape == (5, 3, 2) and p.event_shape == (4,)
        y = p.rsample((7,))
        assert y.shape == (7, 5, 3, 2, 4) and p.log_prob(y).shape == (7, 5, 3, 2)
        assert p.mode.shape == p.mean.shape == p.variance.shape == (5, 3, 2, 4)
        numbers = [p.log_prob(p.mode), p.entropy(), p.mean_cosine, p.kl_to_uniform()]
        numbers += [
            kl_divergence(p, q) for q in (SphericalUniform(4), SphericalUniform(4).expand((2,)))
        ]
        for value in numbers:
            assert value.shape == (5, 3, 2) and value.dtype == y.dtype == torch.float32
        assert p.support.check(y).all() and not p.sample().requires_grad
        for name, constraint in p.arg_constraints.items():
            assert constraint.check(getattr(p, name)).all()

    def test_points_off_the_sphere_other_spheres_and_other_noise_are_named(self, unchecked):
        p = self.law(3, 0.7)
        with pytest.raises(ValueError, match=r"value has norms in \[2, 2\].*normalise\(value\)"):
            p.log_prob(2 * axis(3))
        with pytest.raises(ValueError, match="R.3 has no KL to one on the sphere of R.4.*ambient"):
            kl_divergence(p, SphericalUniform(4))
        with pytest.raises(ValueError, match="eps has shape"):
            p.expand((2,)).transport(torch.zeros(5, 3, p.noise_dim, dtype=DOUBLE))


class AxialLawContract(SphericalLawContract):
    """What a law with a direction ``loc`` and one number promises beyond."""

    name: str  # of the number
    dims: list[int]  # where rates must keep their digits
    digits: dict[torch.dtype, tuple[float, float]]  # of values, and of the rate's slope
    extremes: list[float]
    extreme_dims: list[int]

    def numbers(self, d: int) -> list[float]:
        """Where rates must keep their digits: small, large, and at both sides of each switch."""
        raise NotImplementedError

    def oracle(self, d: int, number: float) -> tuple[float, float, float]:
        """The rate, the mean cosine and the rate's slope, to the last digits."""
        raise NotImplementedError

    def values(self, p: Any, y: Tensor) -> list[Tensor]:
        """What must be finite whatever the number."""
        uniform = SphericalUniform(p.dim, dtype=y.dtype)
        log_probs = [p.log_prob(x) for x in (y, p.loc, -p.loc)]
        return [y, *log_probs, kl_divergence(p, uniform), p.entropy(), p.mean]

    @pytest.mark.parametrize("dtype", [DOUBLE, torch.float32])
    def test_rate_mean_cosine_and_slope_keep_their_digits_however_small(self, dim, dtype):
        number = torch.tensor(self.numbers(dim), dtype=dtype, requires_grad=True)
        p = self.family(axis(dim, dtype=dtype), number)
        rate = p.kl_to_uniform()
        (slope,) = torch.autograd.grad(rate.sum(), number)
        values, slopes = self.digits[dtype]
        for i, n in enumerate(number.tolist()):  # the number as the dtype has it
            oracle = self.oracle(dim, n)
            got = [rate[i].item(), p.mean_cosine[i].item()]
            assert got == pytest.approx(oracle[:2], rel=values, abs=0)
            assert slope[i].item() == pytest.approx(oracle[2], rel=slopes, abs=0)

    @pytest.mark.parametrize("d", [2, 3, 6, 1024])
    def test_a_law_without_concentration_is_uniform(self, d):
        p, uniform = self.law(d, 0.0), SphericalUniform(d, dtype=DOUBLE)
        assert p.kl_to_uniform() == 0 and p.mean_cosine == 0 and p.mean.norm() == 0
        x = uniform.sample((10,), generator(0))
        assert_close(p.entropy(), uniform.entropy())
        assert_close(p.log_prob(x), uniform.log_prob(x), rtol=1e-12, atol=1e-13)

    def test_curvature_is_minus_the_second_derivative_of_the_log_density_at_the_mode(
        self, d, number
    ):
        p = self.law(d, number)
        h = 1e-3 / math.sqrt(1 + p.curvature.item())  # the next term of the series costs h^2
        tangent = normalise(axis(d) - p.loc[0] * p.loc)
        ends = math.cos(h) * p.loc + math.sin(h) * tangent, p.loc
        at, top = (p.log_prob(x).item() for x in ends)
        # Symmetric in h.
        assert 2 * (top - at) / h**2 == pytest.approx(p.curvature.item(), rel=1e-4, abs=1e-7)

    def test_rotations_turn_the_law_and_its_draws(self, d, number):
        turn = rotation(d)
        here = self.law(d, number)
        there = self.law(d, number, turn @ here.loc)
        eps = normal(50, here.noise_dim, seed=5)
        y = here.transport(eps)
        turned = torch.cat([eps[:, :d] @ turn.T, eps[:, d:]], 1)
        assert_close(there.transport(turned), y @ turn.T, rtol=1e-9, atol=1e-9)
        assert_close(there.log_prob(y @ turn.T), here.log_prob(y), rtol=1e-9, atol=1e-9)
        assert_close(there.mean, turn @ here.mean)

    # ---- gradients

    def test_transport_passes_gradcheck_in_the_direction_the_number_and_the_noise(self, d, number):
        raw = normal(2, d, seed=d).requires_grad_()
        n = torch.tensor([number + 0.1, 0.7], dtype=DOUBLE, requires_grad=True)
        eps = normal(3, 2, d + self.spare, seed=1).requires_grad_()

        def transport(raw: Tensor, n: Tensor, eps: Tensor) -> Tensor:
            return self.family(normalise(raw), n).transport(eps)

        assert gradcheck(transport, (raw, n, eps), fast_mode=True)
        if d == 3:
            assert gradgradcheck(transport, (raw, n, eps.detach()), fast_mode=True)

    def test_pathwise_gradients_are_unbiased(self, d, drawn):
        """In the number they average to the mean's slope; turning loc turns the mean.

        Digit by digit the transport's gradients are checked above: 2,000 draws are enough.
        """
        p, n = self.law(d, drawn), 2000
        number = torch.full((n,), drawn, dtype=DOUBLE, requires_grad=True)
        locs = p.loc.expand(n, d).clone().requires_grad_()
        probe = normalise(axis(d) + p.loc)
        y = self.family(normalise(locs), number).rsample(generator=generator(4))
        by_number, by_loc = torch.autograd.grad((y @ probe).sum(), [number, locs])
        h = 1e-3 * max(drawn, 1.0)
        low = max(drawn - h, 0)
        rise = self.moments(d, drawn + h)[0] - self.moments(d, low)[0]
        along = (probe @ p.loc).item()
        v = probe - along * p.loc
        for each, mean in (
            (by_number, along * rise / (drawn + h - low)),
            (by_loc @ v, p.mean_cosine.item() * (probe @ v).item()),
        ):
            assert abs(each.mean().item() - mean) < 5 * each.std().item() / math.sqrt(n) + 1e-5

    def test_rate_mean_cosine_and_density_pass_gradcheck_to_the_second_order(self):
        number = torch.tensor([0.3, 2.0, 60.0], dtype=DOUBLE, requires_grad=True)
        y = self.law(6, 3.0, axis(6)).sample(generator=generator(10))
        for value in (
            lambda p: p.log_prob(y),
            lambda p: p.kl_to_uniform(),
            lambda p: p.mean_cosine,
        ):
            f = lambda n, value=value: value(self.family(axis(6), n))  # noqa: E731
            assert gradcheck(f, number) and gradgradcheck(f, number)

    @pytest.mark.parametrize("at", [0.3, 2.0, 60.0])
    @pytest.mark.parametrize("d", [2, 3, 4, 5, 6, 30, 200])
    def test_the_second_derivative_of_the_rate_is_the_slope_of_the_first(self, d, at):
        """Central differences err by h^2 and by rounding over h: 1e-8 each at h = 1e-4."""

        def slope(x: Tensor, graph: bool = False) -> Tensor:
            rate = self.family(axis(d), x).kl_to_uniform()
            return torch.autograd.grad(rate.sum(), x, create_graph=graph)[0]

        h = 1e-4 * at
        x = torch.tensor([at, at - h, at + h], dtype=DOUBLE, requires_grad=True)
        first, kept = slope(x), slope(x, graph=True)
        assert_close(kept, first, rtol=1e-11, atol=0)
        second = torch.autograd.grad(kept.sum(), x)[0][0]
        difference = (first[2] - first[1]) / (2 * h)
        scale = first[0] / at  # where the slope has saturated it has no slope left
        assert abs(second - difference) <= 1e-6 * second.abs() + 1e-7 * scale

    @pytest.mark.parametrize("d", [3, 5])
    def test_draws_and_rates_map_over_models(self, d):
        loc, scale = normalise(normal(3, d, seed=4)), normal(4, 3, seed=5).abs() + 0.5
        eps = normal(4, 3, d + self.spare, seed=6)

        def total(scale: Tensor, eps: Tensor) -> Tensor:
            p = self.family(loc, scale, validate_args=False)
            return p.transport(eps).pow(3).sum() + p.kl_to_uniform().sum()

        mapped = torch.func.vmap(torch.func.grad(total))(scale, eps)
        for one, s, e in zip(mapped, scale, eps, strict=True):
            s = s.clone().requires_grad_()
            assert_close(one, torch.autograd.grad(total(s, e), s)[0])

    @pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
    def test_extreme_numbers_leave_values_gradients_and_draws_finite(self, dtype):
        for d in self.extreme_dims:
            locs = [axis(d), -axis(d), axis(d, d - 1), normalise(normal(d, seed=d))]
            loc = torch.stack(locs)[:, None].to(dtype).requires_grad_()
            number = torch.tensor(self.extremes, dtype=dtype, requires_grad=True)
            p = self.family(loc, number)
            y = p.rsample((4,), generator(11))
            assert ((y.norm(dim=-1) - 1).abs() < 1e-6).all()
            values = self.values(p, y)
            assert all(value.isfinite().all() for value in values)
            # One gradient that is not finite leaves none of the sum's finite.
            total = sum(value.sum() for value in values)
            gradients = torch.autograd.grad(total, (loc, number))
            assert all(gradient.isfinite().all() for gradient in gradients)

    def test_directions_and_numbers_broadcast(self):
        p = self.family(torch.eye(3)[:, None], torch.tensor([1.0, 10.0]))
        assert p.batch_shape == (3, 2) and p.event_shape == (3,)
        assert p.expand((4, 3, 2)).sample((5,)).shape == (5, 4, 3, 2, 3)
        assert p.entropy().dtype == p.rsample().dtype == torch.float32

    def test_numbers_and_other_dtypes_are_taken_in_the_dtype_of_loc(self):
        for dtype in (torch.float32, DOUBLE):
            loc = axis(6, dtype=dtype)
            other = DOUBLE if dtype == torch.float32 else torch.float32
            whole = self.family(loc, torch.tensor(2.0, dtype=dtype))
            eps, y = normal(3, whole.noise_dim, seed=0), whole.sample((3,), generator(1))
            for number in (2, 2.0, torch.tensor(2.0, dtype=other)):
                p = self.family(loc, number)
                assert getattr(p, self.name).dtype == dtype
                for a, b in (
                    (p.kl_to_uniform(), whole.kl_to_uniform()),
                    (p.log_prob(y.to(other)), whole.log_prob(y)),
                    (p.transport(eps.to(other)), whole.transport(eps.float().to(dtype))),
                    (p.variance, whole.variance),
                ):
                    assert a.dtype == dtype
                    assert_close(a, b, rtol=1e-5, atol=1e-6)

    def test_a_number_with_an_axis_more_is_one_of_each_direction_and_not_all_pairs(self, unchecked):
        loc = normalise(normal(4, 3, seed=0))
        number = torch.ones(4, 1, dtype=DOUBLE)
        with pytest.raises(ValueError, match=rf"\(4, 1\).*\(4, 3\).*{self.name}.squeeze\(-1\)"):
            self.family(loc, number)
        with pytest.raises(ValueError, match=r"\(2, 4, 1\).*\(2, 4, 3\)"):
            self.family(loc.expand(2, 4, 3), number.expand(2, 4, 1))
        # What can be meant in one way only.
        assert self.family(loc, number.squeeze(-1)).batch_shape == (4,)
        assert self.family(loc.unsqueeze(-3), number).batch_shape == (4, 4)
        assert self.family(loc, number[:3]).batch_shape == (3, 4)
        assert self.family(loc[0], number).batch_shape == (4, 1)
        assert self.family(loc[:, None], number).batch_shape == (4, 1)
        assert self.family(loc[:1], number[:1]).batch_shape == (1, 1)

    @pytest.mark.filterwarnings(FORWARD)
    @pytest.mark.parametrize("d", [3, 6])
    @pytest.mark.parametrize("function", ["transport", "values"])
    def test_forward_mode_is_backward_mode_and_nests(self, d, function):
        """jacfwd against jacrev in all arguments, and all four second derivatives."""
        loc, number = normalise(normal(2, d, seed=d)), torch.tensor([0.7, 2.5], dtype=DOUBLE)

        def transport(loc: Tensor, number: Tensor, eps: Tensor) -> Tensor:
            return self.family(loc, number).transport(eps)

        def values(loc: Tensor, number: Tensor, y: Tensor) -> Tensor:
            p = self.family(loc, number)
            return p.log_prob(y).square() + p.kl_to_uniform() * p.mean_cosine + p.variance.sum(-1)

        if function == "transport":
            f, last = transport, normal(2, d + self.spare, seed=1)
        else:
            f, last = values, normalise(normal(2, d, seed=2))
        back, ahead = (
            transform(f, argnums=(0, 1, 2))(loc, number, last) for transform in (jacrev, jacfwd)
        )
        assert_close(ahead, back, rtol=1e-9, atol=1e-11)

        def total(number: Tensor) -> Tensor:
            return f(loc, number, last).pow(2).sum()

        exact = torch.autograd.functional.hessian(total, number)
        for outer in (jacrev, jacfwd):
            for inner in (jacrev, jacfwd):
                assert_close(outer(inner(total))(number), exact, rtol=1e-7, atol=1e-9)
        mapped = torch.func.vmap(torch.func.hessian(total))(torch.stack([number, number]))
        assert_close(mapped[1], exact, rtol=1e-7, atol=1e-9)

    def test_bad_parameters_are_named(self, unchecked):
        one = torch.tensor(1.0)
        with pytest.raises(ValueError, match="loc has norms"):
            self.family(torch.ones(3), one)
        with pytest.raises(TypeError, match="loc is torch.int64"):
            self.family(torch.tensor([1, 0]), one)
        for bad in (None, "1", [1.0], np.ones(3), True):
            with pytest.raises(TypeError, match=f"{self.name} must be a number or a tensor"):
                self.family(torch.eye(3), bad)
        for bad in (torch.ones(3).long(), torch.ones(3).bool(), torch.ones(3).cfloat()):
            with pytest.raises(TypeError, match=f"{self.name} is torch"):
                self.family(torch.eye(3), bad)
        with pytest.raises(ValueError, match=f"{self.name} is on meta and loc on cpu"):
            self.family(torch.eye(3), torch.ones(3, device="meta"))
        with pytest.raises(ValueError, match=f"{self.name} has shape"):
            self.family(torch.eye(3), torch.ones(2))
        for bad in (-1.0, math.inf, math.nan):
            with pytest.raises(ValueError, match=f"{self.name} lies in .*softplus"):
                self.family(torch.eye(3), torch.tensor([1.0, bad, 2.0]))
