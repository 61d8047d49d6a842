"""How evenly codes cover the sphere: the emptiest cap, what it weighs, and what chance does."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from vae_course.arguments import check_alike, check_whole
from vae_course.sphere.geometry import check_loc
from vae_course.sphere.uniform import SphericalUniform

# What a cap may hold of the reference: 1/64 to 1/2, each √2 times the one before.
SHARES = tuple(2.0 ** (-k / 2) for k in range(12, 1, -1))
# The uniform null is simulated with at most that many codes: n times the score has a limit law.
MOST_SIMULATED = 1000
ENTRIES = 2**22  # cosines held at once: 16 MB in float32
PATIENCE = 3.0  # seconds after which a progress bar shows


class Coverage(NamedTuple):
    """The emptiest cap that ``coverage`` found, and how empty chance makes one."""

    score: float
    """What the cap's emptiness is worth, in nats a code from 0, even coverage, to log 2."""
    centre: Float[Tensor, "d"]
    """Middle of the cap, a unit vector."""
    angle: float
    """Angle from the middle to the rim, in radians."""
    share: float
    """Share of the codes that lie in the cap."""
    expected: float
    """Share of the reference, or of the sphere's area, that lies in it."""
    null: Float[Tensor, "null"]
    """Scores of as many codes of evenly covering sets, in increasing order."""
    p_value: float
    """Share of such sets, this one among them, that score as high."""


@torch.no_grad()
def coverage(
    codes: Float[Tensor, "n d"],
    reference: Float[Tensor, "m d"] | None = None,
    *,
    centres: int = 1024,
    null: int = 100,
    seed: int = 0,
) -> Coverage:
    r"""Find the cap of the sphere that codes cover worst, and say whether chance explains it.

    .. math:: \max_{\text{caps},\, p < q}\ p \log\frac pq + (1 - p) \log\frac{1 - p}{1 - q}

    where p is the share of the codes in a cap and q the share that even coverage would put there.
    n times the score is the log likelihood ratio of a scan statistic. No cap's value exceeds the
    KL divergence of the codes' law from the even one, so the score is a bound on that, up to the
    noise that ``null`` shows; a cap of share q without any code scores :math:`-\log(1-q)`.

    *Even* is what the question says. Without a ``reference`` it is the uniform law, the prior: is
    there a place where the prior samples and no code is? But no trained model's codes are uniform,
    and a hole that a missing class leaves is not the largest one. With a ``reference``, of which
    the codes are a part, even is what the reference does: which place have the codes lost?

    Caps hold 1/64 to 1/2 of the reference (in eleven steps), around ``centres`` middles: points of
    the reference, or, against the uniform law, uniform points and antipodes of codes. In high
    dimension the antipodes find what points at random would not.

    Args:
        codes: unit vectors, for instance a draw from the posterior of each image; 2 or more.
        reference: None, or more codes than ``codes``, which are some of these.
        centres: how many middles are tried, at least 1.
        null: how many sets chance makes, at least 1: as many uniform points as codes (beyond
            1,000 of them 1,000, and the score scaled), or random parts of the reference.
        seed: of the middles and of the sets.

    Raises:
        TypeError: for codes or a reference that are no floating point tensors, or a number that is
            no int.
        ValueError: for codes that are not unit vectors, a reference of another dimension, dtype or
            device, or not larger than the codes, or a number below 1.

    It counts, so it is not for ``torch.func``, ``torch.compile`` or ``torch.export``. What
    takes longer than 3 seconds shows a progress bar. float32 is as good as float64.
    Source: Kulldorff 1997, *A spatial scan statistic*, for caps.
    """
    check_loc(codes, "codes")
    check_whole("centres", centres)
    check_whole("null", null)
    if codes.ndim != 2 or len(codes) < 2:
        raise ValueError(f"codes has shape {tuple(codes.shape)}: give (n, d) with n >= 2")
    generator = torch.Generator(codes.device).manual_seed(seed)
    if reference is not None:
        check_loc(reference, "reference")
        check_alike(codes=codes, reference=reference)
        if reference.ndim != 2 or reference.shape[1] != codes.shape[1]:
            raise ValueError(
                f"reference has shape {tuple(reference.shape)}: give (m, {codes.shape[1]}), the "
                "codes that codes is a part of"
            )
        if len(reference) <= len(codes):
            raise ValueError(
                f"reference has {len(reference)} codes and codes {len(codes)}: codes must be a "
                "part of the reference; leave it out to compare with the uniform law"
            )
    with torch.autocast(codes.device.type, enabled=False):  # it would round the cosines
        if reference is None:
            found, chance = _against_uniform(codes, centres, null, generator)
        else:
            found, chance = _against_reference(codes, reference, centres, null, generator)
    p_value = (1 + int((chance >= found.score).sum())) / (1 + null)
    return found._replace(null=chance.sort().values, p_value=p_value)


