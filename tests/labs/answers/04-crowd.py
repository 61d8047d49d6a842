# %% right: arrays' numbers
import numpy as np


def typical_overlap(sigma, d):
    return np.exp(-d / 4 * (1 / np.square(sigma) - 1))


def mean_overlap(sigma, d):
    return np.power(0.5 + 0.5 / np.square(sigma), -d / 2)


touching_sigma = np.sqrt(np.float64(1 / 3))


# %% right: 0-d tensors
def typical_overlap(sigma, d):
    s = torch.tensor(sigma, dtype=torch.float64)
    return torch.exp(d * (s.square() - 1) / (4 * s.square()))


def mean_overlap(sigma, d):
    s = torch.tensor(sigma, dtype=torch.float64)
    return (2 * s**2 / (1 + s**2)).pow(d / 2)


touching_sigma = torch.tensor(3.0, dtype=torch.float64).rsqrt()


# %% right: the closed form of a pair at its distance
def typical_overlap(sigma, d):
    squared = 2 * d * (1 - sigma**2)
    return math.exp(-squared / (8 * sigma**2))


# %% right: the mean integrated over chi-squared
from scipy import stats


def mean_overlap(sigma, d):
    t = 2 * (1 - sigma**2) / (8 * sigma**2)
    return stats.chi2(d).expect(lambda s: math.exp(-t * s), epsabs=0)


# %% right: the moment generating function in logarithms
def mean_overlap(sigma, d):
    t = (1 / sigma**2 - 1) / 4
    return math.exp(-d / 2 * math.log1p(2 * t))


# %% right: a direction at a time
def mean_overlap(sigma, d):
    product = 1.0
    for _ in range(d):
        product *= math.sqrt(2 * sigma**2 / (1 + sigma**2))
    return product


# %% right: a root finder
from scipy import optimize

touching_sigma = optimize.brentq(lambda s: math.sqrt(2 * (1 - s * s)) - 2 * s, 0.1, 0.9, xtol=1e-12)


# %% right: bisection on the overlap of touching balls
low, high = 0.1, 0.99
for _ in range(60):
    middle = (low + high) / 2
    low, high = (middle, high) if typical_overlap(middle, 10) < math.exp(-5) else (low, middle)
touching_sigma = low


# %% right: an angle
touching_sigma = math.sin(math.atan(2**-0.5))


# %% right: six digits typed by hand
touching_sigma = 0.57735


# %% right: an array of one number's shape
import numpy as np

touching_sigma = np.array(3**-0.5)


# %% wrong: the mean distance
def typical_overlap(sigma, d):
    chi = math.sqrt(2) * math.exp(math.lgamma((d + 1) / 2) - math.lgamma(d / 2))
    return math.exp(-2 * (1 - sigma**2) * chi**2 / (8 * sigma**2))


# %% wrong: one minus sigma for one minus its square
def typical_overlap(sigma, d):
    return math.exp(-d * (1 - sigma) ** 2 / (4 * sigma**2))


# %% wrong: twice the exponent
def typical_overlap(sigma, d):
    return math.exp(-d * (1 - sigma**2) / (2 * sigma**2))


# %% wrong: without d
def typical_overlap(sigma, d):
    return math.exp(-(1 - sigma**2) / sigma**2)


# %% wrong: balls that touch
def typical_overlap(sigma, d):
    return math.exp(-d / 2)


# %% wrong: a simulation of 2,000 pairs
def mean_overlap(sigma, d):
    g = torch.Generator().manual_seed(0)
    difference = math.sqrt(2 * (1 - sigma**2)) * torch.randn(2_000, d, generator=g)
    return (-difference.square().sum(1) / (8 * sigma**2)).exp().mean().item()


# %% wrong: one minus for one plus
def mean_overlap(sigma, d):
    return (2 * sigma**2 / (1 + sigma)) ** (d / 2)


# %% wrong: in float32
def mean_overlap(sigma, d):
    s = torch.tensor(sigma)
    return (2 * s**2 / (1 + s**2)).pow(d / 2).half().item()


# %% wrong: the mean of one ball against the prior
def mean_overlap(sigma, d):
    return (2 * sigma / (1 + sigma**2)) ** (d / 2)


# %% wrong: a first-order expansion
def mean_overlap(sigma, d):
    return math.exp(-d / 2 * 2 * (1 - sigma**2) / (4 * sigma**2))


# %% wrong: rounded to two digits
touching_sigma = 0.58


# %% wrong: rounded to three digits
touching_sigma = 0.577


# %% wrong: one radius
touching_sigma = math.sqrt(2 / 3)


# %% wrong: half of the prior
touching_sigma = 0.5
