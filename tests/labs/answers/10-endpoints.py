# %% right: NumPy
import numpy as np


def inner_share(valid):
    return np.asarray(valid)[:, 1:-1].mean()


def without_ends(share, points, ends):
    return np.float64((points * share - 2 * ends) / (points - 2))


def wilson(share, n, z=1.96):
    z2 = z**2 / n
    half = z * np.sqrt(share * (1 - share) / n + z2 / (4 * n))
    return np.clip(np.array([share + z2 / 2 - half, share + z2 / 2 + half]) / (1 + z2), 0, 1)


def effective_trials(valid):
    inner = np.asarray(valid)[:, 1:-1]
    p, s2 = inner.mean(), inner.mean(axis=1).var(ddof=1)
    if s2 < 1e-15 or p in (0, 1):
        return inner.size
    return min(inner.size, len(inner) * p * (1 - p) / s2)


# %% right: lists and Python's statistics
import statistics


def inner_share(valid):
    return statistics.fmean(v for row in valid.tolist() for v in row[1:-1])


def effective_trials(valid):
    rows = [row[1:-1] for row in valid.tolist()]
    size = sum(map(len, rows))
    means = [statistics.fmean(row) for row in rows]
    p, s2 = statistics.fmean(means), statistics.variance(means)
    return min(size, p * (1 - p) / (s2 / len(rows))) if s2 > 0 else size


# %% right: numbers without dimensions
import torch


def inner_share(valid):
    return valid[:, 1:-1].float().mean()


def effective_trials(valid):
    inner = valid[:, 1:-1]
    p, s2 = inner.mean(), inner.mean(1).var()
    worth = torch.nan_to_num(p * (1 - p) * len(valid) / s2, nan=torch.inf, posinf=torch.inf)
    return torch.minimum(worth, torch.tensor(float(inner.numel())))


# %% right: sums less the ends
def inner_share(valid):
    inside = valid.sum() - valid[:, 0].sum() - valid[:, -1].sum()
    return (inside / (valid.numel() - 2 * len(valid))).item()


# %% right: fractions
from fractions import Fraction


def inner_share(valid):
    inner = valid[:, 1:-1]
    return Fraction(int(inner.sum()), inner.numel())


def without_ends(share, points, ends):
    return float((Fraction(share) * points - 2 * Fraction(ends)) / (points - 2))


# %% right: an equation solved
from scipy.optimize import brentq


def without_ends(share, points, ends):
    def off(inside):
        return (2 * ends + (points - 2) * inside) / points - share

    return brentq(off, -5, 5)


# %% right: the roots of the score equation
import numpy as np


def wilson(share, n, z=1.96):
    roots = np.roots([1 + z**2 / n, -(2 * share + z**2 / n), share**2])
    return sorted(roots.real.tolist())


# %% right: tensors, a stack of two
import torch


def wilson(share, n, z=1.96):
    q, z = torch.tensor(share, dtype=torch.float64), torch.tensor(z, dtype=torch.float64)
    centre = (q * n + z**2 / 2) / (n + z**2)
    reach = z / (n + z**2) * (n * q * (1 - q) + z**2 / 4).sqrt()
    return torch.stack([centre - reach, centre + reach])


# %% right: a named pair, clipped
from collections import namedtuple

Interval = namedtuple("Interval", "low high")


def wilson(p, trials, z=1.96, right=wilson):
    low, high = right(p, trials, z)
    return Interval(max(low, 0.0), min(high, 1.0))


# %% right: by the formula for cluster samples
def effective_trials(valid):
    inner = valid[:, 1:-1]
    p = inner.mean()
    error = ((inner.mean(1) - p) ** 2).sum() / (len(inner) * (len(inner) - 1))
    if error.item() == 0:
        return float(inner.numel())
    return min((p * (1 - p) / error).item(), inner.numel() * 1.0)


# %% wrong: leaves out the first two points
def inner_share(valid):
    return valid[:, 2:].mean().item()


# %% wrong: the mean of the paths' medians
def inner_share(valid):
    return valid[:, 1:-1].median(1).values.mean().item()


# %% wrong: paths with a broken end do not count
def inner_share(valid):
    good = valid[:, 0] * valid[:, -1] > 0
    return valid[good, 1:-1].sum().item() / max(1, valid[:, 1:-1].numel())


# %% wrong: one end
def without_ends(share, points, ends):
    return (share * points - ends) / (points - 1)


# %% wrong: eleven points, whatever is told
def without_ends(share, points, ends):
    return (share * 11 - 2 * ends) / 9


# %% wrong: subtracts the shares
def without_ends(share, points, ends):
    return share - 2 * (ends - share) / points


# %% wrong: a z of 1.96, whatever is told
def wilson(share, n, z=1.96, right=wilson):
    return right(share, n, 1.96)


# %% wrong: two more of each kind
import math


def wilson(share, n, z=1.96):
    p = (share * n + 2) / (n + 4)
    reach = z * math.sqrt(p * (1 - p) / (n + 4))
    return p - reach, p + reach


# %% wrong: whole trials
def wilson(share, n, z=1.96, right=wilson):
    return right(share, max(1, int(n)), z)


# %% wrong: exact limits
from scipy.stats import beta, norm


def wilson(share, n, z=1.96):
    k, tail = share * n, norm.sf(z)
    low = beta.ppf(tail, k, n - k + 1) if k > 0 else 0.0
    high = beta.isf(tail, k + 1, n - k) if k < n else 1.0
    return float(low), float(high)


# %% wrong: the upper end first
def wilson(share, n, z=1.96, right=wilson):
    return right(share, n, z)[::-1]


# %% wrong: at the ends no interval
def wilson(share, n, z=1.96, right=wilson):
    return (share, share) if share in (0, 1) else right(share, n, z)


# %% wrong: the biased variance
def effective_trials(valid):
    inner = valid[:, 1:-1]
    p, s2 = inner.mean().item(), inner.mean(1).var(correction=0).item()
    if s2 == 0:
        return float(inner.numel())
    return min(float(inner.numel()), p * (1 - p) * len(inner) / s2)


# %% wrong: the ends take part
def effective_trials(valid):
    p, s2 = valid.mean().item(), valid.mean(1).var().item()
    if s2 == 0:
        return float(valid[:, 1:-1].numel())
    return min(float(valid[:, 1:-1].numel()), p * (1 - p) * len(valid) / s2)


# %% wrong: as many as all points, ends and all
def effective_trials(valid):
    inner = valid[:, 1:-1]
    p, s2 = inner.mean().item(), inner.mean(1).var().item()
    if s2 == 0:
        return float(inner.numel())
    return min(float(valid.numel()), p * (1 - p) * len(inner) / s2)


# %% wrong: whole numbers
def effective_trials(valid, right=effective_trials):
    return round(right(valid))


# %% wrong: never less than a path
def effective_trials(valid, right=effective_trials):
    return max(float(len(valid)), right(valid))


# %% wrong: a deviation for a variance
def effective_trials(valid):
    inner = valid[:, 1:-1]
    p, s = inner.mean().item(), inner.mean(1).std().item()
    if s == 0:
        return float(inner.numel())
    return min(float(inner.numel()), p * (1 - p) * len(inner) / s)


# %% wrong: an epsilon under the variance
def effective_trials(valid):
    inner = valid[:, 1:-1]
    p, s2 = inner.mean().item(), inner.mean(1).var().item()
    return min(float(inner.numel()), p * (1 - p) * len(inner) / (s2 + 1e-3))
