"""The forces on one ball: the KL term pulls in and opens up, the reconstruction pushes back."""

import math

import traitlets

from vae_course.figures.base import Figure

_CSS = """
.vf-force .vf-plane { flex-grow: 1.8; max-width: 34rem; }
.vf-force canvas { touch-action: manipulation; }
.vf-force .vf-plane canvas { cursor: crosshair; }
.vf-force .vf-readout { min-height: 7em; }
"""


class ForceField(Figure, js="force_field.js", css=_CSS):
    r"""One ball of a linear VAE on the plane of μ and log σ: forces, equilibrium, release.

    One direction of variance :math:`\lambda`, one latent, the best linear decoder at this price,
    and an image one standard deviation from the mean, :math:`s = \sqrt\lambda`. In units of β
    the ball moves down the gradient of its loss,

    .. math:: \dot\mu = -\mu + \tfrac{2w}{\beta}(s - w\mu), \qquad
              \tfrac{d}{dt}\log\sigma = (1 - \sigma^2) - \tfrac{2w^2}{\beta}\sigma^2, \qquad
              w^2 = \max(0, \lambda - \beta/2)

    where the first term of each is the KL divergence's. It comes to rest at
    :math:`\mu = s w / (w^2 + \beta/2)`, :math:`\sigma^2 = (\beta/2) / (w^2 + \beta/2)`; from
    :math:`\beta_c = 2\lambda` on that is the prior. Derived in chapter 03.

    After the reader's last touch the traits ``beta`` and ``start`` hold where she is; setting
    them from Python moves the figure.

    Args:
        eigenvalue: λ, the variance of the direction, positive and finite.
        beta: Where the slider starts, in [λ/100, 4λ].
        start: (μ, log σ) of the ball before its release, in [-3, 3] and [-3, 1].

    Raises:
        ValueError: For a value outside its range.
    """

    eigenvalue = traitlets.Float().tag(sync=True)
    beta = traitlets.Float().tag(sync=True)
    start = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        eigenvalue: float = 0.5,
        beta: float | None = None,
        start: tuple[float, float] = (2.0, -2.0),
    ) -> None:
        if not (math.isfinite(eigenvalue) and eigenvalue > 0):
            raise ValueError(f"eigenvalue must be positive and finite, got {eigenvalue}")
        beta = 0.2 * eigenvalue if beta is None else beta
        if not eigenvalue / 100 <= beta <= 4 * eigenvalue:
            raise ValueError(
                f"beta must be in [eigenvalue / 100, 4 eigenvalue] = "
                f"[{eigenvalue / 100:g}, {4 * eigenvalue:g}], got {beta}"
            )
        if not (-3 <= start[0] <= 3 and -3 <= start[1] <= 1):
            raise ValueError(f"start must be (mu, log sigma) in [-3, 3] x [-3, 1], got {start}")
        super().__init__(eigenvalue=eigenvalue, beta=beta, start=list(start))
