"""The spherical Cauchy law as a stretch of the sphere, with what it costs in nats."""

import traitlets

from vae_course.figures.base import Figure

DIMENSIONS = (3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
LARGEST_RADIUS = 4.0

_CSS = """
.vf-stretch .vf-plane { flex: 1 1 270px; }
.vf-stretch .vf-pair { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem 1.5rem;
  align-items: end; }
.vf-stretch .vf-controls { display: grid; gap: .5rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.vf-stretch .vf-readout { min-height: 4.2em; }
.vf-stretch .vf-key { color: var(--vf-accent); }
.vf-stretch .vf-key + .vf-key { color: var(--vf-warn); }
"""


class StretchSphere(Figure, js="stretch_sphere.js", css=_CSS):
    r"""Uniform points of the sphere, drawn towards μ by a stretch that the reader sets, and its KL.

    A point at the angle θ to μ moves to the angle φ, along its great circle through μ,

    .. math:: \tan\tfrac\varphi2 = e^{-r} \tan\tfrac\theta2,

    which makes the uniform law a spherical Cauchy law of hyperbolic radius r. Beside the sphere is
    its stereographic picture, of radius :math:`\tan(\varphi/2)`: there the stretch is a plane that
    shrinks by :math:`e^{-r}`. The read-outs are the rate in nats, the mean cosine m to μ, and the
    slope of the rate, :math:`\frac{d\,\mathrm{KL}}{dr} = (d-1)\,m`, also drawn as the tangent to
    the curve KL(r), as in ``sphere.cauchy_kl`` and ``sphere.cauchy_mean_cosine``.

    For d = 3 the picture is exact. In more dimensions each dot's angle to μ is true to the law in
    R^d and its direction around μ is one random angle.

    After the reader's last touch the traits ``r`` and ``d`` hold what she chose; setting them from
    Python moves the figure.

    Args:
        r: Hyperbolic radius where the slider starts, from 0 (uniform) to 4.
        d: Ambient dimension where its slider starts, one of ``DIMENSIONS`` (3 to 1,024).
        seed: Of the dots, an int from 0 on, below 2^32.

    Raises:
        ValueError: For a value outside its range.
    """

    r = traitlets.Float(1.5).tag(sync=True)
    d = traitlets.Int(3).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    dimensions = traitlets.List(list(DIMENSIONS)).tag(sync=True)
    largest = traitlets.Float(LARGEST_RADIUS).tag(sync=True)

    def __init__(self, r: float = 1.5, d: int = 3, *, seed: int = 0) -> None:
        if not 0 <= r <= LARGEST_RADIUS:
            raise ValueError(f"r must be in [0, {LARGEST_RADIUS:g}], got {r}")
        if d not in DIMENSIONS:
            raise ValueError(f"d must be one of {DIMENSIONS}, got {d}")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be in [0, 2**32), got {seed}")
        super().__init__(r=float(r), d=d, seed=seed)
