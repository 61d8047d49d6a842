"""How likely are real images under a model? Bounds on the log likelihood."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.sphere import log_area


@torch.no_grad()
def importance_bound(
    model: Any, x: Float[Tensor, "batch *image"], *, draws: int = 64, seed: int = 0
) -> Float[Tensor, "batch"]:
    r"""Importance-weighted bound on each image's log likelihood, in nats: tighter than the ELBO.

    .. math:: \log \frac1K \sum_{k=1}^K e^{-D(x, g(z_k))/\beta}\, \frac{p(z_k)}{q(z_k|x)},
              \qquad z_k \sim q(z|x)

    In the course's convention :math:`-D/\beta` is the decoder's log density **but for a constant**:
    values compare with :math:`-L/\beta` of ``loss_terms``, whose mean over draws is the bound at
    K = 1. For ``squared_error`` on P pixels add :math:`-\frac P2 \log(\pi\beta)`: a Gaussian
    decoder of variance β/2. For ``bernoulli`` at β = 1 nothing is missing: :math:`-D` is the log
    likelihood of binary pixels. With another β that, or a distortion of your own, makes no
    normalised density, and values compare between models of one β alone.

    Its expectation grows with K towards the log likelihood, and K must be equal to compare
    models. Where q is narrower or lighter-tailed than the true posterior, weights may have no
    finite variance: the bound then climbs slowly (Power Spherical before vMF before Cauchy).

    Args:
        model: a ``VAE`` or ``SphericalVAE``, or anything with their ``encode``, ``decoder``,
            ``distortion``, ``beta`` and ``draw_noise``. Best in float64 or in float32 as trained:
            weights are summed as logs.
        x: images (batch, \\*image_shape) in [0, 1] for ``bernoulli``; their order matters to the
            noise each one gets.
        draws: K, at least 1; one decoding of the batch each.
        seed: of the noise.

    Raises:
        TypeError: if the model's codes are points or centres, which have no density.
        ValueError: for draws < 1 or a beta of 0.

    Source: Burda, Grosse and Salakhutdinov 2016, *Importance weighted autoencoders*.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}: take at least 1; 64 is a good start")
    q = model.encode(x)
    if not (hasattr(q, "transport") or hasattr(q, "sigma")):
        raise TypeError(
            f"codes of {type(model).__name__} have no density, so there is no importance weight: "
            "give a VAE or a SphericalVAE"
        )
    beta = float(model.beta)
    if beta <= 0:
        raise ValueError(f"beta={beta}: without a price of a nat no distortion is a likelihood")
    generator = torch.Generator(x.device).manual_seed(seed)
    weights = []
    for _ in range(draws):
        z, log_ratio = _draw(q, model.draw_noise(len(x), generator))
        weights.append(log_ratio - model.distortion(x, model.decoder(z)) / beta)
    return torch.stack(weights).logsumexp(0) - math.log(draws)


def _draw(q: Any, eps: Tensor) -> tuple[Tensor, Tensor]:
    """A code of each image and log p(z) - log q(z|x), for a Gaussian or a spherical posterior."""
    if hasattr(q, "transport"):
        z = q.transport(eps)
        return z, -log_area(z.shape[-1]) - q.log_prob(z)
    z = q.mu + q.sigma * eps
    return z, ((eps.square() - z.square()) / 2 + q.sigma.log()).sum(-1)
