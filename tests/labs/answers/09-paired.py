# %% right: NumPy throughout
import numpy as np


def at_rate(rates, distortions, target):
    order = np.argsort(np.asarray(rates))
    return np.interp(target, np.asarray(rates)[order], np.asarray(distortions)[order])


def paired(a, b):
    d = np.asarray(a) - np.asarray(b)
    return np.mean(d), np.std(d, ddof=1) / np.sqrt(d.size)


def sign_p(a, b):
    from scipy.stats import binom

    wins = np.sum(np.asarray(a) > np.asarray(b))
    return np.minimum(1.0, 2 * binom.cdf(min(wins, len(a) - wins), len(a), 0.5))


# %% right: SciPy
from scipy.interpolate import interp1d
from scipy.stats import binomtest, sem


def at_rate(rates, distortions, target):
    return interp1d(rates.numpy(), distortions.numpy())(target)


def paired(a, b):
    return [(a - b).mean().item(), sem((a - b).numpy())]


def sign_p(a, b):
    return binomtest(int((a < b).sum()), len(a)).pvalue


# %% right: loops and fractions
import math
from fractions import Fraction


def at_rate(rates, distortions, target):
    runs = sorted(zip(rates.tolist(), distortions.tolist()))
    for (r0, d0), (r1, d1) in zip(runs, runs[1:]):
        if r0 <= target <= r1:
            return ((r1 - target) * d0 + (target - r0) * d1) / (r1 - r0)


def sign_p(a, b):
    n = len(a)
    wins = sum(x > y for x, y in zip(a.tolist(), b.tolist()))
    worst = abs(2 * wins - n)
    return Fraction(sum(math.comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= worst), 2**n)


# %% right: statistics from Python's library
import statistics


def paired(a, b):
    d = [x - y for x, y in zip(a.tolist(), b.tolist())]
    return statistics.fmean(d), statistics.stdev(d) / len(d) ** 0.5


# %% right: a tensor of two
import torch


def paired(a, b):
    d = a - b
    centred = d - d.mean()
    n = len(d)
    return torch.stack([d.mean(), (centred @ centred / (n * (n - 1))).sqrt()])


# %% right: from variances and a covariance
import torch


def paired(a, b):
    table = torch.cov(torch.stack([a, b]))
    return (a.mean() - b.mean()), ((table[0, 0] + table[1, 1] - 2 * table[0, 1]) / len(a)) ** 0.5


# %% right: numbers without dimensions
import torch


def at_rate(rates, distortions, target):
    low = rates.masked_fill(rates > target, -torch.inf).argmax()
    high = rates.masked_fill(rates < target, torch.inf).argmin()
    share = (target - rates[low]) / (rates[high] - rates[low])
    return torch.lerp(distortions[low], distortions[high], share)


def sign_p(a, b, right=sign_p):
    return torch.tensor(right(a, b))


# %% right: all coins, tossed one by one where they are few
import itertools
import math


def sign_p(a, b):
    n, wins = len(a), int((a > b).sum())
    if n > 12:
        k = min(wins, n - wins)
        return min(1.0, sum(math.comb(n, j) for j in range(k + 1)) / 2 ** (n - 1))
    score = abs(wins - n / 2)
    tosses = list(itertools.product([0, 1], repeat=n))
    return sum(abs(sum(t) - n / 2) >= score for t in tosses) / len(tosses)


# %% right: by an incomplete beta function
from scipy.special import betainc


def sign_p(first, second):
    n = len(first)
    most = max(int((first > second).sum()), int((second > first).sum()))
    return min(1.0, 2 * float(betainc(most, n - most + 1, 0.5)))


# %% right: single precision inside
def at_rate(rates, distortions, target):
    r, d = rates.float(), distortions.float()
    order = r.argsort(descending=True)
    r, d = r[order], d[order]
    i = int((r > target).sum())
    return float(d[i] + (target - r[i]) * (d[i - 1] - d[i]) / (r[i - 1] - r[i]))


# %% right: the verdict from the runs
import torch

