"""The four distances: the contract, and what each leaves unchanged and reaches besides."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close

from tests.spd.contract import (
    DOUBLE,
    ConeMetricContract,
    SpdMetricContract,
    normal,
    of_condition,
    wishart,
)
from vae_course import spd


def pair() -> tuple[Tensor, Tensor]:
    return wishart(4, seed=1), wishart(4, seed=2)


class TestLogEuclidean(ConeMetricContract):
    distance, name = staticmethod(spd.log_euclidean_distance), "log_euclidean"
    embeds = True

    def by_scipy(self, a, b):
        return np.linalg.norm(scipy.linalg.logm(a) - scipy.linalg.logm(b))

    def float32_bound(self, n, scale):
        return 2e-6 * 100

    def test_inversion_and_scaling_leave_it_but_a_change_of_basis_does_not(self):
        (a, b), g = pair(), normal(4, 4, seed=3)
        before = self.distance(a, b)
        for moved in ((a.inverse(), b.inverse()), (9 * a, 9 * b)):
            assert_close(self.distance(*moved), before, rtol=1e-9, atol=0.0)
        assert (self.distance(g @ a @ g.T, g @ b @ g.T) - before).abs().min() > 1e-3

    def test_its_embedding_is_an_isometry(self):
        s = wishart(5, batch=(6,))
        points = spd.log_euclidean_embedding(s)
        assert points.shape == (6, 15)
        assert_close(torch.cdist(points, points), self.distance(s[:, None], s))

    def test_a_tiny_regularisation_lets_the_null_directions_rule(self):
        a, b = wishart(8, freedom=2, seed=1), wishart(8, freedom=2, seed=2)
        far, farther = (self.distance(a, b, regularise=e) for e in (1e-2, 1e-10))
        assert (farther > 3 * far).all()


class TestAffineInvariant(ConeMetricContract):
    distance, name = staticmethod(spd.affine_invariant_distance), "affine_invariant"
    embeds = False

    def by_scipy(self, a, b):
        return np.linalg.norm(np.log(scipy.linalg.eigvalsh(b, a)))

    def float32_bound(self, n, scale):
        return 4e-6 * 100**2

    def test_a_change_of_basis_and_inversion_leave_it(self):
        (a, b), g = pair(), normal(4, 4, seed=3)
        before = self.distance(a, b)
        for moved in ((g @ a @ g.T, g @ b @ g.T), (a.inverse(), b.inverse())):
            assert_close(self.distance(*moved), before, rtol=1e-9, atol=0.0)

    def test_the_exponential_map_of_the_cone_expands(self):
        a, b = pair()
        assert (self.distance(a, b) >= spd.log_euclidean_distance(a, b) - 1e-12).all()


class TestBures(ConeMetricContract):
    distance, name = staticmethod(spd.bures_distance), "bures"
    embeds, definite, twice, small = False, False, False, 0.5
    flat, round = staticmethod(torch.sqrt), staticmethod(torch.square)

    def by_scipy(self, a, b):
        root = scipy.linalg.sqrtm(a)
        return math.sqrt(np.trace(a + b - 2 * scipy.linalg.sqrtm(root @ b @ root).real))

    def float32_bound(self, n, scale):
        return 1e-5 * (scale * 100 * n) ** 0.5

    def test_it_scales_like_a_length(self):
        a, b = pair()
        ours = self.distance(9 * a, 9 * b)
        assert_close(ours, 3 * self.distance(a, b), rtol=1e-9, atol=0.0)

    def test_between_matrices_of_rank_one_it_is_known(self):
        """A = uu', B = vv': the boundary of the cone is within reach, and keeps its digits."""
        u, v = normal(5, 7, seed=1), normal(5, 7, seed=2)
        ours = self.distance(u[:, :, None] * u[:, None], v[:, :, None] * v[:, None])
        sign = (u * v).sum(-1, keepdim=True).sign()
        assert_close(ours, (u - sign * v).norm(dim=-1), rtol=1e-12, atol=0.0)

    @pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
    @pytest.mark.parametrize("n", [3, 7, 64])
    def test_float32_holds_its_stated_error_between_singular_matrices(self, scale, n):
        thin = [x[..., :2] @ x[..., :2].mT for x in of_condition(n, scale)]
        # Squared exactly: rounded ones have another distance.
        exact = [x.double()[..., :2] @ x.double()[..., :2].mT for x in of_condition(n, scale)]
        size = max(x.diagonal(dim1=-2, dim2=-1).sum(-1).max().item() for x in exact) ** 0.5
        error = self.distance(*thin).double() - self.distance(*exact)
        assert error.abs().max() < 1e-3 * size

    def test_its_second_derivative_is_refused_not_wrong(self):
        a = wishart(3, batch=()).requires_grad_()
        distance = self.distance(a, wishart(3, batch=(), seed=1))
        (gradient,) = torch.autograd.grad(distance, a, create_graph=True)
        with pytest.raises(RuntimeError, match="bures_distance once"):
            gradient.sum().backward()


class TestProjection(SpdMetricContract):
    distance = staticmethod(spd.projection_distance)
    embeds, freedom, zero = True, 2, 1e-14

    def kernel_distance(self, a, b):
        return spd.projection_distance(a, b, rank=1)

    def by_scipy(self, a, b):
        return self.by_angles(a, b, min(self.freedom, len(a)))

    @staticmethod
    def by_angles(a: np.ndarray, b: np.ndarray, rank: int) -> float:
        """The norm of the sines of the angles between the leading eigenvectors' spans."""
        spans = [scipy.linalg.eigh(s)[1][:, len(s) - rank :] for s in (a, b)]
        return np.linalg.norm(np.sin(scipy.linalg.subspace_angles(*spans)))

    @pytest.mark.parametrize("n, rank", [(3, 1), (7, 3), (20, 19), (6, 6)])
    def test_with_a_rank_it_is_the_norm_of_the_sines_of_the_angles(self, n, rank):
        a, b = wishart(n, seed=1), wishart(n, seed=2)
        pairs = zip(a.numpy(), b.numpy(), strict=True)
        oracle = torch.tensor([self.by_angles(*pair, rank) for pair in pairs], dtype=DOUBLE)
        assert_close(self.distance(a, b, rank=rank), oracle, rtol=1e-10, atol=1e-14)

    def test_without_a_rank_it_compares_ranges(self):
        a, b = wishart(6, seed=1, freedom=2), wishart(6, seed=2, freedom=2)
        assert_close(self.distance(a, b), self.distance(a, b, rank=2))
        assert self.distance(wishart(6, seed=1), wishart(6, seed=2)).max() < 1e-13
        nested = a + wishart(6, seed=3, freedom=1)  # the range of a and one direction more
        assert_close(self.distance(a, nested), torch.full((5,), 0.5**0.5).double())


@pytest.mark.parametrize("distance", [spd.bures_distance, spd.projection_distance])
def test_at_a_singular_matrix_the_gradient_follows_the_rank(distance):
    """S = Y Y' never leaves its stratum: there the distance is smooth, and the gradient exact."""
    y, other = normal(5, 2, seed=1).requires_grad_(), wishart(5, batch=(), seed=2, freedom=2)
    assert gradcheck(lambda y: distance(y @ y.T, other), y, rtol=1e-5, atol=1e-7, fast_mode=True)
