"""Worlds whose answers are known exactly: what a measure should find, before it is asked.

Those with codes have ``decode``, ``metric_exact`` (of the pull-back, at codes), ``density_exact``
(of data, log, by volume on the manifold) and, where there is a best VAE, its ``encode``, rate and
distortion. All in float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mpmath
import numpy as np
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence


def normal(*shape: int, seed: int = 0) -> Tensor:
    """NumPy's draws: decoders are also called where PyTorch forbids its own, inside vmap."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


def orthonormal(rows: int, columns: int, seed: int = 0) -> Tensor:
    square = np.random.RandomState(seed).standard_normal((rows, rows))
    return torch.from_numpy(np.linalg.qr(square)[0][:, :columns])


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """Images with known eigenvalues, the best linear VAE of them and every number it should have.

    One latent for each eigenvalue; an axis that does not reach above beta/2 is given up, and its
    latent collapses. With the decoder's noise it is probabilistic PCA (Tipping and Bishop 1999).
    """

    eigenvalues: Tensor
    beta: float
    pixels: int = 6

    @cached_property
    def basis(self) -> Tensor:
        return orthonormal(self.pixels, len(self.eigenvalues), seed=9)

    @cached_property
    def mean(self) -> Tensor:
        return normal(self.pixels, seed=4)

    @property
    def covariance(self) -> Tensor:
        return self.basis * self.eigenvalues @ self.basis.T

    @property
    def weight(self) -> Tensor:
        """The decoder's, (pixels, d): what stands above the water."""
        return self.basis * (self.eigenvalues - self.beta / 2).clamp_min(0).sqrt()

    def images(self, n: int = 40, seed: int = 1) -> Tensor:
        """Whitened draws: their mean and covariance are the population's, to rounding."""
        draws = normal(n, len(self.eigenvalues), seed=seed)
        white = torch.linalg.qr(draws - draws.mean(0))[0] * math.sqrt(n)
        return self.mean + white * self.eigenvalues.sqrt() @ self.basis.T

    def decode(self, z: Tensor) -> Tensor:
        return z @ self.weight.to(z).T + self.mean.to(z)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the true posterior."""
        mu = (x - self.mean) @ self.weight / self.eigenvalues.clamp_min(self.beta / 2)
        return mu, self.sigma_exact.expand_as(mu)

    @property
    def sigma_exact(self) -> Tensor:
        return (self.beta / 2 / self.eigenvalues).clamp_max(1).sqrt()

    @property
    def rate_exact(self) -> float:
        return 0.5 * (2 * self.eigenvalues / self.beta).clamp_min(1).log().sum().item()

    @property
    def distortion_exact(self) -> float:
        return self.eigenvalues.clamp_max(self.beta / 2).sum().item()

    def loss_exact(self, x: Tensor) -> Tensor:
        """E_q D + beta KL of each image."""
        mu, sigma = self.encode(x)
        noise = (self.weight * self.sigma_exact).square().sum()
        rate = kl_divergence(Normal(mu, sigma), Normal(0 * mu, 1 + 0 * mu)).sum(1)
        return (x - self.decode(mu)).square().sum(1) + noise + self.beta * rate

    def metric_exact(self, z: Tensor) -> Tensor:
        return (self.eigenvalues - self.beta / 2).clamp_min(0).diag().expand(len(z), -1, -1)

    def density_exact(self, x: Tensor) -> Tensor:
        """By volume along the axes that are coded."""
        along = Normal(0, self.eigenvalues.sqrt()).log_prob((x - self.mean) @ self.basis)
        return along[:, self.eigenvalues > self.beta / 2].sum(1)

    def likelihood_exact(self, x: Tensor) -> Tensor:
        """Log density in all pixels, under the decoder with its noise of variance beta/2."""
        noise = self.beta / 2 * torch.eye(self.pixels, dtype=x.dtype)
        return MultivariateNormal(self.mean, self.weight @ self.weight.T + noise).log_prob(x)


@dataclass(frozen=True)
class Mixture:
    """Some of SciPy's laws together: those have no mixture of their own."""

    parts: tuple[Any, ...]
    weights: tuple[float, ...]

    def pdf(self, y: np.ndarray) -> np.ndarray:
        return sum(w * law.pdf(y) for w, law in zip(self.weights, self.parts, strict=True))

    def logpdf(self, y: np.ndarray) -> np.ndarray:
        return np.log(self.pdf(y))

    def cdf(self, y: np.ndarray) -> np.ndarray:
        return sum(w * law.cdf(y) for w, law in zip(self.weights, self.parts, strict=True))

    def ppf(self, q: np.ndarray) -> np.ndarray:
        ends = [law.ppf(p) for law in self.parts for p in (1e-9, 1 - 1e-9)]
        y = np.linspace(min(ends), max(ends), 400_001)
        return np.interp(q, self.cdf(y), y)

    def var(self) -> float:
        parts = list(zip(self.weights, self.parts, strict=True))
        mean = sum(w * law.mean() for w, law in parts)
        return sum(w * (law.var() + (law.mean() - mean) ** 2) for w, law in parts)


