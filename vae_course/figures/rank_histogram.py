"""The ranks of many latents' three covariances, two kinds of codes at a time, at any tolerance."""

import math
from collections.abc import Mapping

import torch
import traitlets
from jaxtyping import Float
from torch import Tensor

from vae_course import spd
from vae_course.figures.base import Figure

PER_DECADE = 8
TOLERANCES = tuple(10 ** (i / PER_DECADE) for i in range(-8 * PER_DECADE, -PER_DECADE + 1))
"""Where ranks are counted, 1e-8 to 1e-1."""

_CSS = """
.vf-ranks .vf-charts { display: grid; gap: .5rem 1rem; grid-template-columns: 1fr 1fr 2.4fr; }
.vf-ranks .vf-charts > div { min-width: 0; }
.vf-ranks canvas { aspect-ratio: auto !important; height: 230px; touch-action: manipulation; }
.vf-ranks .vf-choices { display: flex; flex-wrap: wrap; gap: .75rem 2rem; align-items: end; }
.vf-ranks select { font: inherit; color: var(--vf-ink); background: var(--vf-paper);
  border: 1px solid var(--vf-muted); border-radius: 6px; min-height: 44px; padding: 0 .5rem;
  max-width: 100%; }
.vf-ranks[data-scheme=dark] select { color-scheme: dark; }
.vf-ranks .vf-legend { display: flex; flex-wrap: wrap; gap: 0 1.5rem; font-size: 14px; }
.vf-ranks .vf-legend i { display: inline-block; width: 1.2em; height: .8em; margin-right: .4em; }
.vf-ranks .vf-legend i.vf-full { background: #0072b2; }
.vf-ranks .vf-legend i.vf-outline { border: 2.5px solid #d55e00; border-bottom: 0; }
.vf-ranks .vf-legend { margin-bottom: .5rem !important; }
.vf-ranks .vf-readout { min-height: 2.8em; font-size: 16px; }
.vf-ranks table { width: 100%; border-collapse: collapse; margin: 0 !important; font: inherit;
  font-size: 14px; font-variant-numeric: tabular-nums; color: inherit; }
.vf-ranks :is(th, td) { padding: .25rem .5rem .25rem 0; text-align: left; vertical-align: top;
  border: 0; border-top: 1px solid var(--vf-line); background: transparent; }
.vf-ranks thead th { border-top: 0; font-weight: 400; color: var(--vf-muted); }
.vf-ranks td span { white-space: nowrap; }
@media (max-width: 640px) { .vf-ranks .vf-charts { grid-template-columns: 1fr 1fr; }
  .vf-ranks .vf-charts > :last-child { grid-column: 1 / 3; }
  .vf-ranks canvas { height: 170px; } }
"""