def _against_uniform(
    codes: Tensor, centres: int, null: int, generator: torch.Generator
) -> tuple[Coverage, Tensor]:
    n, d = codes.shape
    shares, rims = codes.new_tensor(SHARES), codes.new_tensor(_uniform_rims(d))
    uniform = SphericalUniform(d, dtype=codes.dtype, device=codes.device)

    def scan(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        random = uniform.sample((centres - centres // 2,), generator)
        middles = torch.cat([random, -_some(y, centres // 2, generator)])
        inside = [_inside(block, y, rims) for block in _blocks(middles, len(y))]
        share = torch.cat(inside)
        return middles, share, _emptiness(share, shares)

    middles, share, score = scan(codes)
    at, j = divmod(int(score.argmax()), len(SHARES))
    few = min(n, MOST_SIMULATED)
    tries = _progress(range(null), "set")
    sets = [scan(uniform.sample((few,), generator))[2].max() for _ in tries]
    chance = torch.stack(sets) * few / n
    return _found(score, share, at, j, middles, float(rims[j]), SHARES[j]), chance


def _against_reference(
    codes: Tensor, reference: Tensor, centres: int, null: int, generator: torch.Generator
) -> tuple[Coverage, Tensor]:
    n, m = len(codes), len(reference)
    counts = [max(1, round(share * m)) for share in SHARES]
    shares = codes.new_tensor(counts) / m
    middles = _some(reference, centres, generator)
    parts = codes.new_zeros(m, null)  # column b marks the b-th random part of the reference
    for b in range(null):
        parts[torch.randperm(m, generator=generator, device=codes.device)[:n], b] = 1 / n
    rims, inside, chance = [], [], codes.new_zeros(null)
    for block in _progress(_blocks(middles, m), "block"):
        cosine = block @ reference.mT
        ranked = cosine.topk(counts[-1] + 1, dim=1).values
        # Half-way to the next, so that rounding takes no code across the rim.
        rim = (ranked[:, [c - 1 for c in counts]] + ranked[:, counts]) / 2
        rims.append(rim)
        inside.append(_inside(block, codes, rim))
        held = torch.empty_like(cosine)
        for j in range(len(counts)):
            share = torch.ge(cosine, rim[:, j : j + 1], out=held) @ parts
            chance = torch.maximum(chance, _emptiness(share, shares[j]).amax(0))
    share = torch.cat(inside)
    score = _emptiness(share, shares)
    at, j = divmod(int(score.argmax()), len(SHARES))
    return _found(
        score, share, at, j, middles, float(torch.cat(rims)[at, j]), float(shares[j])
    ), chance


def _uniform_rims(d: int) -> list[float]:
    """Cosines at the edges of caps that hold ``SHARES`` of the sphere's area; right to 1e-6."""
    theta = np.linspace(0, math.pi / 2, 20_001)
    density = np.sin(theta) ** (d - 2)
    area = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    return np.cos(np.interp(SHARES, area / (2 * area[-1]), theta)).tolist()


def _found(
    score: Tensor, share: Tensor, at: int, j: int, middles: Tensor, rim: float, expected: float
) -> Coverage:
    return Coverage(
        score=float(score[at, j]),
        centre=middles[at],
        angle=math.acos(max(-1.0, min(1.0, rim))),
        share=float(share[at, j]),
        expected=expected,
        null=score.new_zeros(0),
        p_value=1.0,
    )


def _inside(middles: Tensor, codes: Tensor, rims: Tensor) -> Tensor:
    """Share of the codes in each cap: rims (k,) or (c, k) are the cosines at the caps' edges."""
    cosine, n = middles @ codes.mT, len(codes)  # (c, n)
    edges = rims.expand(len(middles), -1).unbind(1)
    # Ones and zeros by a product with ones: a third of the time of a sum, exact to 16 million.
    held, ones = cosine.new_empty(cosine.shape, dtype=torch.float32), cosine.new_ones(n).float()
    counts = [torch.ge(cosine, e.unsqueeze(1), out=held) @ ones for e in edges]
    return torch.stack(counts, 1) / n


def _emptiness(p: Tensor, q: Tensor) -> Tensor:
    """KL of Bernoulli laws of shares p and q where p < q, else 0."""
    nats = torch.xlogy(p, p / q) + torch.xlogy(1 - p, (1 - p) / (1 - q))
    return torch.where(p < q, nats, 0)


def _some(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of the points, without replacement; all of them if there are fewer."""
    return points[torch.randperm(len(points), generator=generator, device=points.device)[:count]]


def _progress(steps: Any, unit: str) -> Any:
    return tqdm(steps, "sphere.coverage", unit=unit, leave=False, delay=PATIENCE)


def _blocks(middles: Tensor, n: int) -> tuple[Tensor, ...]:
    return middles.split(max(1, ENTRIES // n))
