"""A VAE of images whose codes are images, with every number that its report should show.

The best VAE of what it is shown, in closed form, so nothing is trained: whatever the report says
beyond chance is the report's fault.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.integrate import quad
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_shuffle, pixel_unshuffle

from tests.worlds import normal, orthonormal


@dataclass(frozen=True)
class SpatialLinearGaussian:
    """Images of side x side patches, each of independent axes, all stirred by an all-pass filter.

    An image is ``mean`` + F(patches): at each place a patch of patch x patch pixels with variances
    ``eigenvalues`` along fixed axes, everything independent; F is circular and changes phases only,
    so that each pixel knows of all places and lengths are kept. Codes are the first ``channels``
    axes at each place. What does not reach above beta/2 is given up, and its channel collapses.
    """

    eigenvalues: tuple[float, ...] = (0.32, 0.18, 0.18, 0.1, 0.05, 0.04, 0.03, 0.025, 0.02)
    """One for each pixel of a patch."""
    channels: int = 4
    side: int = 8
    beta: float = 0.01
    mean: float = 0.1

    # --- the model, for any floating-point dtype and device --------------------------------------
    @property
    def patch(self) -> int:
        return math.isqrt(len(self.eigenvalues))

    @property
    def pixels(self) -> int:
        return self.side * self.patch

    @cached_property
    def axes(self) -> Tensor:
        """(pixels of a patch, axes)."""
        return orthonormal(len(self.eigenvalues), len(self.eigenvalues), seed=9)

    @cached_property
    def phases(self) -> Tensor:
        response = torch.fft.fft2(normal(self.pixels, self.pixels, seed=5))
        return response / response.abs()

    def stirred(self, x: Tensor, backwards: bool = False) -> Tensor:
        """F, or its inverse: real, circular, of modulus 1 at all frequencies."""
        phases = self.phases.conj() if backwards else self.phases
        spectrum = torch.fft.fft2(x)
        return torch.fft.ifft2(spectrum * phases.to(spectrum)).real

    def image(self, y: Tensor) -> Tensor:
        """The first axes' coordinates (batch, axes, side, side) -> (batch, 1, pixels, pixels)."""
        patches = torch.einsum("pc,nchw->nphw", self.axes[:, : y.shape[1]].to(y), y)
        return self.mean + self.stirred(pixel_shuffle(patches, self.patch))

    def coordinates(self, x: Tensor) -> Tensor:
        """Its inverse, all axes."""
        patches = pixel_unshuffle(self.stirred(x - self.mean, backwards=True), self.patch)
        return torch.einsum("pc,nphw->nchw", self.axes.to(x), patches)

    def images(self, n: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
        """Independent draws, (n, 1, pixels, pixels)."""
        y = normal(n, len(self.eigenvalues), self.side, self.side, seed=seed)
        return self.image(y * self._along(self.all_values).sqrt()).to(dtype)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the true posterior, (batch, channels, side, side)."""
        y = self.coordinates(x)[:, : self.channels]
        mu = self._along(self.metric.sqrt() / self._reached).to(y) * y
        return mu, self._along(self.sigma).to(y).expand_as(mu)

    def decode(self, z: Tensor) -> Tensor:
        return self.image(self._along(self.metric.sqrt()).to(z) * z)

    @staticmethod
    def _along(values: Tensor) -> Tensor:
        return values[:, None, None]

    # --- what is known of it, each (channels,) ---------------------------------------------------
    @property
    def all_values(self) -> Tensor:
        """The eigenvalues, (axes,)."""
        return torch.tensor(self.eigenvalues, dtype=torch.float64)

    @property
    def values(self) -> Tensor:
        """Those that are coded."""
        return self.all_values[: self.channels]

    @property
    def _reached(self) -> Tensor:
        return self.values.clamp_min(self.beta / 2)

    @property
    def metric(self) -> Tensor:
        """The diagonal of the pull-back metric, which has nothing beside it."""
        return self._reached - self.beta / 2

    @property
    def sigma(self) -> Tensor:
        return (self.beta / 2 / self._reached).sqrt()

    @property
    def seen(self) -> Tensor:
        """What is left of each axis in mu's reconstruction, as a share; 1 - sigma²."""
        return self.metric / self._reached

    @property
    def d(self) -> int:
        return self.channels * self.side**2

    @property
    def rates(self) -> Tensor:
        """Nats a latent."""
        return (self._reached / (self.beta / 2)).log() / 2

    @property
    def total(self) -> float:
        """The variance of an image, over the number of places: V / side²."""
        return self.all_values.sum().item()

    @property
    def error(self) -> float:
        """E‖x − g(μ)‖², over the number of places."""
        coded = self.values * (1 - self.seen).square()
        return (coded.sum() + self.all_values[self.channels :].sum()).item()

    @property
    def noise(self) -> float:
        """E‖g(z) − g(μ)‖², over the number of places."""
        return (self.metric * self.sigma.square()).sum().item()

    @cached_property
    def exact(self) -> Mapping[str, float]:
        """The numbers of ``report.MEASURES``, for infinitely many images where that matters."""
        live = self.rates > 0.01
        shown = (self.values * self.seen.square()).sum().item()  # the variance of g(μ)
        common = (self.values * self.seen).sum().item()  # its covariance with x
        fit = 1 - self.error / self.total
        best = common**2 / shown / self.total  # R² at the best multiple of μ
        logs = (1 + 2 * self.metric / self.beta).log()
        swapped = 2 * self.metric[live] / self.total
        norm = math.sqrt(2) * math.exp(math.lgamma((self.d + 1) / 2) - math.lgamma(self.d / 2))
        energy = self.energy
        rate = self.rates.mean().item()
        return {
            "rows": 0.0,
            "repeats": 0.0,
            "finite": 1.0,
            "range_offset": 0.0,
            "range_fit": best,
            "gain": common / shown,
            "gain_fit": best,
            "gain_centred": 0.0,
            "offset": 0.0,
            "scale": 1.0,
            "scale_declared": 1.0,  # for a declared factor of 1
            "channel_ratio": 1.0,
            "channel_offset": 0.0,
            "covariance": 1.0,
            "covariance_used": 1.0,
            "tails": 3.0,
            "rate": rate,
            "rate_image": rate * self.d,
            "rate_position": rate * self.channels,
            "dead": 1 - live.double().mean().item(),
            "dead_places": float(rate < 0.01),
            "sigma_max": self.sigma.max().item(),
            "sigma_median": self.sigma.median().item(),
            "posterior_anisotropy": (2 * self.sigma.log()).var(correction=0).item(),
            "gap": 0.0,
            "radius": norm / math.sqrt(self.d),
            "radius_spread": math.sqrt(self.d - norm**2) / norm,
            "fit": fit,
            "psnr": 10 * math.log10(4 * len(self.eigenvalues) / self.error),  # a range of -1..1
            "contract": self.noise / self.total,
            "contract_twice": 4 * self.noise / self.total,
            "heard": self.noise / self.total,
            "spread": shown / self.total,
            "deaf": swapped.min().item(),
            "wiring": 1.0,
            "answer": self.seen[live].min().item(),
            "reply": self.seen[live].mean().item(),
            "misread": 0.0,
            "orientation": 0.0,
            "transposed": 0.0,
            "flipped": 0.0,
            "samples_prior": energy,
            "samples_token": energy,
            "samples_full": energy,
            "samples_aggregate": energy,
            "holes_far": 0.5,
            "shift": 0.0,
            "flip": self.flip,
            "high_frequencies": self.high_frequencies[0],
            "high_frequencies_images": self.high_frequencies[1],
            "ruler_slope": 1.0,
            "ruler_correlation": 1.0,
            "price": self.beta,
            "price_ratio": 1.0,  # for the right β, declared
            "isometry_angles": logs.var(correction=0).item(),
            "isometry_volume": 0.0,
            "isometry_used": (self.metric.mean().square() / self.metric.square().mean()).item(),
            "bend": 0.0,
        }

    # --- what takes a matrix or an integral ------------------------------------------------------
    @cached_property
    def energy(self) -> float:
        """Of decoded codes and images, over the images' own mean distance.

        All are Gaussian with one mean, so distances are the roots of weighted chi-squares.
        """
        images, coded = self.all_values, torch.zeros_like(self.all_values)
        coded[: self.channels] = self.metric

        def distance(variances: Tensor) -> float:
            return mean_root(variances.repeat(self.side**2))

        own = distance(2 * images)
        return (2 * distance(images + coded) - own - distance(2 * coded)) / own

    @cached_property
    def flip(self) -> float:
        """E‖μ(Tx) − Tμ(x)‖² over E‖μ(Tx) − Tμ(x')‖², T a left-right flip; the same anywhere."""
        along = self._along(self.all_values.sqrt())
        basis = torch.eye(len(self.eigenvalues) * self.side**2, dtype=torch.float64)
        x = self.image(along * basis.unflatten(1, (-1, self.side, self.side)))
        of_flipped, flipped = self.encode(x.flip(3))[0], self.encode(x)[0].flip(3)
        parted = of_flipped.square().sum() + flipped.square().sum()
        return ((of_flipped - flipped).square().sum() / parted).item()

    @cached_property
    def high_frequencies(self) -> tuple[float, float]:
        """The shares of z, and of images averaged down to its size, above a quarter of a cycle."""
        f = torch.fft.fftfreq(self.side, dtype=torch.float64)
        high = f.square() + f[:, None].square() > 0.25**2 + 1e-9
        along = self._along(self.all_values.sqrt())
        one = torch.eye(len(self.eigenvalues), dtype=torch.float64)[:, :, None, None]
        point = torch.zeros(self.side, self.side, dtype=torch.float64)
        point[0, 0] = 1  # all places are alike, and independent
        x = avg_pool2d(self.image(along * one * point) - self.mean, self.patch)
        power = torch.fft.fft2(x).abs().square().sum((0, 1))
        return high.double().mean().item(), (power[high].sum() / power.sum()).item()


def mean_root(variances: Tensor) -> float:
    r"""The mean length of a Gaussian with these variances along its axes.

    .. math:: E\sqrt Q = \frac1{2\sqrt\pi} \int_0^\infty \frac{1 - E e^{-tQ}}{t^{3/2}}\, dt,
              \qquad E e^{-tQ} = \prod_i (1 + 2 t v_i)^{-1/2}
    """
    scale = variances.sum().item()

    def integrand(u: float) -> float:  # t = e^u / scale
        log = -0.5 * (2 * math.exp(u) / scale * variances).log1p().sum().item()
        return -math.expm1(log) * math.exp(-u / 2)

    low, high = -40.0, 60.0
    found, _ = quad(integrand, low, high, epsabs=0, epsrel=1e-11, limit=400)
    found += 2 * math.exp(-high / 2) + 2 * math.exp(low / 2)  # the ends: 1, and tE Q
    return found * math.sqrt(scale) / (2 * math.sqrt(math.pi))
