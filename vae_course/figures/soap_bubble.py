"""Three laws on the sphere at equal nats: in high dimension each is a thin ring far from its μ."""

import traitlets

from vae_course.figures.base import Figure

DIMENSIONS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
RATES = (1.0, 200.0)

_CSS = """
.vf-soap .vf-plane, .vf-soap .vf-side { flex: 1 1 100%; max-width: none; }
.vf-soap .vf-controls { display: grid; gap: .5rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.vf-soap table { border-collapse: collapse; width: 100%; margin: 0; font-size: 14px;
  font-variant-numeric: tabular-nums; display: table; }
.vf-soap :is(th, td) { padding: .25rem .4rem; text-align: right; font-weight: 400;
  border: 0; border-bottom: 1px solid var(--vf-line); background: none; color: inherit; }
.vf-soap thead th { font-size: 13px; color: var(--vf-muted); vertical-align: bottom; }
.vf-soap :is(th, td):first-child { text-align: left; }
.vf-soap caption { caption-side: top; text-align: left; font-size: 13px; padding: 0 0 .25rem;
  color: var(--vf-muted); }
.vf-soap .vf-bubbles { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem;
  text-align: center; }
.vf-soap .vf-swatch { display: inline-block; width: 26px; margin-right: .4rem;
  vertical-align: middle; }
.vf-soap .vf-parameter { color: var(--vf-muted); white-space: nowrap; margin-left: .6rem; }
.vf-soap td { white-space: nowrap; }
@media (max-width: 480px) {
  .vf-soap .vf-plane canvas { aspect-ratio: 1.35 !important; }
  .vf-soap table { font-size: 13px; }
  .vf-soap :is(th, td) { padding: .25rem .2rem; }
  .vf-soap .vf-parameter { display: block; margin-left: 0; }
  .vf-soap tbody .vf-swatch, .vf-soap .vf-bubbles .vf-swatch { display: block; width: 22px; }
  .vf-soap .vf-bubbles .vf-swatch { margin: 0 auto .2rem; }
}
.vf-soap .vf-readout { min-height: 4.2em; }
"""


class SoapBubble(Figure, js="soap_bubble.js", css=_CSS):
    r"""How far from μ the samples of three laws lie when each costs the same number of nats.

    For the spherical Cauchy, von Mises-Fisher and Power Spherical laws of R^d whose KL to the
    uniform law is ``rate``: the density of the angle to μ, 300 draws at their true angle, the mean
    cosine, the median angle, and how many of 10,000 draws lie within 5° of μ. The dashed line is
    the latitude law, which knows the rate and d but not the family,

    .. math:: m \approx \sqrt{1 - e^{-2R/(d-1)}}, \qquad \text{error } O(1/d).

    The browser solves for the three parameters whenever a slider moves; a test holds its numbers
    to ``vae_course.sphere``.

    After the reader's last touch the traits ``rate`` and ``d`` hold what she chose; setting them
    from Python moves the figure.

    Args:
        rate: KL to the uniform law where the slider starts, in nats, from 1 to 200.
        d: Ambient dimension where its slider starts, one of ``DIMENSIONS`` (2 to 1,024, evenly
            spaced in log d from 2 on).
        seed: Of the draws, an int from 0 on, below 2^32.

    Raises:
        ValueError: For a value outside its range.
    """

    rate = traitlets.Float(20.0).tag(sync=True)
    d = traitlets.Int(64).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    dimensions = traitlets.List(list(DIMENSIONS)).tag(sync=True)
    rates = traitlets.List(list(RATES)).tag(sync=True)

    def __init__(self, rate: float = 20.0, d: int = 64, *, seed: int = 0) -> None:
        if not RATES[0] <= rate <= RATES[1]:
            raise ValueError(f"rate must be in [{RATES[0]:g}, {RATES[1]:g}] nats, got {rate}")
        if d not in DIMENSIONS:
            raise ValueError(f"d must be one of {DIMENSIONS}, got {d}")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be in [0, 2**32), got {seed}")
        super().__init__(rate=float(rate), d=d, seed=seed)