def two_humps(spread: float, variance: float = 2 / 3) -> Mixture:
    """Two normals of that standard deviation, apart by as much as the variance asks for."""
    hump = math.sqrt(variance - spread**2)
    return Mixture(tuple(scipy.stats.norm(m, spread) for m in (-hump, hump)), (0.5, 0.5))


def _of_variance(*variances: float) -> tuple[Any, ...]:
    return tuple(scipy.stats.norm(scale=math.sqrt(v)) for v in variances)


_TAIL = math.sqrt((8 / 3 - 0.7 * 2 * 0.8**2) / 0.3 - (28 / 15) ** 2)  # 8/3 in all
_SKEWED = Mixture((scipy.stats.norm(-0.8, 0.8), scipy.stats.norm(28 / 15, _TAIL)), (0.7, 0.3))
_EDGE = math.sqrt(8)
TOYS = {  # the shapes that `data.toy_isometric.log_density` states, variances 1/6, 2/3, 8/3
    "A": (scipy.stats.triang(0.5, -1, 2), two_humps(0.5), scipy.stats.uniform(-_EDGE, 2 * _EDGE)),
    "B": (*_of_variance(1 / 6), two_humps(0.5), _SKEWED),
    "G": _of_variance(1 / 6, 2 / 3, 8 / 3),
}


