"""The public von Mises-Fisher posterior, s-vae-pytorch's, in our own words, faults included.

What it does: Ulrich's rejection sampler in float64, a number of candidates at a time until all rows
have one, whose envelope constant b is blended into its limit for large kappa between kappa = 10 and
11, while the constants that belong to b are not; on the globe, d = 3, the inverse distribution
function; a Householder reflection; a KL by scipy's scaled Bessel functions of float32, three times
forward and six times backward. Power Spherical comes from PyPI's power-spherical itself.
"""

import math
from typing import Any

import torch
from scipy.special import i0e, i1e, ive
from torch import Tensor
from torch.distributions import Beta, Distribution, Normal, Uniform, constraints


class _ScaledBessel(torch.autograd.Function):
    """exp(-kappa) I_v(kappa), on the CPU."""

    @staticmethod
    def forward(ctx: Any, v: float, kappa: Tensor) -> Tensor:
        ctx.v = v
        ctx.save_for_backward(kappa)
        x = kappa.detach().numpy()
        return torch.from_numpy(i0e(x) if v == 0 else i1e(x) if v == 1 else ive(v, x))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        (kappa,) = ctx.saved_tensors
        lower, own = bessel(ctx.v - 1, kappa), bessel(ctx.v, kappa)
        return None, gradient * (lower - own * (ctx.v + kappa) / kappa)


bessel = _ScaledBessel.apply


class PublicVonMisesFisher(Distribution):
    """``loc`` unit vectors (batch, d), ``kappa`` (batch, 1); ``candidates`` drawn at a time."""

    arg_constraints = {"loc": constraints.real, "kappa": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor, kappa: Tensor, candidates: int = 1) -> None:
        self.loc, self.kappa, self.candidates, self.dim = loc, kappa, candidates, loc.shape[-1]
        super().__init__(loc.shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        w = self._cosine_on_the_globe() if self.dim == 3 else self._cosine()
        v = Normal(0, 1).sample(self.loc.shape)[..., 1:].to(w.dtype)
        v = v / v.norm(dim=-1, keepdim=True)
        x = torch.cat([w, (1 - w.square()).clamp_min(1e-10).sqrt() * v], -1)
        e1 = torch.zeros_like(self.loc)
        e1[..., 0] = 1
        u = e1 - self.loc
        u = u / (u.norm(dim=-1, keepdim=True) + 1e-5)
        return (x - 2 * (x * u).sum(-1, keepdim=True) * u).to(self.loc.dtype)

    def _cosine_on_the_globe(self) -> Tensor:
        u = Uniform(0, 1).sample(self.kappa.shape)
        return 1 + torch.stack([u.log(), (1 - u).log() - 2 * self.kappa]).logsumexp(0) / self.kappa

    def _cosine(self) -> Tensor:
        m, kappa = self.dim - 1, self.kappa
        c = torch.sqrt(4 * kappa.square() + m**2)
        blend = (kappa - 10).clamp(0, 1)
        b = blend * m / (4 * kappa) + (1 - blend) * (c - 2 * kappa) / m
        a = (m + 2 * kappa + c) / 4
        d = 4 * a * b / (1 + b) - m * math.log(m)
        b, a, d = b.double(), a.double(), d.double()
        w, waiting = torch.zeros_like(b), torch.ones_like(b, dtype=torch.bool)
        while waiting.any():
            shape = (len(kappa), self.candidates)
            e = Beta(m / 2, m / 2).sample(shape).double()
            u = Uniform(1e-20, 1 - 1e-20, validate_args=False).sample(shape).double()
            candidate = (1 - (1 + b) * e) / (1 - (1 - b) * e)
            t = 2 * a * b / (1 - (1 - b) * e)
            accepted = m * t.log() - t + d > u.log()
            first = accepted.float().argmax(-1, keepdim=True)
            found = accepted.any(-1, keepdim=True) & waiting
            w = torch.where(found, candidate.gather(-1, first), w)
            waiting = waiting & ~found
        return w

    def entropy(self) -> Tensor:
        ratio = bessel(self.dim / 2, self.kappa) / bessel(self.dim / 2 - 1, self.kappa)
        return (self._log_norm() - self.kappa * ratio).squeeze(-1)

    def _log_norm(self) -> Tensor:
        v, kappa = self.dim / 2 - 1, self.kappa
        power = v * kappa.log() - (v + 1) * math.log(2 * math.pi)
        return kappa + bessel(v, kappa).log() - power

    def kl_to_uniform(self) -> Tensor:
        half = self.dim / 2
        return math.log(2) + half * math.log(math.pi) - math.lgamma(half) - self.entropy()