gaps = {"equal price": [], "equal rate": []}
for s in range(5):
    (gr, gd), (sr, sd) = ((x[:, s] for x in runs[f]) for f in ("Gauss", "sphere"))
    gaps["equal price"].append(float(sd[1] - gd[1]))
    gaps["equal rate"].append(at_rate(sr, sd, 10.0) - at_rate(gr, gd, 10.0))
verdict = {
    k: "sphere" if max(g) < 0 else "Gauss" if min(g) > 0 else "open" for k, g in gaps.items()
}

# %% wrong: interpolates the logarithm of the distortion
import math


def at_rate(rates, distortions, target, right=at_rate):
    return math.exp(right(rates, distortions.abs().log(), target))


# %% wrong: the mean of the two neighbours
def at_rate(rates, distortions, target):
    order = rates.argsort()
    rates, distortions = rates[order], distortions[order]
    i = int((rates < target).sum())
    return ((distortions[i - 1] + distortions[i]) / 2).item()


# %% wrong: a parabola through all
import numpy as np


def at_rate(rates, distortions, target):
    return float(np.polyval(np.polyfit(rates.numpy(), distortions.numpy(), 2), target))


# %% wrong: a cubic spline
import numpy as np
from scipy.interpolate import PchipInterpolator


def at_rate(rates, distortions, target):
    order = np.argsort(rates.numpy())
    return float(PchipInterpolator(rates.numpy()[order], distortions.numpy()[order])(target))


# %% wrong: interpolates without sorting
import numpy as np


def at_rate(rates, distortions, target):
    return float(np.interp(target, rates.numpy(), distortions.numpy()))


# %% wrong: sorts both by themselves
import numpy as np


def at_rate(rates, distortions, target):
    return float(np.interp(target, np.sort(rates.numpy()), np.sort(distortions.numpy())[::-1]))


# %% wrong: the extremes only
def at_rate(rates, distortions, target):
    i, j = rates.argmin(), rates.argmax()
    share = (target - rates[i]) / (rates[j] - rates[i])
    return (distortions[i] + share * (distortions[j] - distortions[i])).item()


# %% wrong: a median difference
import math


def paired(a, b):
    return (a - b).median().item(), ((a - b).std() / math.sqrt(len(a))).item()


# %% wrong: a variance for a deviation
def paired(a, b):
    return (a - b).mean().item(), ((a - b).var() / len(a)).item()


# %% wrong: five seeds whatever comes
def paired(a, b):
    return (a - b).mean().item(), ((a - b).std() / 5**0.5).item()


# %% wrong: n less one twice
def paired(a, b):
    return (a - b).mean().item(), ((a - b).std() / (len(a) - 1) ** 0.5).item()


# %% wrong: a relative difference
def paired(a, b):
    d = a - b
    return (d.mean() / b.abs().mean()).item(), (d.std() / len(a) ** 0.5).item()


# %% wrong: a normal law for the wins
import math


def sign_p(a, b):
    n, wins = len(a), int((a > b).sum())
    return math.erfc(abs(wins - n / 2) / math.sqrt(n / 4) / math.sqrt(2))


# %% wrong: a t-test
from scipy.stats import ttest_rel


def sign_p(a, b):
    return float(ttest_rel(a.numpy(), b.numpy()).pvalue)


# %% wrong: a test of signed ranks
from scipy.stats import wilcoxon


def sign_p(a, b):
    return float(wilcoxon(a.numpy(), b.numpy()).pvalue)


# %% wrong: more uneven, not at least
import math


def sign_p(a, b):
    n, wins = len(a), int((a > b).sum())
    tail = sum(math.comb(n, k) for k in range(max(wins, n - wins) + 1, n + 1))
    return 2 * tail / 2**n


# %% wrong: seven seeds whatever comes
import math


def sign_p(a, b):
    n, wins = 7, int((a > b).sum())
    tail = sum(math.comb(n, k) for k in range(max(wins, n - wins), n + 1))
    return min(1.0, 2 * tail / 2**n)


# %% wrong: both are open
verdict = {"equal price": "open", "equal rate": "open"}

# %% wrong: asks the means
verdict = {"equal price": "sphere", "equal rate": "Gauss"}
