"""What an encoder gave, read as one of four kinds of codes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from vae_course.sphere.law import SphericalLaw

Kind = Literal["gaussian", "point", "codebook", "sphere"]


@dataclass(frozen=True)
class Posterior:
    """The codes of some images: balls, points, indices of a codebook, or laws on the sphere."""

    kind: Kind
    mu: Tensor
    """Centres (batch, \\*code); indices for a codebook; the modes, unit vectors, for the sphere."""
    sigma: Tensor | None = None
    """Standard deviations of balls, (batch, \\*code)."""
    drawn: Tensor | None = None
    """One draw from each law on the sphere, (batch, d)."""
    rate: Tensor | None = None
    """KL of each law on the sphere from the uniform one, (batch,), nats."""
    concentration: Tensor | None = None
    """Of each law on the sphere, (batch,), in its family's own unit."""

    @classmethod
    def joined(cls, parts: Sequence["Posterior"]) -> "Posterior":
        """Those of several batches as one."""
        rest = {n: torch.cat([getattr(p, n) for p in parts]) for n in parts[0]._given()}
        return cls(parts[0].kind, **rest)

    def to(self, device: torch.device | str) -> "Posterior":
        moved = {n: getattr(self, n).detach().to(device) for n in self._given()}
        return Posterior(self.kind, **moved)

    def _given(self) -> list[str]:
        names = (f.name for f in fields(self) if f.name != "kind")
        return [name for name in names if getattr(self, name) is not None]


WANTED = (
    "it must give (mu, sigma), a torch.distributions object (Normal, Independent, or a law of "
    "vae_course.sphere), codes for a model without noise, or whole numbers for a codebook"
)


def read(output: Any, n: int, generator: torch.Generator) -> Posterior:
    """The posterior of n images as an encoder gave it.

    Whether a second tensor is σ, σ² or its logarithm, no type can tell: the rows ``sigma`` and
    ``ruler`` do. Nor are numbers looked at here: NaN is for the row ``rows``. TypeError for what
    are no codes, ValueError for codes of another number of images; both name the remedy.
    """
    if isinstance(output, Tensor):
        _check("the code", output, n)
        if output.is_floating_point():
            return Posterior("point", output)
        if output.dtype == torch.bool or output.is_complex():
            raise TypeError(f"encode gave {output.dtype}: {WANTED}")
        return Posterior("codebook", output.long())
    if isinstance(output, Independent) and isinstance(output.base_dist, Normal):
        output = output.base_dist
    if isinstance(output, Normal):
        output = output.loc, output.scale
    if isinstance(output, SphericalLaw):
        return _on_the_sphere(output, n, generator)
    if isinstance(output, tuple | list) and len(output) == 2:
        mu, sigma = output
        for name, value in (("mu", mu), ("sigma", sigma)):
            if not isinstance(value, Tensor) or not value.is_floating_point():
                got = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise TypeError(f"encode gave (mu, sigma) with a {name} that is {got}: {WANTED}")
            _check(name, value, n)
        if mu.shape != sigma.shape:
            raise ValueError(
                f"encode gave mu {tuple(mu.shape)} and sigma {tuple(sigma.shape)}: both must have "
                "one shape, (batch, *code): sigma.expand_as(mu) may be what you want"
            )
        return Posterior("gaussian", mu, sigma)
    raise TypeError(f"encode gave {_described(output)}: {WANTED}{_remedy(output)}")


def _on_the_sphere(law: SphericalLaw, n: int, generator: torch.Generator) -> Posterior:
    concentration: Any = getattr(law, "r" if hasattr(law, "r") else "concentration", None)
    if concentration is None or law.batch_shape != (n,):
        raise ValueError(
            f"encode gave {law} for {n} images: one law each, with a concentration of its own, of "
            f"batch shape ({n},)"
        )
    _check("the mode", law.mode, n)
    drawn, rate = law.sample(generator=generator), law.kl_to_uniform()
    return Posterior("sphere", law.mode, None, drawn, rate, concentration.expand(n))


def _check(name: str, value: Tensor, n: int) -> None:
    if value.ndim < 2 or len(value) != n or 0 in value.shape:
        raise ValueError(
            f"encode: {name} has shape {tuple(value.shape)} for {n} images; it must be ({n}, *code)"
        )


def _described(output: Any) -> str:
    if isinstance(output, tuple | list):
        return f"{len(output)} things ({', '.join(type(o).__name__ for o in output)})"
    return type(output).__name__


def _remedy(output: Any) -> str:
    """How to get codes out of what other libraries, and one's own encoder, return."""
    for names, remedy in REMEDIES.items():
        if all(hasattr(output, name) for name in names):
            return f"; {remedy}"
    if isinstance(output, MultivariateNormal):
        return "; of a full covariance give (d.mean, d.stddev): measures are of diagonal ones"
    if isinstance(output, Distribution):
        return ""
    if isinstance(output, dict):
        return f"; take two of its entries: {', '.join(map(str, output))}"
    if isinstance(output, tuple | list) and len(output) > 2:
        return "; give the two that are mu and sigma: lambda x: (mu, (log_variance / 2).exp())"
    return ""


REMEDIES = {
    ("latent_dist",): "adapted(model).report(images) knows diffusers, or give "
    "lambda x: (d := model.encode(x).latent_dist, (d.mean, d.std))[1]",
    ("embedding", "log_covariance"): "adapted(model).report(images) knows pythae, or give "
    "lambda x: (o := model.encoder(x), (o.embedding, (o.log_covariance / 2).exp()))[1]",
    ("logvar", "mean", "std"): "give (d.mean, d.std) of it",  # of diffusers, unwrapped by hand
    ("indices",): "give its .indices, and decode them",
    ("latents",): "give its .latents",
    ("latent",): "give its .latent",
    ("embedding",): "give its .embedding",
    ("__array__",): "give torch.from_numpy of it",
}
"""Attributes of an output → what to do with it; the first that has them all."""
