# %% right: recursion
def bessel_ratio(kappa, d, depth=0):
    if d + 2 * depth > 30 * kappa + 400:
        return 0.0
    return 1 / ((d + 2 * depth) / kappa + bessel_ratio(kappa, d, depth + 1)) if depth < 900 else 0.0


# %% right: SciPy's scaled Bessel functions
import scipy.special


def bessel_ratio(kappa, d):
    return scipy.special.ive(d / 2, kappa) / scipy.special.ive(d / 2 - 1, kappa)


# %% right: Lentz's way from above
def bessel_ratio(kappa, d):
    c, e, found = d / kappa, 0.0, d / kappa
    for j in range(1, 5000):
        b = (d + 2 * j) / kappa
        e, c = 1 / (b + e), b + 1 / c
        found *= c * e
        if abs(c * e - 1) < 1e-15:
            break
    return 1 / found


# %% right: a fold over the fraction, a NumPy scalar
import functools

import numpy as np


def bessel_ratio(kappa, d):
    terms = (d + 2 * np.arange(4000)[::-1]) / kappa
    return functools.reduce(lambda ratio, b: 1 / (b + ratio), terms, np.float64(0))


# %% right: a tensor of float64
def bessel_ratio(kappa, d):
    ratio = torch.zeros((), dtype=torch.float64)
    for j in reversed(range(2000)):
        ratio = (torch.tensor(d + 2.0 * j, dtype=torch.float64) / kappa + ratio).reciprocal()
    return ratio


# %% right: fifty digits
import mpmath


def bessel_ratio(kappa, d):
    with mpmath.workdps(50):
        nu = mpmath.mpf(d) / 2
        return float(mpmath.besseli(nu, kappa) / mpmath.besseli(nu - 1, kappa))


# %% right: starts where its terms begin to win, in float32
import numpy as np


def bessel_ratio(kappa, d):
    ratio, kappa = np.float32(0), np.float32(kappa)
    for j in range(2500, -1, -1):
        ratio = np.float32(1) / (np.float32(d + 2 * j) / kappa + ratio)
    return ratio


# %% right: quadrature over the latitudes
import numpy as np


def bessel_ratio(kappa, d):
    angle = (np.arange(2000) + 0.5) * np.pi / 2000  # midpoints: exact for what is smooth all around
    log = kappa * (np.cos(angle) - 1) + (d - 2) * np.log(np.sin(angle))
    weight = np.exp(log - log.max())
    return (weight * np.cos(angle)).sum() / weight.sum()


# %% right: SciPy's t tests, a list
import scipy.stats


def z_scores(t, kappa, d):
    a = bessel_ratio(kappa, d)
    exact = a, 1 - (d - 1) * a / kappa
    return [
        scipy.stats.ttest_1samp(x, e).statistic for x, e in zip((t.numpy(), t.numpy() ** 2), exact)
    ]


# %% right: one tensor of two
def z_scores(t, kappa, d):
    a = float(bessel_ratio(kappa, d))
    powers = torch.stack([t, t * t], dim=1)
    off = powers.mean(0) - torch.tensor([a, 1 - (d - 1) * a / kappa])
    return off * len(t) ** 0.5 / powers.std(0)


# %% right: NumPy with ddof, an array
import numpy as np


def z_scores(t, kappa, d):
    t = np.asarray(t)
    a = bessel_ratio(kappa, d)
    z = lambda x, e: (x.mean() - e) / np.sqrt(x.var(ddof=1) / x.size)
    return np.array([z(t, a), z(t**2, 1 - (d - 1) * a / kappa)])


# %% right: the standard library
import statistics


def z_scores(t, kappa, d):
    def z(values, exact):
        error = statistics.stdev(values) / math.sqrt(len(values))
        return (statistics.fmean(values) - exact) / error

    a, t = bessel_ratio(kappa, d), t.tolist()
    return z(t, a), z([x * x for x in t], 1 - (d - 1) * a / kappa)


# %% wrong: starts at the hundredth step
def bessel_ratio(kappa, d):
    ratio = 0.0
    for j in range(100, -1, -1):
        ratio = 1 / ((d + 2 * j) / kappa + ratio)
    return ratio


# %% wrong: rounded to five digits
def bessel_ratio(kappa, d, right=bessel_ratio):
    return round(right(kappa, d), 5)


# %% wrong: two terms of large kappa
def bessel_ratio(kappa, d):
    return 1 - (d - 1) / (2 * kappa) + (d - 1) * (d - 3) / (8 * kappa**2)


# %% wrong: small kappa
def bessel_ratio(kappa, d):
    return kappa / d


# %% wrong: a bound that is nearly right
def bessel_ratio(kappa, d):
    return kappa / ((d - 1) / 2 + math.sqrt(kappa**2 + ((d + 1) / 2) ** 2))


# %% wrong: another bound
def bessel_ratio(kappa, d):
    return 2 * kappa / (d + math.sqrt(d**2 + 4 * kappa**2))


# %% wrong: the order of the Bessel functions one too high
def bessel_ratio(kappa, d, right=bessel_ratio):
    return right(kappa, d + 2)


# %% wrong: the fraction from above, a hundred steps of it the other way
def bessel_ratio(kappa, d):
    ratio = 0.0
    for j in range(1500):
        ratio = 1 / ((d + 2 * j) / kappa + ratio)
    return ratio


# %% wrong: Bessel functions that overflow
import numpy as np
import scipy.special


def bessel_ratio(kappa, d):
    with np.errstate(all="ignore"):
        return float(scipy.special.iv(d / 2, kappa) / scipy.special.iv(d / 2 - 1, kappa))


# %% wrong: n for n - 1
def z_scores(t, kappa, d):
    a = bessel_ratio(kappa, d)
    powers = torch.stack([t, t**2])
    exact = torch.tensor([a, 1 - (d - 1) * a / kappa])
    z = (powers.mean(1) - exact) / powers.std(1, correction=0) * math.sqrt(len(t))
    return z[0].item(), z[1].item()


# %% wrong: the exact law's spread for the mean
def z_scores(t, kappa, d, right=z_scores):
    a = bessel_ratio(kappa, d)
    second = 1 - (d - 1) * a / kappa
    first = (t.mean().item() - a) / math.sqrt((second - a * a) / len(t))
    return first, right(t, kappa, d)[1]


# %% wrong: the spread of t for both
def z_scores(t, kappa, d):
    a, error = bessel_ratio(kappa, d), t.std().item() / len(t) ** 0.5
    return (t.mean().item() - a) / error, ((t**2).mean().item() - 1 + (d - 1) * a / kappa) / error


# %% wrong: the mean of the scores of each draw, divided once more
def z_scores(t, kappa, d, right=z_scores):
    first, second = right(t, kappa, d)
    return first / math.sqrt(len(t)), second / math.sqrt(len(t))


# %% wrong: exact less measured
def z_scores(t, kappa, d, right=z_scores):
    first, second = right(t, kappa, d)
    return -first, -second


# %% wrong: the second before the first
def z_scores(t, kappa, d, right=z_scores):
    return right(t, kappa, d)[::-1]


# %% wrong: d for d - 1 in the second moment
def z_scores(t, kappa, d, right=z_scores):
    a = bessel_ratio(kappa, d)
    square = t**2
    second = (square.mean() - 1 + d * a / kappa) / square.std() * len(t) ** 0.5
    return right(t, kappa, d)[0], second.item()


# %% wrong: two exact ones
verdict = {"A": "constant", "B": "exact", "C": "exact"}


# %% wrong: all in another place
verdict = {"A": "exact", "B": "constant", "C": "thin"}
