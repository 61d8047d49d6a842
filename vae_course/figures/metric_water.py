"""Water-filling seen through a metric: what whitening does to the rate and to the isotropy."""

import math
from collections.abc import Mapping
from typing import Any

import traitlets
from jaxtyping import Float
from torch import Tensor

from vae_course.figures.base import Figure

CONTROLS = ("null", "lipschitz", "rate")

_CSS = """
.vf-metric-water .vf-plane, .vf-metric-water .vf-side { flex: 1 1 290px; max-width: none; }
.vf-metric-water .vf-bars { touch-action: manipulation; cursor: ns-resize; }
.vf-metric-water .vf-controls { display: grid; gap: .75rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.vf-metric-water .vf-choices { display: flex; flex-wrap: wrap; gap: .75rem 2rem; }
.vf-metric-water .vf-handle { cursor: ns-resize; }
.vf-metric-water .vf-handle::before { background: var(--vf-accent);
  border-color: var(--vf-paper); box-shadow: none; }
.vf-metric-water .vf-slider:has(:disabled) { color: var(--vf-muted); }
.vf-metric-water .vf-readout { min-height: 3em; }
@media (max-width: 420px) { .vf-metric-water .vf-bars { aspect-ratio: .78 !important; } }
"""


class MetricWater(Figure, js="metric_water.js", css=_CSS):
    r"""Water-filling of the spectrum that a metric shows, with its price, whitening and scale.

    .. math:: \lambda_i = c\,\mathrm{eig}_i\big(\Sigma^{1/2} M \Sigma^{1/2}\big), \qquad
              \sigma_i^2 = \min\!\Big(1, \frac{\beta/2}{\lambda_i}\Big), \qquad
              R = -\tfrac12 \sum_i \log \sigma_i^2, \qquad
              A = \mathrm{Var}_i \log \sigma_i^2

    over the k latents of the largest λ. The first metric of a data set is the identity, whitened by
    the reader from t = 0 to 1: :math:`M_t = U\,\mathrm{diag}(\max(w_i, w_k)^{-t})\,U^\top` with w
    and U from the data's covariance Σ. The other metrics are spectra as measured. The scale c keeps
    one of three things: ``"null"``, the cost :math:`\mathrm{tr}(M\Sigma)` of the mean image, over
    all n axes; ``"lipschitz"``, :math:`M \preceq I` without slack; ``"rate"``, R at this price.
    Beside the bars, R and A run over t under each control. With ``realism`` the output must have
    the law of the data, a critic at its best: σ² and R are ``realistic_water_filling``'s, while
    what R and A are compared to, and what ``"rate"`` holds, stays the first metric without it.

    After the reader's last touch the traits ``data``, ``metric``, ``control``, ``whitening``,
    ``beta`` and ``realism`` hold her choices; setting one from Python moves the figure.

    Args:
        spectra: ``{data: {metric: eigenvalues}}``, each (n,) with n from k to 1024, in any order,
            finite and not negative, the k largest positive; the first metric of each data set is
            the covariance's own spectrum w. See ``distortion.metric_spectrum``.
        lipschitz: ``{data: {metric: L²}}``, the largest eigenvalue of M, positive, for every metric
            but the first.
        latents: k, from 2 to 64.
        beta: Where the price starts; default: the geometric middle of its range, from w_k / 5 to
            2.5 times the largest eigenvalue at equal null cost.
        whitening: Where t starts, 0 to 1.
        control: ``"null"``, ``"lipschitz"`` or ``"rate"``.
        data: The data set shown first; default: the first.
        metric: The metric shown first; default: that data set's first.
        realism: Whether perfect realism is asked for at first.

    Raises:
        ValueError: For a value outside its range, or a name that is not there.
    """

    # {data: {"betas": [low, high], "metrics": {name: [eigenvalues]}, "lipschitz": {name: L²}}}
    sets = traitlets.Dict().tag(sync=True)
    latents = traitlets.Int().tag(sync=True)
    data = traitlets.Unicode().tag(sync=True)
    metric = traitlets.Unicode().tag(sync=True)
    control = traitlets.Unicode().tag(sync=True)
    whitening = traitlets.Float().tag(sync=True)
    beta = traitlets.Float().tag(sync=True)
    realism = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        spectra: Mapping[str, Mapping[str, Float[Tensor, "_"]]],
        lipschitz: Mapping[str, Mapping[str, float]] | None = None,
        *,
        latents: int = 16,
        beta: float | None = None,
        whitening: float = 0.0,
        control: str = "null",
        data: str | None = None,
        metric: str | None = None,
        realism: bool = False,
    ) -> None:
        if not 2 <= latents <= 64:
            raise ValueError(f"latents must be from 2 to 64, got {latents}")
        if not spectra or not all(spectra.values()):
            raise ValueError("spectra must hold a data set, and each at least one metric")
        sets = {
            name: _packed(name, metrics, (lipschitz or {}).get(name, {}), latents)
            for name, metrics in spectra.items()
        }
        data = next(iter(sets)) if data is None else data
        if data not in sets:
            raise ValueError(f"data must be one of {list(sets)}, got {data!r}")
        metrics = list(spectra[data])
        metric = metrics[0] if metric is None else metric
        if metric not in metrics:
            raise ValueError(f"metric must be one of {metrics} on {data!r}, got {metric!r}")
        if control not in CONTROLS:
            raise ValueError(f"control must be one of {CONTROLS}, got {control!r}")
        if not 0 <= whitening <= 1:
            raise ValueError(f"whitening must be from 0 to 1, got {whitening}")
        low, high = sets[data]["betas"]
        beta = math.sqrt(low * high) if beta is None else float(beta)
        if not low <= beta <= high:
            raise ValueError(f"beta must be in [{low:g}, {high:g}] on {data!r}, got {beta}")
        super().__init__(
            sets=sets,
            latents=latents,
            data=data,
            metric=metric,
            control=control,
            whitening=float(whitening),
            beta=beta,
            realism=realism,
        )


def _packed(
    name: str, metrics: Mapping[str, Tensor], lipschitz: Mapping[str, float], latents: int
) -> dict[str, Any]:
    values = {key: _sorted(f"spectra[{name!r}][{key!r}]", v, latents) for key, v in metrics.items()}
    reference, *others = values
    squared = {reference: 1.0}
    for key in others:
        squared[key] = float(lipschitz.get(key, math.nan))
        if not 0 < squared[key] < math.inf:
            raise ValueError(
                f"lipschitz[{name!r}][{key!r}] must be positive and finite, got "
                f"{lipschitz.get(key)}: the largest eigenvalue of the metric"
            )
    w = values[reference]
    largest = max(v[0] * sum(w) / sum(v) for v in values.values())
    betas = [w[latents - 1] / 5, 2.5 * largest]
    return {"betas": betas, "metrics": values, "lipschitz": squared}


def _sorted(name: str, spectrum: Tensor, latents: int) -> list[float]:
    if spectrum.ndim != 1 or not latents <= len(spectrum) <= 1024:
        raise ValueError(
            f"{name} must be (n,) with n from latents = {latents} to 1024, "
            f"got {tuple(spectrum.shape)}"
        )
    values = sorted(spectrum.detach().double().tolist(), reverse=True)
    if not all(math.isfinite(v) for v in values) or values[-1] < 0 or values[latents - 1] <= 0:
        raise ValueError(
            f"{name} must be finite and not negative, its {latents} largest positive; got "
            f"{values[-1]:g} to {values[0]:g}, no. {latents} is {values[latents - 1]:g}"
        )
    return [float(f"{v:.9g}") for v in values]
