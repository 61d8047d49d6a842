# %% right: a divergence of SciPy
import math

from scipy.special import rel_entr


def least_rate(share, n):
    if share * n <= 1:
        return 0.0
    return rel_entr(share, 1 / n) + rel_entr(1 - share, 1 - 1 / n)


# %% right: entropies, integers and clips
import numpy as np
from scipy.stats import entropy


def least_rate(share, n):
    e = 1 - share
    known = np.log(n) - entropy([e, share]) - e * np.log(max(n - 1, 1))
    return np.where(share > 1 / n, known, 0.0)[()]


# %% right: tensors in double precision
import torch


def least_rate(share, n):
    e = torch.tensor(1 - share, dtype=torch.float64)
    size = torch.tensor(float(n), dtype=torch.float64)
    h = torch.special.entr(e) + torch.special.entr(1 - e)
    return (size.log() - h - e * (size - 1).log()) if share > 1 / n else torch.tensor(0.0)


# %% right: integers for nothing
import math


def least_rate(share, n, right=least_rate):
    return 0 if share <= 1 / n else right(share, n)


# %% right: an inverse of SciPy
import math

from scipy.optimize import brentq


def most_exact(rate, n):
    if rate >= math.log(n):
        return 1
    if rate <= 0:
        return 1 / n
    return brentq(lambda s: float(least_rate(s, n)) - rate, 1 / n, 1.0, xtol=1e-10)


# %% right: a bisection of forty steps from above
def most_exact(rate, n):
    low, high = 1 / n, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if least_rate(middle, n) > rate:
            high = middle
        else:
            low = middle
    return high if least_rate(1.0, n) > rate else 1.0


# %% right: a tensor without dimensions
import torch


def most_exact(rate, n, right=most_exact):
    return torch.tensor(right(rate, n), dtype=torch.float64)


# %% right: Newton's steps on the logit
import math


def most_exact(rate, n):
    if rate >= math.log(n):
        return 1.0
    low, high = -math.log(n - 1) if n > 1 else 0.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        share = 1 / (1 + math.exp(-middle))
        low, high = (middle, high) if least_rate(share, n) < rate else (low, middle)
    return 1 / (1 + math.exp(-low))


# %% right: blind in NumPy, a list
import numpy as np


def blind(p):
    p = np.asarray(p)
    return [p.max(), p.argmax()]


# %% right: blind with tensors
def blind(p):
    return p.max(0)


# %% right: blind in a loop
def blind(p):
    best = max(range(len(p)), key=lambda i: float(p[i]))
    return float(p[best]), best


# %% right: a tuple of names
impossible = tuple(k for k, (rate, share, n) in reports.items() if most_exact(rate, n) < share)

# %% right: a set, by names
impossible = {"C", "E", "A", "B"}

# %% right: in another order
impossible = sorted(impossible, reverse=True)

# %% wrong: N for N - 1
import math


def least_rate(share, n):
    if share <= 1 / n:
        return 0.0
    e = 1 - share
    h = -sum(x * math.log(x) for x in (e, share) if x > 0)
    return math.log(n) - h - e * math.log(n)


# %% wrong: an epsilon in the logarithms
import math


def least_rate(share, n):
    if share <= 1 / n:
        return 0.0
    e = 1 - share
    h = -e * math.log(e + 1e-2) - share * math.log(share + 1e-2)
    return math.log(n) - h - e * math.log(n - 1)


# %% wrong: never below zero is enough
import math


def least_rate(share, n):
    e = 1 - share
    h = -sum(x * math.log(x) for x in (e, share) if x > 0)
    return max(0.0, math.log(n) - h - e * math.log(n - 1))


# %% wrong: a hundredth is free
def least_rate(share, n, right=least_rate):
    return 0.0 if share < 0.01 else right(share, n)


# %% wrong: single precision and an epsilon
import torch


def least_rate(share, n):
    if share <= 1 / n:
        return 0.0
    e = torch.tensor(1 - share).clamp(1e-3, 1 - 1e-3)
    h = -e * e.log() - (1 - e) * (1 - e).log()
    return (torch.tensor(float(n)).log() - h - e * torch.tensor(float(n - 1)).log()).item()


# %% wrong: half an entropy
import math


def least_rate(share, n):
    if share <= 1 / n:
        return 0.0
    e = 1 - share
    h = -e * math.log(e) if e > 0 else 0.0
    return math.log(n) - h - e * math.log(n - 1)


# %% wrong: bits from a rate in nats
import math


def most_exact(rate, n, right=most_exact):
    return right(rate * math.log(2), n)


# %% wrong: nothing at no rate
def most_exact(rate, n, right=most_exact):
    return right(rate, n) if rate > 0.1 else 0.0


# %% wrong: three digits
def most_exact(rate, n, right=most_exact):
    return round(right(rate, n), 3)


# %% wrong: ten halvings
def most_exact(rate, n):
    import math

    if rate >= math.log(n):
        return 1.0
    low, high = 1 / n, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if least_rate(middle, n) < rate else (low, middle)
    return (low + high) / 2


# %% wrong: never all of them
def most_exact(rate, n, right=most_exact):
    return min(right(rate, n), 0.999)


# %% wrong: a thousand molecules, whatever is told
def most_exact(rate, n, right=most_exact):
    return right(rate, 1000)


# %% wrong: blind counts from one
def blind(p):
    return p.max().item(), p.argmax().item() + 1


# %% wrong: blind writes the first string
def blind(p):
    return p.max().item(), 0


# %% wrong: blind by an entropy
def blind(p):
    import torch

    return torch.exp(-torch.special.entr(p).sum()).item(), p.argmax().item()


# %% wrong: all of them
impossible = list(reports)

# %% wrong: those with a large share
impossible = [k for k, (rate, share, n) in reports.items() if share >= 0.9]

# %% wrong: those that break log N
import math

impossible = [k for k, (rate, share, n) in reports.items() if rate < share * math.log(n) - 1]
