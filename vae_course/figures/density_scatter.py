"""What each factor of a VAE's density is worth: log p̂ against log p, with a switch for each."""

import math
from collections.abc import Sequence

import numpy as np
import traitlets
from jaxtyping import Float
from torch import Tensor

from vae_course.figures.base import Figure

_CSS = """
.vf-density .vf-plane { flex-grow: 1.6; max-width: 32rem; }
.vf-density .vf-formula { font-size: 1.15rem; min-height: 2.8em; overflow-wrap: anywhere; }
.vf-density fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.vf-density legend { font-size: 13px; color: var(--vf-muted); padding: 0; margin: 0; width: auto;
  float: none; }
.vf-density .vf-readout { min-height: 4.2em; }
"""


class DensityScatter(Figure, js="density_scatter.js", css=_CSS):
    r"""Log p̂ against the true log p of each point, with a switch for each factor of p̂.

    Two estimators of the density with respect to n-dimensional volume, n the active latents,

    .. math:: \hat p = (2/\beta)^{n/2}\, p(\mu) \prod_j \sigma_j\, a_x^{n/2}
              \qquad\text{or}\qquad \hat p = (\pi\beta)^{-n/2} e^{-L_x/\beta}\, a_x^{n/2}

    for a distortion :math:`D = a_x \|x - \hat x\|^2`. The reader leaves factors out, moves beta,
    and reads Pearson's r of the logarithms, Spearman's rank correlation, and mean and standard
    deviation of log p̂ - log p, in nats. Colour: the volume term, from small balls to large ones.
    All numbers are the lab's; the figure only adds them up.

    After the reader's last touch the trait ``beta_index`` holds the beta she chose; setting it
    from Python moves the figure.

    Args:
        log_p: True log densities in nats, (N,); at most 2,000 keep the page light.
        betas: The sweep, B values, positive, ascending.
        log_prior: log N(μ; 0, I) over the active latents, (B, N).
        log_volume: Σ log σ_j over the active latents, (B, N).
        loss: L_x = E D + β KL, (B, N), in units of D.
        active: n, how many latents are active at each beta, B whole numbers. Where that is less
            than the dimension of ``log_p``, the offset compares densities of unlike dimensions.
        log_metric: log a_x of each point, (N,); None where D is the squared error.
        dim: m, the dimension of the data, to offer the mistaken power a_x^{m/2} too.
        beta_index: Where the slider starts; default: the first.

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
    """

    spec = traitlets.Dict().tag(sync=True)
    numbers = traitlets.Bytes().tag(sync=True)  # float32: log_p, log_metric (0), then see _pack
    beta_index = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        log_p: Float[Tensor, "N"],
        betas: Sequence[float],
        log_prior: Float[Tensor, "B N"],
        log_volume: Float[Tensor, "B N"],
        loss: Float[Tensor, "B N"],
        active: Sequence[int],
        *,
        log_metric: Float[Tensor, "N"] | None = None,
        dim: int | None = None,
        beta_index: int = 0,
    ) -> None:
        n = len(log_p)
        if not (betas and list(betas) == sorted(betas) and 0 < betas[0] <= betas[-1] < math.inf):
            raise ValueError(f"betas must be positive, finite and ascending, got {list(betas)}")
        if n < 3 or log_p.ndim != 1:
            raise ValueError(f"log_p must be (points,), 3 or more, got {tuple(log_p.shape)}")
        given = {"log_prior": log_prior, "log_volume": log_volume, "loss": loss}
        for name, value in given.items():
            if value.shape != (len(betas), n):
                expected = (len(betas), n)
                raise ValueError(
                    f"{name} must be (betas, points) = {expected}, got {tuple(value.shape)}"
                )
        if log_metric is not None:
            if log_metric.shape != (n,):
                raise ValueError(
                    f"log_metric must be (points,) = ({n},), got {tuple(log_metric.shape)}"
                )
            given["log_metric"] = log_metric
        for name, value in {"log_p": log_p, **given}.items():
            if not value.isfinite().all():
                raise ValueError(f"{name} must be finite; leave out points without a density")
        if len(active) != len(betas) or min(active) < 0:
            raise ValueError(
                f"active must be a whole number, not negative, for each beta, got {list(active)}"
            )
        if dim is not None and dim < max(1, *active):
            raise ValueError(f"dim must be at least the active latents, {max(active)}, got {dim}")
        if dim is not None and log_metric is None:
            raise ValueError(f"dim={dim} has no meaning without log_metric")
        if not 0 <= beta_index < len(betas):
            raise ValueError(f"beta_index must be in 0..{len(betas) - 1}, got {beta_index}")
        super().__init__(
            spec={
                "count": n,
                "betas": [float(b) for b in betas],
                "active": [int(k) for k in active],
                "metric": log_metric is not None,
                "dim": dim,
            },
            numbers=_pack(log_p, log_metric, log_prior, log_volume, loss),
            beta_index=beta_index,
        )


def _pack(log_p: Tensor, log_metric: Tensor | None, *by_beta: Tensor) -> bytes:
    """float32: (N,) true, (N,) metric, then (B, N) of prior, of volume, of loss."""
    metric = log_p * 0 if log_metric is None else log_metric
    parts = [t.detach().cpu().flatten().numpy() for t in (log_p, metric, *by_beta)]
    return np.concatenate(parts).astype("<f4").tobytes()
