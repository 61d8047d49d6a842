"""Where a centre that is of little use goes: to a vector that is far from every other centre."""

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor


def draw(distance: Float[Tensor, "n"], generator: Generator) -> int:
    """The number of one vector, drawn in proportion to the squared distances.

    A race of exponential variables, drawn on the CPU: the same winner on every machine.
    """
    race = torch.empty(len(distance), dtype=distance.dtype, device="cpu")
    race.exponential_(generator=generator)
    return int((distance / race.to(distance.device)).argmax())


def beside(
    z: Float[Tensor, "n d"], distance: Float[Tensor, "n"], chosen: int
) -> Float[Tensor, "n"]:
    """Squared distances to the nearest centre once there is one on the chosen vector too."""
    return torch.minimum(distance, (z - z[chosen]).square().sum(1))


def spread_out(
    z: Float[Tensor, "n d"], distance: Float[Tensor, "n"], count: int, generator: Generator
) -> tuple[list[int], Float[Tensor, "n"]]:
    """Up to ``count`` vectors, one after the other: the seeding of k-means++.

    Each is drawn in proportion to its squared distance to the nearest centre, those just placed
    included; fewer, once every vector is a centre. Source: Arthur and Vassilvitskii 2007.
    """
    chosen: list[int] = []
    while len(chosen) < count and distance[i := draw(distance, generator)] > 0:
        chosen.append(i)
        distance = beside(z, distance, i)
    return chosen, distance


def seeds(
    z: Float[Tensor, "n d"], count: int, generator: Generator
) -> tuple[list[int], Float[Tensor, "n"]]:
    """The same where there is no centre yet: the first is drawn evenly."""
    first = int(torch.randint(len(z), (), generator=generator, device="cpu"))
    chosen, distance = spread_out(z, (z - z[first]).square().sum(1), count - 1, generator)
    return [first, *chosen], distance


def cost_of_merging(
    codebook: Float[Tensor, "k d"], mass: Float[Tensor, "k"], *, chunk: int
) -> tuple[Float[Tensor, "k"], Int64[Tensor, "k"]]:
    r"""By how much the loss grows if a centre and the one nearest to it become one; which that is.

    .. math:: \frac{m_k m_j}{m_k + m_j} \|e_k - e_j\|^2

    for means of masses m: an upper bound, as their vectors may also go elsewhere. Memory
    chunk · K. Source: Ward 1963.
    """
    centres = codebook - codebook.mean(0)
    half_norm = centres.square().sum(1) / 2
    other = torch.empty(len(codebook), dtype=torch.int64, device=codebook.device)
    for start in range(0, len(codebook), chunk):
        score = torch.addmm(half_norm, centres[start : start + chunk], centres.T, beta=-1)
        score.diagonal(start).fill_(-torch.inf)  # not itself
        other[start : start + chunk] = score.argmax(1)
    apart = (codebook - codebook[other]).square().sum(1)  # differences first, where it counts
    return mass * mass[other] / (mass + mass[other]).clamp_min(1e-30) * apart, other
