"""Two rate-distortion curves under one tangent: lower everywhere, yet not cheaper at each price."""

import itertools
import math
from typing import NamedTuple

import torch
import traitlets
from jaxtyping import Float
from torch import Tensor

from vae_course.distortion import blahut_arimoto
from vae_course.figures.base import Figure

PER_OCTAVE = 20  # prices of the slider from β to 2β
_WIDER = (2, 4)  # octaves that the curves are drawn beyond the slider's ends, 5 points each

_CSS = """
.vf-two-curves .vf-plane, .vf-two-curves .vf-side { flex: 1 1 290px; max-width: none; }
.vf-two-curves canvas { touch-action: manipulation; }
.vf-two-curves .vf-canvas { cursor: ew-resize; }
.vf-two-curves .vf-handle { cursor: ew-resize; }
.vf-two-curves .vf-channels { display: grid; gap: .75rem; grid-template-columns: repeat(4, 1fr);
  max-width: 34rem; }
.vf-two-curves figcaption { font-size: 13px; line-height: 1.3; color: var(--vf-muted);
  margin-top: .25rem; }
.vf-two-curves .vf-readout { min-height: 3em; }
"""


class Example(NamedTuple):
    """Two distortions on the same symbols, the second nowhere above the first."""

    first: Float[Tensor, "n n"]
    """Hamming distance, 0 for the right symbol and 1 for any other."""
    second: Float[Tensor, "n n"]
    """The same, but blind to which member of a pair it is."""


def four_symbols() -> Example:
    r"""The four-symbol example: a weaker distortion that costs more nats at a large price.

    .. math:: d_1(x, y) = [x \ne y], \qquad
              d_2(x, y) = [\lfloor x/2 \rfloor \ne \lfloor y/2 \rfloor], \qquad x, y \in \{0,1,2,3\}

    Shapes (4, 4), float64. Source: derived, see chapter 11.
    """
    symbol = torch.arange(4)
    first = (symbol[:, None] != symbol).double()
    second = (symbol[:, None] // 2 != symbol // 2).double()
    return Example(first, second)


class TwoCurves(Figure, js="two_curves.js", css=_CSS):
    r"""Rate against distortion for two distortions, with the tangent of a price that one slides.

    .. math:: \min_{q(y \mid x)} \; D + \beta R, \qquad \frac{dR}{dD} = -\frac1\beta

    At a price β the optimum on each curve is where a line of slope -1/β touches it. Beside the
    plane of distortion and rate, the two rates run over β, and cross where one of them has to pass
    the other. All points are the library's ``blahut_arimoto``, on 20 prices an octave; the
    crossings are bisected to 1e-6. Below: both distortions and their optimal channels.

    After the reader's last touch the trait ``beta`` holds her price, one of ``prices``; setting it
    from Python moves the figure to the nearest.

    Args:
        first: Distortion d₁, (n, m) from n symbols to m reproductions, both from 2 to 16, finite
            and not negative; default: ``four_symbols``.
        second: Distortion d₂, as d₁; default: ``four_symbols``.
        p: Probabilities of the n symbols, not negative, of sum 1; default: all equal.
        beta: The price that is shown first.
        betas: The least and the largest price of the slider, positive, at most a factor of 1024
            apart.
        names: What the two distortions are called.

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
    """

    prices = traitlets.List(traitlets.Float()).tag(sync=True)
    points = traitlets.Bytes().tag(sync=True)  # float32 (2, prices, 2): rate and distortion
    channels = traitlets.Bytes().tag(sync=True)  # float32 (2, prices of the slider, n, m)
    # [first, last] place of the slider in ``prices``
    ends = traitlets.List(traitlets.Int()).tag(sync=True)
    crossings = traitlets.List(traitlets.Float()).tag(sync=True)
    # the two distortions, (n, m)
    costs = traitlets.List(traitlets.List(traitlets.List(traitlets.Float()))).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    beta = traitlets.Float().tag(sync=True)

    def __init__(
        self,
        first: Float[Tensor, "n m"] | None = None,
        second: Float[Tensor, "n m"] | None = None,
        p: Float[Tensor, "n"] | None = None,
        *,
        beta: float = 0.5,
        betas: tuple[float, float] = (0.25, 8.0),
        names: tuple[str, str] = ("d₁", "d₂"),
    ) -> None:
        example = four_symbols()
        first = example.first if first is None else first.detach().double()
        second = example.second if second is None else second.detach().double()
        costs = [first, second]
        if (
            first.shape != second.shape
            or first.ndim != 2
            or not 2 <= min(first.shape) <= max(first.shape) <= 16
        ):
            raise ValueError(
                "first and second must both be (n, m) with n and m from 2 to 16, got "
                f"{tuple(first.shape)} and {tuple(second.shape)}"
            )
        if not all((cost.isfinite() & (cost >= 0)).all() for cost in costs):
            raise ValueError("first and second must be finite and not negative")
        p = torch.full(first.shape[:1], 1 / len(first)) if p is None else p.detach()
        p = p.double()
        if p.shape != first.shape[:1]:
            raise ValueError(f"p must be (n,) = ({len(first)},), got {tuple(p.shape)}")
        low, high = betas
        if not (0 < low < high <= 1024 * low and math.isfinite(high)):
            raise ValueError(
                f"betas must be positive, rising and at most a factor of 1024 apart, got {betas}"
            )
        if not low <= beta <= high:
            raise ValueError(f"beta must be in [{low:g}, {high:g}], got {beta}")
        steps = max(1, round(PER_OCTAVE * math.log2(high / low)))
        before, after = (5 * octaves for octaves in _WIDER)
        prices = [low * 2 ** (k / 5) for k in range(-before, 0)]
        prices += [low * (high / low) ** (k / steps) for k in range(steps + 1)]
        prices += [high * 2 ** (k / 5) for k in range(1, after + 1)]
        inside = slice(before, before + steps + 1)  # the slider's
        found = [[blahut_arimoto(p, cost, price) for price in prices] for cost in costs]
        points = torch.tensor(
            [[[float(o.rate), float(o.distortion)] for o in row] for row in found],
            dtype=torch.float64,
        )
        channels = torch.stack([torch.stack([o.channel for o in row[inside]]) for row in found])
        super().__init__(
            prices=prices,
            points=points.numpy().astype("<f4").tobytes(),
            channels=channels.numpy().astype("<f4").tobytes(),
            ends=[before, before + steps],
            crossings=_crossings(p, costs, prices[inside], points[:, inside, 0]),
            costs=[cost.tolist() for cost in costs],
            names=list(names),
            beta=float(beta),
        )


def _crossings(p: Tensor, costs: list[Tensor], prices: list[float], rates: Tensor) -> list[float]:
    """Where the two rates change their order, bisected; rates that are as good as equal do not."""

    def gap(beta: float) -> float:
        one, other = (float(blahut_arimoto(p, cost, beta).rate) for cost in costs)
        return one - other

    found = []
    gaps = (rates[0] - rates[1]).tolist()
    apart = [(beta, ahead) for beta, ahead in zip(prices, gaps, strict=True) if abs(ahead) > 1e-6]
    for (low, here), (high, there) in itertools.pairwise(apart):
        if here * there < 0:
            while high - low > 1e-6 * low:
                middle = (low + high) / 2
                low, high = (middle, high) if gap(middle) * here > 0 else (low, middle)
            found.append((low + high) / 2)
    return found
