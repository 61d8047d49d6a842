"""What every distance between covariance matrices promises, with its shortest paths and kernels.

A new distance writes what it is in closed form and inherits the rest: oracles, the axioms of a
metric, gradients where eigenvalues meet, float32, the geodesic of its name, whether its Gaussian is
a kernel, and what it refuses. ``recorded/spd_distances.json`` holds matrices and the values that
pyriemann, POT and geoopt gave for them, with their versions;
``python tests/spd/recorded/spd_distances.py`` writes it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from vae_course import spd

DOUBLE = torch.float64
# Repeated, nearly repeated at every scale of nearness, and spread eigenvalues.
SPECTRA = {
    "equal": (1.0, 1.0, 1.0, 1.0),
    "in pairs": (2.0, 2.0, 3.0, 3.0),
    "nearly equal": (1.0, 1.0 + 1e-12, 1.0 + 1e-6, 4.0),
    "close": (1.0, 1.05, 1.09, 1.11),
    "spread": (0.1, 1.0, 1.0, 20.0),
}
T = torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0], dtype=DOUBLE)
NOT_SYMMETRIC = torch.tensor([[1.0, 0.5], [0.2, 1.0]])
INDEFINITE = torch.tensor([[1.0, 2.0], [2.0, 1.0]])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def orthogonal(n: int, seed: int = 0) -> Tensor:
    return torch.linalg.qr(normal(n, n, seed=seed))[0]


def wishart(n: int, batch=(5,), seed=0, freedom: int | None = None) -> Tensor:
    """Random covariances; definite if the degrees of freedom reach n."""
    freedom = n + 3 if freedom is None else freedom
    x = normal(*batch, n, freedom, seed=seed)
    return x @ x.mT / freedom


def with_spectrum(values, seed=0) -> Tensor:
    q = orthogonal(len(values), seed)
    return (q * torch.tensor(values, dtype=DOUBLE)) @ q.T


def spread(seed: int, count: int = 80, n: int = 3) -> Tensor:
    """Definite matrices with axes of very different lengths, in random directions."""
    q = torch.linalg.qr(normal(count, n, n, seed=seed))[0]
    s = (q * (1.5 * normal(count, 1, n, seed=seed + 1000)).exp()) @ q.mT
    return (s + s.mT) / 2


def symmetrised(f):
    """f of any square matrix: finite differences leave the symmetric ones."""
    return lambda s, *rest: f((s + s.mT) / 2, *rest)


def of_condition(n: int, scale: float) -> tuple[Tensor, Tensor]:
    """Ten pairs in float32, one with eigenvalues from 1 to 100 scales, one down to 0.01."""
    low = torch.linspace(0, 1, n, dtype=DOUBLE)
    q, p = (torch.linalg.qr(normal(10, n, n, seed=s))[0] for s in (1, 2))
    pair = scale * (q * 100.0**low) @ q.mT, scale * (p * 100.0**-low) @ p.mT
    a, b = (((s + s.mT) / 2).float() for s in pair)
    return a, b


class SpdMetricContract:
    """Also of a distance between subspaces, which covariance matrices only stand for."""

    distance: Any  # a staticmethod
    embeds: bool  # isometrically in a Hilbert space, so that its Gaussian is a kernel
    freedom: int | None = None  # of matrices that it tells apart
    zero = 0.0  # where it vanishes, the rounding

    def by_scipy(self, a: np.ndarray, b: np.ndarray) -> float:
        raise NotImplementedError

    def kernel_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """As its Gaussian takes it, between definite matrices."""
        return self.distance(a, b)

    @pytest.mark.parametrize("n", [1, 2, 3, 7, 48])
    def test_it_is_scipys(self, n):
        a, b = (wishart(n, seed=s, freedom=self.freedom) for s in (1, 2))
        oracle = [self.by_scipy(*(s.numpy() for s in pair)) for pair in zip(a, b, strict=True)]
        ours = self.distance(a, b)
        assert_close(ours, torch.tensor(oracle, dtype=DOUBLE), rtol=1e-10, atol=self.zero)

    def test_it_is_a_metric_that_broadcasts(self):
        a, b, c = (wishart(4, seed=s, freedom=self.freedom) for s in (1, 2, 3))
        ab = self.distance(a, b)
        assert_close(ab, self.distance(b, a), rtol=1e-10, atol=1e-12)
        assert (ab > 0.1).all() and (ab <= self.distance(a, c) + self.distance(c, b)).all()
        assert (self.distance(a, a) < 1e-13).all()
        assert_close(self.distance(a[:, None], b)[2, 3], self.distance(a[2], b[3]))

    def test_turning_both_changes_nothing(self):
        q = orthogonal(4, seed=3)
        a, b = (wishart(4, seed=s, freedom=self.freedom) for s in (1, 2))
        turned = self.distance(*((s + s.mT) / 2 for s in (q @ a @ q.T, q @ b @ q.T)))
        assert_close(turned, self.distance(a, b), rtol=1e-9, atol=0.0)

    @pytest.mark.parametrize("seed", [0, 1, 2])
    @pytest.mark.parametrize("share", [0.01, 0.1, 1.0])
    def test_its_gaussian_is_a_kernel_if_it_embeds(self, seed, share):
        """And of a curved distance it is none, already at a tenth of the median's scale."""
        d = spd.pairwise_distances(self.kernel_distance, spread(seed))
        median = d[d > 0].median().item()
        found = spd.gram_report(spd.gaussian_kernel(d, share / median**2))
        if self.embeds:
            assert found.smallest >= -1e-10 and found.positive_definite and found.negative == 0
        elif share == 0.1:
            assert found.smallest < -0.01 and not found.positive_definite
            assert found.negative > 0 and found.tolerance < 1e-10

    def test_it_embeds_exactly_if_its_centred_gram_matrix_is_semidefinite(self):
        """Schoenberg: the same verdict as that of the Gaussians, without a width to choose."""
        gram = spd.distance_gram(spd.pairwise_distances(self.kernel_distance, spread(0)))
        assert spd.gram_report(gram).positive_definite == self.embeds

    @pytest.mark.parametrize(
        "bad, message",
        [
            (NOT_SYMMETRIC, r"\[1\] is not symmetric.*0\.3"),
            (INDEFINITE, r"\[1\] is indefinite.*from -1 to 3"),
            (torch.full((2, 2), torch.nan), r"\[1\] has NaN"),
            (torch.full((2, 2), torch.inf), r"\[1\] has NaN or infinite"),
        ],
        ids=["not symmetric", "indefinite", "nan", "inf"],
    )
    def test_what_is_no_covariance_is_refused_by_name(self, bad, message):
        good = torch.eye(2)
        batch = torch.stack([good, bad])
        with pytest.raises(ValueError, match="^a" + message):
            self.distance(batch, good.expand(2, 2, 2))
        with pytest.raises(ValueError, match="^b" + message):
            self.distance(good.expand(2, 2, 2), batch)

    def test_what_makes_no_pair_is_refused_by_name(self, unchecked):
        one, two = torch.eye(2), torch.eye(3)
        with pytest.raises(ValueError, match=r"\(2, 2\).*\(3, 3\)"):
            self.distance(one, two)
        with pytest.raises(ValueError, match=r"\(4, 2, 2\).*broadcast"):
            self.distance(one.expand(4, 2, 2), one.expand(3, 2, 2))
        with pytest.raises(ValueError, match=r"b is torch.float32 and a torch.float64"):
            self.distance(one.double(), one)


