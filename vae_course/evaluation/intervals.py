"""How sure a measured share or mean is: confidence intervals that hold for few cases too."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor


class Interval(NamedTuple):
    """A value, its confidence interval, and the number of cases behind it."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n}"


class Estimate(NamedTuple):
    """A value that was computed from a sample, one standard error, and its 95 % interval."""

    value: float
    error: float
    low: float
    high: float
    truncation: float = 0.0
    """By how much the interval is wider on either side because a computation was cut short."""
    n: int = 0
    """Independent cases behind the error; 0 for what is exact."""
    products: int = 0
    """What it cost, in products with a Jacobian or its transpose."""

    def __str__(self) -> str:
        return f"{self.value:.3g} ± {self.error:.1g}"

    @classmethod
    def t(
        cls, value: float, error: float, n: int, *, truncation: float = 0.0, products: int = 0
    ) -> "Estimate":
        """With Student's interval of n - 1 degrees of freedom; an infinite error for n = 1 says
        that one case shows none."""
        half = truncation
        if error:
            half += error * float(stdtrit(n - 1, 0.975)) if n > 1 else math.inf
        return cls(value, error, value - half, value + half, truncation, n, products)

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """The mean of two or more independent values."""
        cases = torch.as_tensor(values, dtype=torch.float64, device="cpu")
        error = cases.std().item() / len(cases) ** 0.5
        return cls.t(cases.mean().item(), error, len(cases))

    @classmethod
    def exact(cls, value: float) -> "Estimate":
        """A value without an error."""
        return cls(value, 0.0, value, value)


def wilson(hits: int, n: int, *, level: float = 0.95) -> Interval:
    r"""The share of ``hits`` among n independent cases, with Wilson's score interval.

    .. math:: \frac{\hat p + \frac{q^2}{2n} \pm q \sqrt{\frac{\hat p (1 - \hat p)}{n}
              + \frac{q^2}{4n^2}}}{1 + \frac{q^2}{n}}

    where q is the normal quantile (1.96 at ``level`` 0.95): all p whose test at that level accepts
    the count. Unlike :math:`\hat p \pm q\,\mathrm{sd}` it has a width at 0 and at n hits, and stays
    in [0, 1]. Of no cases: value 0, interval [0, 1].

    Raises:
        ValueError: unless 0 <= hits <= n and 0 < level < 1.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001 on why this one.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"hits={hits}, n={n}: hits must lie between 0 and n")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: must lie between 0 and 1, usually 0.95")
    if n == 0:
        return Interval(0.0, 0.0, 1.0, 0)
    q2, p = statistics.NormalDist().inv_cdf((1 + level) / 2) ** 2, hits / n
    middle, scale = p + q2 / (2 * n), 1 + q2 / n
    half = (q2 * (p * (1 - p) / n + q2 / (4 * n**2))) ** 0.5
    low = 0.0 if hits == 0 else (middle - half) / scale  # exact there, but for rounding
    high = 1.0 if hits == n else (middle + half) / scale
    return Interval(p, low, high, n)


def bootstrap(
    values: Sequence[float], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Interval:
    """The mean of independent cases, with the percentile interval of resampled means.

    For what is no count: one validity a path, or the difference of two models on the same
    molecule (the interval of a *paired* difference). Give one value for each independent case: the
    points of one path are not. Cases that are all alike give no width, and then it says nothing:
    see ``wilson``. ValueError for no values or a level outside (0, 1). Source: Efron 1979.
    """
    if not len(values):
        raise ValueError("values is empty: give one number a case")
    if draws < 1:
        raise ValueError(f"draws={draws}: take at least 1; 2000 is usual")
    if not 0 < level < 1:
        raise ValueError(f"level={level}: must lie between 0 and 1, usually 0.95")
    cases = torch.as_tensor(values, dtype=torch.float64, device="cpu")
    generator = torch.Generator("cpu").manual_seed(seed)

    def resampled() -> Tensor:
        chosen = torch.randint(len(cases), cases.shape, generator=generator, device="cpu")
        return cases[chosen].mean()

    means = torch.stack([resampled() for _ in range(draws)])
    low, high = means.quantile(cases.new_tensor([(1 - level) / 2, (1 + level) / 2])).tolist()
    return Interval(float(cases.mean()), low, high, len(cases))
