"""The public von Mises-Fisher posterior, s-vae-pytorch's, in our own words, faults included.

What it does: Ulrich's rejection sampler, a number of candidates at a time until all rows have one,
kept by Boolean masks, so that gradients go through every round; its envelope constant b is blended
into its limit for large kappa between kappa = 10 and 11, while the constants that belong to b are
not; on the globe, d = 3, the inverse distribution function; a Householder reflection; a KL, found
by torch's table of pairs as ours is, from scipy's scaled Bessel functions of float32, three times
forward and six times backward, whose order each call compares with 0 and 1 by ``isclose``. Power
Spherical comes from PyPI's power-spherical itself.
"""

import math
from typing import Any

import numpy as np
import torch
from scipy.special import i0e, i1e, ive
from torch import Tensor
from torch.distributions import Beta, Distribution, Normal, Uniform, constraints, register_kl


class _ScaledBessel(torch.autograd.Function):
    """exp(-kappa) I_v(kappa), on the CPU."""

    @staticmethod
    def forward(ctx: Any, v: float, kappa: Tensor) -> Tensor:
        ctx.v = v
        ctx.save_for_backward(kappa)
        x = kappa.detach().cpu().numpy()
        if np.isclose(v, 0):
            found = i0e(x)
        elif np.isclose(v, 1):
            found = i1e(x)
        else:
            found = ive(v, x)
        return torch.tensor(found, dtype=kappa.dtype, device=kappa.device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        (kappa,) = ctx.saved_tensors
        lower, own = bessel(ctx.v - 1, kappa), bessel(ctx.v, kappa)
        return None, gradient * (lower - own * (ctx.v + kappa) / kappa)


bessel = _ScaledBessel.apply


class PublicUniform(Distribution):
    """The uniform law on the sphere of R^dim; only its entropy is needed here."""

    arg_constraints: dict[str, Any] = {}
    support = constraints.real

    def __init__(self, dim: int) -> None:
        self.dim = dim
        super().__init__(torch.Size([dim]))

    def entropy(self) -> Tensor:
        half = torch.tensor([self.dim / 2])
        return math.log(2) + self.dim / 2 * math.log(math.pi) - torch.lgamma(half)


class PublicVonMisesFisher(Distribution):
    """``loc`` unit vectors (batch, d), ``kappa`` (batch, 1); ``candidates`` drawn at a time."""

    arg_constraints = {"loc": constraints.real, "kappa": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor, kappa: Tensor, candidates: int = 1) -> None:
        self.loc, self.kappa, self.candidates, self.dim = loc, kappa, candidates, loc.shape[-1]
        self.axis = torch.tensor([1.0] + [0.0] * (self.dim - 1), device=loc.device)
        super().__init__(loc.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        w = self._cosine_on_the_globe() if self.dim == 3 else self._cosine()
        v = Normal(0, 1).sample(self.loc.shape)[..., 1:]
        v = v / v.norm(dim=-1, keepdim=True)
        x = torch.cat([w, (1 - w.square()).clamp_min(1e-10).sqrt() * v], -1)
        u = self.axis - self.loc
        u = u / (u.norm(dim=-1, keepdim=True) + 1e-5)
        return x - 2 * (x * u).sum(-1, keepdim=True) * u

    def _cosine_on_the_globe(self) -> Tensor:
        u = Uniform(0, 1).sample(self.kappa.shape)
        return 1 + torch.stack([u.log(), (1 - u).log() - 2 * self.kappa]).logsumexp(0) / self.kappa

    def _cosine(self) -> Tensor:
        m, kappa = self.dim - 1, self.kappa
        c = torch.sqrt(4 * kappa.square() + m**2)
        blend = torch.minimum(torch.maximum(kappa.new_zeros(1), kappa - 10), kappa.new_ones(1))
        b = blend * m / (4 * kappa) + (1 - blend) * (c - 2 * kappa) / m
        a = (m + 2 * kappa + c) / 4
        d = 4 * a * b / (1 + b) - m * math.log(m)
        shape = (len(kappa), self.candidates)
        e, w, waiting = torch.zeros_like(b), torch.zeros_like(b), torch.ones_like(b) == 1
        while waiting.sum() != 0:
            half = torch.tensor(m / 2, dtype=torch.float64)
            drawn = Beta(half, half).sample(shape).to(kappa.dtype)
            u = Uniform(1e-20, 1 - 1e-20).sample(shape).to(kappa.dtype)
            candidate = (1 - (1 + b) * drawn) / (1 - (1 - b) * drawn)
            t = 2 * a * b / (1 - (1 - b) * drawn)
            accepted = m * t.log() - t + d > torch.log(u)
            place = accepted.float().argmax(-1)
            place = torch.where(accepted.any(-1), place, torch.tensor(-1)).unsqueeze(-1)
            candidate, drawn = (x.gather(1, place.clamp(0)) for x in (candidate, drawn))
            refused = place < 0
            w[waiting * ~refused] = candidate[waiting * ~refused]
            e[waiting * ~refused] = drawn[waiting * ~refused]
            waiting[waiting * ~refused] = refused[waiting * ~refused]
        return w

    def entropy(self) -> Tensor:
        ratio = bessel(self.dim / 2, self.kappa) / bessel(self.dim / 2 - 1, self.kappa)
        return (self._log_norm() - self.kappa * ratio).squeeze(-1)

    def _log_norm(self) -> Tensor:
        v, kappa = self.dim / 2 - 1, self.kappa
        power = v * kappa.log() - (v + 1) * math.log(2 * math.pi)
        return kappa + bessel(v, kappa).log() - power


@register_kl(PublicVonMisesFisher, PublicUniform)
def _kl(p: PublicVonMisesFisher, q: PublicUniform) -> Tensor:
    return q.entropy() - p.entropy()