@dataclass(frozen=True, eq=False)
class IsometricToy:
    """Independent factors s of known shapes, embedded in pixels without stretching: x = A s.

    Squared error may cost more away from the origin: ``slope`` as in ``toy_isometric.weight``.
    """

    shapes: tuple[Any, ...]
    slope: float = 0.0
    pixels: int = 16

    def factors(self, n: int) -> Tensor:
        """Each factor on a grid of n quantiles, (n, d): one-dimensional means are exact to 1/n."""
        quantiles = (np.arange(n) + 0.5) / n
        return torch.from_numpy(np.stack([shape.ppf(quantiles) for shape in self.shapes], 1))

    def decode(self, s: Tensor) -> Tensor:
        return s @ orthonormal(self.pixels, len(self.shapes)).to(s).T

    def code(self, s: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """Each factor as a standard normal latent; sigma is its exact ruler, sqrt(beta/2) dz/ds."""
        columns = [self._latent(s[:, j].numpy(), shape) for j, shape in enumerate(self.shapes)]
        z, slope = (torch.from_numpy(np.stack(c, 1)) for c in zip(*columns, strict=True))
        return z, math.sqrt(beta / 2) * slope

    @staticmethod
    def _latent(s: np.ndarray, shape: Any) -> tuple[np.ndarray, np.ndarray]:
        z = scipy.stats.norm.ppf(shape.cdf(s))
        return z, shape.pdf(s) / scipy.stats.norm.pdf(z)

    def metric_exact(self, s: Tensor) -> Tensor:
        price = 1 + self.slope * (s.square().sum(1) - sum(shape.var() for shape in self.shapes))
        return price[:, None, None] * torch.eye(len(self.shapes), dtype=s.dtype)

    def density_exact(self, s: Tensor) -> Tensor:
        columns = [shape.logpdf(s[:, j].numpy()) for j, shape in enumerate(self.shapes)]
        return torch.from_numpy(np.sum(columns, 0))


@dataclass(frozen=True)
class ConstantDecoder:
    """One image whatever the code: nothing to tell, no length, and the prior as every posterior."""

    d: int = 2
    beta: float = 0.5
    pixels: int = 6
    rate_exact: float = 0.0

    @property
    def image(self) -> Tensor:
        return normal(self.pixels, seed=4)

    def decode(self, z: Tensor) -> Tensor:
        return self.image.to(z) + 0 * z.sum(1, keepdim=True)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu = torch.zeros(len(x), self.d, dtype=x.dtype)
        return mu, 1 + mu

    def metric_exact(self, z: Tensor) -> Tensor:
        return z.new_zeros(len(z), self.d, self.d)

    def likelihood_exact(self, x: Tensor) -> Tensor:
        """Log density in all pixels, under a noise of variance beta/2."""
        return Normal(self.image, math.sqrt(self.beta / 2)).log_prob(x).sum(1)


@dataclass(frozen=True)
class UniformCodes:
    """Codes that cover the sphere of R^d evenly: no rate, and no hole but by chance."""

    d: int
    rate_exact: float = 0.0

    def codes(self, n: int, seed: int = 0) -> Tensor:
        x = normal(n, self.d, seed=seed)
        return x / x.norm(dim=1, keepdim=True)

    def density_exact(self, y: Tensor) -> Tensor:
        """Log, by area."""
        half = self.d / 2
        log_area = math.log(2) + half * math.log(math.pi) - math.lgamma(half)
        return y.new_full(y.shape[:-1], -log_area)


@dataclass(frozen=True)
class VonMisesFisherCodes:
    """Codes around the first axis, of concentration kappa > 0; Bessel functions in 40 digits."""

    d: int
    kappa: float

    def codes(self, n: int, seed: int = 0) -> Tensor:
        rng = np.random.default_rng(seed)
        return torch.from_numpy(self._law.rvs(n, random_state=rng))

    def density_exact(self, y: Tensor) -> Tensor:
        """Log, by area."""
        return torch.from_numpy(np.atleast_1d(self._law.logpdf(y.numpy())))

    @property
    def entropy_exact(self) -> float:
        return float(self._law.entropy())

    @property
    def rate_exact(self) -> float:
        """KL from the uniform law, nats."""
        return float(self._bessel[0])

    @property
    def mean_cosine_exact(self) -> float:
        return float(self._bessel[1])

    @property
    def cosine_variance_exact(self) -> float:
        return float(self._bessel[2])

    @cached_property
    def _law(self) -> Any:
        return scipy.stats.vonmises_fisher(np.eye(self.d)[0], self.kappa)

    @cached_property
    def _bessel(self) -> tuple[Any, Any, Any]:
        with mpmath.workdps(40):
            k, nu = mpmath.mpf(self.kappa), mpmath.mpf(self.d) / 2 - 1
            bessel = mpmath.besseli(nu, k)
            ratio = mpmath.besseli(nu + 1, k) / bessel
            log_m = mpmath.log(bessel) + mpmath.loggamma(nu + 1) - nu * mpmath.log(k / 2)
            return k * ratio - log_m, ratio, 1 - ratio**2 - (self.d - 1) * ratio / k


# ---- whole spectra: ``decode`` and ``spectrum_exact``, all eigenvalues of the pull-back at codes


def log_uniform(d: int, condition: float) -> Tensor:
    """From 1 down to 1 / condition, evenly in the logarithm."""
    return torch.logspace(0, -math.log10(condition), d, dtype=torch.float64)


def turned(x: Tensor, seed: int) -> Tensor:
    """An orthogonal map of R^d that mixes everything and is no matrix: signs and Hartley, twice."""
    signs = np.random.RandomState(seed).choice([-1.0, 1.0], (2, x.shape[-1]))
    for sign in torch.from_numpy(signs).to(x):
        spectrum = torch.fft.fft(x * sign, norm="ortho")
        x = spectrum.real - spectrum.imag
    return x


@dataclass(frozen=True, eq=False)
class TurnedLinear:
    """Linear, with these eigenvalues of the pull-back, between two turns of all axes; any d."""

    eigenvalues: Tensor

    def decode(self, z: Tensor) -> Tensor:
        stretched = turned(z.flatten(1), seed=1) * self.eigenvalues.sqrt().to(z)
        return turned(stretched, seed=2)

    def spectrum_exact(self, z: Tensor) -> Tensor:
        return self.eigenvalues.expand(len(z), -1)


@dataclass(frozen=True, eq=False)
class Circles:
    """Each latent runs around a circle of its own: flat inside, curved outside, blocks apart."""

    radii: Tensor

    def decode(self, z: Tensor) -> Tensor:
        angle = z.flatten(1)
        return self.radii.to(z)[:, None] * torch.stack([angle.cos(), angle.sin()], 2)

    def spectrum_exact(self, z: Tensor) -> Tensor:
        return self.radii.square().expand(len(z), -1)

    def curvature_exact(self, v: Tensor) -> Tensor:
        """Of the curve through a code along v: no acceleration is tangential."""
        stretched = self.radii * v.flatten(1)
        bent = self.radii * v.flatten(1).square()
        return bent.norm(dim=1) / stretched.square().sum(1)

    def bend_exact(self, sigma: float) -> float:
        """For many circles, whose mean over the draws is that of one: (1 - cos s) over sin s."""
        first, second = math.exp(-(sigma**2) / 2), math.exp(-2 * sigma**2)  # E cos s, E cos 2s
        even, odd = 1 - 2 * first + (1 + second) / 2, (1 - second) / 2
        return math.sqrt(even / odd)


@dataclass(frozen=True)
class Tori:
    """Pairs of latents run around tori of revolution, blocks apart: metric and bend by the code."""

    major: float = 2.0
    minor: float = 1.0

    def _angles(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Around the axis, around the tube, and the distance from the axis."""
        around, tube = z.flatten(1).unflatten(1, (-1, 2)).unbind(2)
        return around, tube, self.major + self.minor * tube.cos()

    def decode(self, z: Tensor) -> Tensor:
        around, tube, far = self._angles(z)
        height = self.minor * tube.sin()
        return torch.stack([far * around.cos(), far * around.sin(), height], 2)

    def diagonal_exact(self, z: Tensor) -> Tensor:
        """Of the pull-back, which has nothing beside it."""
        _, tube, far = self._angles(z)
        return torch.stack([far.square(), torch.full_like(far, self.minor**2)], 2).flatten(1)

    def spectrum_exact(self, z: Tensor) -> Tensor:
        return self.diagonal_exact(z).sort(1, descending=True).values

    def curvature_exact(self, z: Tensor, v: Tensor, normal: bool) -> Tensor:
        _, tube, far = self._angles(z)
        a, b = v.flatten(1).unflatten(1, (-1, 2)).unbind(2)
        inward = far * a.square() + self.minor * tube.cos() * b.square()
        upward = -self.minor * tube.sin() * b.square()
        sideways = -2 * self.minor * tube.sin() * a * b
        bent = torch.stack([inward, upward, sideways], 2)
        if normal:  # along the torus's own normal
            bent = self.minor * b.square() + far * tube.cos() * a.square()
        squared = (self.diagonal_exact(z) * v.flatten(1).square()).sum(1)
        return bent.flatten(1).norm(dim=1) / squared


@dataclass(frozen=True)
class Blur:
    """Images (batch, 1, size, size), each pixel through z + wave sin z, then a circular blur.

    The blur's squared response falls as a Gaussian of the frequency, to 1 / condition. Without the
    wave the spectrum is that response, at any size; with it, it is computed densely.
    """

    size: int
    condition: float
    wave: float = 0.0

    @cached_property
    def response(self) -> Tensor:
        frequency = torch.fft.fftfreq(self.size, dtype=torch.float64)
        squared = frequency.square() + frequency.square()[:, None]
        return self.condition ** (-squared / squared.max() / 2)

    def blur(self, x: Tensor) -> Tensor:
        return torch.fft.ifft2(torch.fft.fft2(x) * self.response.to(x)).real

    def decode(self, z: Tensor) -> Tensor:
        return self.blur(z + self.wave * z.sin())

    def spectrum_exact(self, z: Tensor) -> Tensor:
        if not self.wave:
            values = self.response.square().flatten().sort(descending=True).values
            return values.expand(len(z), -1)
        d = self.size**2
        blur = self.blur(torch.eye(d, dtype=torch.float64).unflatten(1, (self.size, -1))).flatten(1)
        slope = 1 + self.wave * z.flatten(1).cos()
        return torch.linalg.svdvals(blur * slope[:, None]).square()


@dataclass(frozen=True)
class Tanh:
    """A network of one hidden layer, of random weights: smooth, and its Jacobian in closed form."""

    d: int
    hidden: int
    outputs: int
    gain: float = 1.0

    @cached_property
    def weights(self) -> tuple[Tensor, Tensor]:
        inner = self.gain * normal(self.hidden, self.d, seed=11) / math.sqrt(self.d)
        return inner, normal(self.outputs, self.hidden, seed=12) / math.sqrt(self.hidden)

    def decode(self, z: Tensor) -> Tensor:
        inner, outer = (weight.to(z) for weight in self.weights)
        return (z.flatten(1) @ inner.T).tanh() @ outer.T

    def jacobian_exact(self, z: Tensor) -> Tensor:
        """(batch, outputs, d)."""
        inner, outer = self.weights
        slope = 1 - (z.flatten(1) @ inner.T).tanh().square()
        return outer @ (slope[:, :, None] * inner)

    def spectrum_exact(self, z: Tensor) -> Tensor:
        return torch.linalg.svdvals(self.jacobian_exact(z)).square()


@dataclass(frozen=True, eq=False)
class Eigenvalues:
    """What all eigenvalues (batch, d) of some codes say, without any estimate."""

    values: Tensor

    def logs(self, floor: float) -> Tensor:
        return (self.values + floor * self.values.amax(1, keepdim=True)).log()

    def mean(self, f: Callable[[Tensor], Tensor]) -> float:
        return f(self.values).mean().item()

    def log_det(self, floor: float = 0.0) -> float:
        return self.logs(floor).mean().item()

    def log_variance(self, floor: float = 0.0) -> float:
        return self.logs(floor).var(1, unbiased=False).mean().item()

    def volume_spread(self, floor: float = 0.0) -> float:
        return self.logs(floor).mean(1).std().item()

    def rate(self, price: float) -> float:
        return (1 + 2 * self.values / price).log().mean().item() / 2

    def used(self) -> float:
        mean, square = self.values.mean(1), self.values.square().mean(1)
        return (mean.square().mean() / square.mean()).item()

    def trace(self) -> float:
        return self.values.sum(1).mean().item()