class RankHistogram(Figure, js="rank_histogram.js", css=_CSS):
    r"""Histograms of the numerical ranks of N latents' three covariances, for two kinds of codes.

    .. math:: r^{(a)} = \#\{i : \sigma_i > \tau\, \sigma_1\}, \qquad
              \text{overlap} = \sum_r \min\big(p(r), q(r)\big)

    with the singular values of ``spd.mode_singular_values``. Bars show one kind of codes, an
    outline another, of clean or of noisy images, centred or not, at the tolerance τ of a slider;
    the ceiling of ``spd.rank_ceiling`` is marked. The overlap of two histograms is 1 where they
    cannot be told apart. All ranks are counted here, at ``TOLERANCES``; the page only looks up.

    After the reader's last touch the traits ``codes``, ``compared``, ``noisy``, ``centred`` and
    ``tolerance`` (one of ``TOLERANCES``) hold her choices; setting one from Python moves the
    figure, and the tolerance to the nearest.

    Args:
        latents: ``{name: (clean, noisy)}``, at least one name, all of one shape (N, m, n, k),
            channels last; N to 65,535, m, n and k to 255. See ``spd.channels_last``.
        codes: The kind that the bars show first; default: the first.
        compared: The kind that the outline shows first; default: the last.
        noisy: Whether the codes of noisy images are shown first.
        centred: Whether the columns' mean is taken out.
        tolerance: τ, from 1e-8 to 1e-1; default: float32's rounding, that of mode 3 in
            ``spd.numerical_rank``.

    Raises:
        ValueError: For another shape, values that are not finite, a name that is not there or a
            tolerance outside its range.
    """

    spec = traitlets.Dict().tag(sync=True)
    # For each name, clean and noisy, centred and not, each mode and tolerance: the lowest rank
    # and the number of bins as uint8, then the bins' counts as uint16.
    counts = traitlets.Bytes().tag(sync=True)
    codes = traitlets.Unicode().tag(sync=True)
    compared = traitlets.Unicode().tag(sync=True)
    noisy = traitlets.Bool().tag(sync=True)
    centred = traitlets.Bool().tag(sync=True)
    tolerance = traitlets.Float().tag(sync=True)

    def __init__(
        self,
        latents: Mapping[str, tuple[Float[Tensor, "N m n k"], Float[Tensor, "N m n k"]]],
        *,
        codes: str | None = None,
        compared: str | None = None,
        noisy: bool = False,
        centred: bool = True,
        tolerance: float | None = None,
    ) -> None:
        names = list(latents)
        _check(latents)
        codes = names[0] if codes is None else codes
        compared = names[-1] if compared is None else compared
        for argument, name in (("codes", codes), ("compared", compared)):
            if name not in names:
                raise ValueError(f"{argument} must be one of {names}, got {name!r}")
        count, *sizes = latents[codes][0].shape
        defaults = [max(size, math.prod(sizes) // size) * 2.0**-23 for size in sizes]
        tolerance = defaults[2] if tolerance is None else tolerance
        if not TOLERANCES[0] <= tolerance <= TOLERANCES[-1]:
            raise ValueError(f"tolerance must be from 1e-8 to 1e-1, got {tolerance}")
        blocks = [
            _histograms(z, mode, centre)
            for pair in latents.values()
            for z in pair
            for centre in (True, False)
            for mode in (1, 2, 3)
        ]
        super().__init__(
            spec={
                "names": names,
                "count": count,
                "sizes": sizes,
                "tolerances": list(TOLERANCES),
                "defaults": defaults,
                "ceilings": [spd.rank_ceiling(*sizes, centred=c) for c in (True, False)],
            },
            counts=b"".join(blocks),
            codes=codes,
            compared=compared,
            noisy=noisy,
            centred=centred,
            tolerance=min(TOLERANCES, key=lambda t: abs(math.log(t / tolerance))),
        )


def _histograms(z: Tensor, mode: int, centred: bool) -> bytes:
    """The ranks of one mode, counted at each tolerance, without the empty bins at the ends."""
    values = spd.mode_singular_values(z.cpu(), mode, centred=centred)
    # The strict > of numerical_rank, so that a latent of zeros has rank 0.
    cuts = torch.tensor(TOLERANCES, dtype=torch.float64)[:, None, None] * values[:, :1]
    block = []
    for ranks in (values > cuts).sum(-1):
        low = int(ranks.min())
        bins = torch.bincount(ranks - low).numpy().astype("<u2")
        block.append(bytes([low, len(bins)]) + bins.tobytes())
    return b"".join(block)


def _check(latents: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    if not latents:
        raise ValueError("latents must hold at least one kind of codes")
    shape = next(iter(latents.values()))[0].shape
    for name, pair in latents.items():
        if len(pair) != 2:
            raise ValueError(f"latents[{name!r}] must be (clean, noisy), got {len(pair)} tensors")
        for z in pair:
            if z.ndim != 4 or z.shape != shape:
                raise ValueError(
                    f"latents[{name!r}] must be (N, m, n, k) as all others, channels last; got "
                    f"{tuple(z.shape)}, and the first is {tuple(shape)}"
                )
            if not z.isfinite().all():
                raise ValueError(f"latents[{name!r}] must be finite")
    if not (1 <= shape[0] <= 65_535 and max(shape[1:]) <= 255):
        raise ValueError(
            "latents must be 1 to 65,535 codes of at most 255 x 255 x 255 numbers, got "
            f"{tuple(shape)}"
        )
