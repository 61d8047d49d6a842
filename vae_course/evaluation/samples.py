"""Are generated samples like real ones?"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_tensor

ENTRIES = 2**22  # distances held at once: 32 MB in float64
# Squared distances below this share of the squared norms are rounding of the Gram form: they are 0.
ROUNDING = 1e-12


class PrecisionRecall(NamedTuple):
    """Share of generated samples that look real, and of real samples that are generated."""

    precision: float
    recall: float


@torch.no_grad()
def energy_distance(
    a: Float[Tensor, "n *event"], b: Float[Tensor, "m *event"], *, unbiased: bool = True
) -> float:
    r"""How far two samples' distributions are apart: 0 when equal, in the data's own unit.

    .. math:: 2\,E\|A-B\| - E\|A-A'\| - E\|B-B'\|

    By default each E within a set is the mean over its n(n - 1) ordered pairs of *distinct*
    samples: a U-statistic, whose expectation is the distance of the two distributions at every n
    and m. Two samples of one distribution therefore score 0 on average, and below it about as
    often as above: a slightly negative value says "no difference seen".

    ``unbiased=False`` takes plain means over all pairs, a sample and itself included: a
    V-statistic, never negative (but for rounding), 0 for two copies of one set, and in one
    dimension the square of SciPy's ``energy_distance``. It is larger by exactly

    .. math:: V - U = \frac{w_a}{n} + \frac{w_b}{m}

    with :math:`w_a, w_b` the mean distances of distinct samples of a set, so that it compares
    sets of equal sizes only. Euclidean norm over all event dimensions; computed in float64 without
    ever holding all pairs. It counts, without gradient, so it is not for ``torch.func``,
    ``torch.compile`` or ``torch.export``.

    Source: Székely, Rizzo 2013, *Energy statistics*; the unbiased form: Gretton et al. 2012, of
    which this is the case of the kernel :math:`-\|a-b\|`.

    Raises:
        ValueError: For a set of fewer than 2 samples (1 if not ``unbiased``), event shapes that
            differ, or a non-finite value.
    """
    a, b = _flat(a, b, "a", "b", at_least=2 if unbiased else 1)

    def within(x: Tensor) -> float:
        return _total_distance(x, x) / (len(x) * (len(x) - 1 if unbiased else len(x)))

    return 2 * _total_distance(a, b) / (len(a) * len(b)) - within(a) - within(b)


@torch.no_grad()
def precision_recall(
    generated: Float[Tensor, "n *event"], reference: Float[Tensor, "m *event"], k: int = 3
) -> PrecisionRecall:
    r"""k-nearest-neighbour precision and recall of generated samples: read them as a pair.

    .. math:: \text{precision} = \frac1n\sum_{g} \mathbb 1\big[\exists r:\ \|g-r\|\le\rho_k(r)\big],
              \qquad
              \text{recall} = \frac1m\sum_{r} \mathbb 1\big[\exists g:\ \|r-g\|\le\rho_k(g)\big]

    where :math:`\rho_k(r)` is the distance of r to its k-th nearest neighbour within its own set,
    itself not counted. Euclidean distance on what is passed in (here: pixels).

    **Each alone is fooled.** A collapsed model that always draws the mean image has precision 1 and
    recall 0; samples scattered far apart have huge balls, so recall near 1 and precision near 0.

    Images closer than about 1e-6 of their distance from the set's mean count as equal. What two
    samples of one distribution score is no 1: see ``nulls.precision_recall``. float64. It counts,
    without gradient, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``.

    Source: Kynkäänniemi et al. 2019, *Improved precision and recall metric*.

    Raises:
        ValueError: For a set of k images or fewer, k < 1, event shapes that differ, or a
            non-finite value.
    """
    if k < 1:
        raise ValueError(f"k is {k}: it must be at least 1")
    g, r = _flat(generated, reference, "generated", "reference", at_least=k + 1)
    return PrecisionRecall(precision=_share_covered(g, r, k), recall=_share_covered(r, g, k))


def _share_covered(points: Tensor, centres: Tensor, k: int) -> float:
    """Share of the points that lie in at least one centre's ball, its radius from the centres."""
    radii = []
    for start, block in _distance_blocks(centres, centres):
        rows = torch.arange(len(block), device=block.device)
        block[rows, rows + start] = torch.inf  # a centre is not its own neighbour
        radii.append(block.kthvalue(k, dim=1).values)
    radius = torch.cat(radii)
    covered = sum(int((d <= radius).any(1).sum()) for _, d in _distance_blocks(points, centres))
    return covered / len(points)


def _total_distance(a: Tensor, b: Tensor) -> float:
    return sum(d.sum().item() for _, d in _distance_blocks(a, b))


def _distance_blocks(a: Tensor, b: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Pairs (first row, distances of some rows of a to all of b).

    By the Gram form |a|² + |b|² - 2ab: a matrix product, many times faster than differences.
    Centring on b and float64 keep the cancellation below ``ROUNDING``.
    """
    centre = b.mean(0)
    a, b = a - centre, b - centre
    norms = b.square().sum(1)
    rows = max(1, ENTRIES // len(b))
    for start in range(0, len(a), rows):
        block = a[start : start + rows]
        scale = block.square().sum(1, keepdim=True) + norms
        squared = torch.addmm(scale, block, b.T, alpha=-2)
        yield start, squared.where(squared > ROUNDING * scale, 0).sqrt()


def _flat(a: Tensor, b: Tensor, name_a: str, name_b: str, at_least: int) -> tuple[Tensor, Tensor]:
    for name, x in ((name_a, a), (name_b, b)):
        if check_tensor(name, x).ndim < 1 or x.is_complex():
            raise ValueError(
                f"{name} has shape {tuple(x.shape)} and dtype {x.dtype}: give (n, *event), real"
            )
        if len(x) < at_least:
            raise ValueError(f"{name} has {len(x)} samples: at least {at_least} are needed")
        if 0 in x.shape:
            raise ValueError(f"{name} has shape {tuple(x.shape)}: its events are empty")
        check_finite(**{name: x})
    check_alike(**{name_a: a.double(), name_b: b.double()})
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(
            f"{name_a} and {name_b} must have one event shape: "
            f"they have {tuple(a.shape[1:])} and {tuple(b.shape[1:])}"
        )
    if a.device.type == "mps":  # has no float64
        a, b = a.cpu(), b.cpu()
    return a.double().reshape(len(a), -1), b.double().reshape(len(b), -1)