class ConeMetricContract(SpdMetricContract):
    """A distance between the matrices themselves: in the cone, or to its boundary."""

    name: str  # of its geodesics
    definite = True  # it needs definite matrices
    twice = True  # differentiable
    small = 1.0  # the distance of 1 and 1 + epsilon, over epsilon

    @staticmethod
    def flat(x: Tensor) -> Tensor:
        """What eigenvalues of commuting matrices become, so that the distance is Euclidean."""
        return x.log()

    @staticmethod
    def round(x: Tensor) -> Tensor:
        """The inverse of that."""
        return x.exp()

    def float32_bound(self, n: int, scale: float) -> float:
        """The stated error between matrices of condition number 100."""
        raise NotImplementedError

    def test_it_is_that_of_the_fields_libraries(self):
        recorded = json.loads((Path(__file__).parent / "recorded/spd_distances.json").read_text())
        assert {"pyriemann", "POT", "geoopt"} <= recorded["versions"].keys()
        for case in recorded["cases"]:
            a, b = (torch.tensor(case[k], dtype=DOUBLE) for k in "ab")
            by_library = case["distances"][self.distance.__name__]
            assert len(by_library) == 2
            for library, value in by_library.items():
                assert self.distance(a, b).item() == pytest.approx(value, rel=1e-10, abs=0), library

    def test_between_commuting_matrices_it_is_euclidean(self):
        q = orthogonal(4)
        x, y = (torch.tensor(v).double() for v in ([0.5, 1.0, 2.0, 8.0], [1.0, 1.0, 3.0, 0.1]))
        ours = self.distance((q * x) @ q.T, (q * y) @ q.T)
        assert_close(ours, (self.flat(x) - self.flat(y)).norm(), rtol=1e-12, atol=0.0)

    def test_a_small_distance_keeps_its_digits(self):
        """Diagonal matrices 1e-9 apart; the trace formula of Bures would return 0 or 1e-8."""
        a, b = (torch.diag(torch.tensor([x, 2.0, 3.0], dtype=DOUBLE)) for x in (1.0, 1.0 + 1e-9))
        assert_close(self.distance(a, b).item(), self.small * 1e-9, rtol=1e-5, atol=0.0)

    @pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA)
    def test_it_has_gradients_where_eigenvalues_meet(self, values):
        s, other = with_spectrum(values).requires_grad_(), wishart(4, batch=(), seed=4)
        eps = values[0]
        for f in (symmetrised(self.distance), symmetrised(lambda s, b: self.distance(b, s))):
            assert gradcheck(f, (s, other), eps=1e-6 * eps, rtol=1e-5, atol=1e-6, fast_mode=True)
            if self.twice:
                wide = dict(eps=1e-7 * eps, rtol=1e-4, atol=1e-3, fast_mode=True)
                assert gradgradcheck(f, (s, other), **wide)

    def test_at_its_corner_the_gradient_is_zero(self):
        a = torch.eye(3, dtype=DOUBLE).requires_grad_()
        self.distance(a, a.detach()).backward()
        assert a.grad is not None and not a.grad.any()

    @pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
    @pytest.mark.parametrize("n", [3, 7, 64])
    def test_float32_holds_its_stated_error(self, scale, n):
        a, b = of_condition(n, scale)
        error = self.distance(a, b).double() - self.distance(a.double(), b.double())
        assert error.abs().max() < self.float32_bound(n, scale)

    def test_float32_gradients_are_those_of_float64(self):
        a, b = wishart(7, seed=1), wishart(7, seed=2)
        gradients = []
        for dtype in (torch.float32, DOUBLE):
            leaf = a.to(dtype, copy=True).requires_grad_()
            self.distance(leaf, b.to(dtype)).sum().backward()
            assert leaf.grad is not None
            gradients.append(leaf.grad.double())
        scale = gradients[1].abs().amax((-2, -1), keepdim=True)
        assert ((gradients[0] - gradients[1]) / scale).abs().max() < 1e-3

    # ---- shortest paths

    def test_its_shortest_path_walks_the_distance_at_constant_speed(self):
        a, b = (wishart(3, batch=(), seed=s, freedom=6) for s in (1, 2))
        path = spd.geodesic(a, b, T, self.name)
        assert_close(path[0], a), assert_close(path[-1], b)
        length = self.distance(a, b)
        assert_close(self.distance(a, path), T * length, rtol=1e-8, atol=1e-8)
        assert_close(self.distance(path, b), (1 - T) * length, rtol=1e-8, atol=1e-8)
        assert_close(spd.geodesic(b, a, 1 - T, self.name), path, rtol=1e-8, atol=1e-10)

    def test_its_shortest_path_between_commuting_matrices_is_straight(self):
        x, y = (torch.tensor(v).double() for v in ([1.0, 4.0], [9.0, 0.25]))
        t = T[:, None]
        oracle = torch.diag_embed(self.round((1 - t) * self.flat(x) + t * self.flat(y)))
        assert_close(spd.geodesic(x.diag(), y.diag(), T, self.name), oracle)

    # ---- the boundary

    def test_a_singular_matrix_is_within_reach_or_needs_a_regularisation_said_aloud(self):
        good, singular = wishart(4), wishart(4, freedom=2, seed=1)
        path = lambda: spd.geodesic(good[0], singular[0], T, self.name)  # noqa: E731
        if not self.definite:
            length = self.distance(good[0], singular[0])
            assert_close(path()[-1], singular[0], rtol=1e-8, atol=1e-10)
            assert_close(self.distance(good[0], path()), T * length, rtol=1e-7, atol=1e-8)
            return
        words = r"b\[0\] is singular.*regularise=1e-2.*bures_distance"
        with pytest.raises(ValueError, match=words):
            self.distance(good, singular)
        with pytest.raises(ValueError, match=r"a\[3\] is singular"):
            self.distance(torch.cat([good[:3], singular[:1]]), good[:4])
        ours = self.distance(good, singular, regularise=0.01)
        moved = (spd.regularised(s, 0.01) for s in (good, singular))
        assert_close(ours, self.distance(*moved))
        with pytest.raises(ValueError, match="is singular"):
            self.distance(good, 0 * singular, regularise=0.01)  # a share of nothing
        with pytest.raises(ValueError, match="singular"):
            path()
