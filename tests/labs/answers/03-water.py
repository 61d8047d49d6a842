# %% right: arrays
import numpy as np


def water_fill(eigenvalues, beta):
    lam = np.array(eigenvalues)
    return np.sum(np.log(np.maximum(lam / (beta / 2), 1))) / 2, np.minimum(lam, beta / 2).sum()


def collapse(eigenvalues):
    return 2 * np.max(eigenvalues)


# %% right: tensors
def water_fill(eigenvalues, beta):
    lam = torch.tensor(eigenvalues, dtype=torch.float64)
    return torch.stack([0.5 * (2 * lam / beta).log().relu().sum(), lam.clamp_max(beta / 2).sum()])


def collapse(eigenvalues):
    return torch.tensor(eigenvalues, dtype=torch.float64).amax() * 2


# %% right: a loop and a list
def water_fill(eigenvalues, beta):
    rate = distortion = 0
    for lam in eigenvalues:
        if lam <= beta / 2:
            distortion += lam
        else:
            rate += math.log(lam) / 2 - math.log(beta / 2) / 2
            distortion += beta / 2
    return [rate, distortion]


# %% right: the library
from vae_course import distortion as library


def water_fill(eigenvalues, beta):
    filled = library.reverse_water_filling(torch.tensor(eigenvalues, dtype=torch.float64), beta)
    return filled.rates.sum(), filled.distortion.sum()


# %% right: the price in closed form
def price_of(eigenvalues, rate):
    lam = sorted(eigenvalues, reverse=True)
    for n in range(len(lam), 0, -1):
        level = math.exp((sum(map(math.log, lam[:n])) - 2 * rate) / n)
        if level <= lam[n - 1]:
            return 2 * level


# %% right: scipy's root finder
from scipy import optimize


def price_of(eigenvalues, rate, fill=water_fill):
    high = 2 * max(eigenvalues)
    return optimize.brentq(lambda b: fill(eigenvalues, b)[0] - rate, 1e-12, high, xtol=1e-15)


# %% right: bisection on the price itself
import numpy as np


def price_of(eigenvalues, rate):
    low, high = 0.0, collapse(eigenvalues)
    while high - low > 1e-14:
        mid = (low + high) / 2
        spent = sum(max(0, math.log(2 * v / mid)) / 2 for v in eigenvalues)
        low, high = (mid, high) if spent > rate else (low, mid)
    return np.float64(low)


# %% right: Newton's method on the logarithm
def price_of(eigenvalues, rate):
    log = math.log(2 * max(eigenvalues)) - 1e-9
    for _ in range(100):
        spent = sum(max(0.0, math.log(2 * v) - log) / 2 for v in eigenvalues)
        slope = -sum(math.log(2 * v) > log for v in eigenvalues) / 2
        log -= (spent - rate) / slope
    return math.exp(log)


# %% right: an interpolated table
import numpy as np


def price_of(eigenvalues, rate):
    kinks = np.log(2 * np.sort(np.unique(eigenvalues))[::-1])
    logs = np.concatenate([kinks, [kinks[-1] - 60]])
    rates = [sum(max(0, math.log(2 * v) - t) / 2 for v in eigenvalues) for t in logs]
    return np.exp(np.interp(rate, rates, logs))


# %% right: a whole number where there is one
def collapse(eigenvalues):
    most = 2 * max(eigenvalues)
    return int(most) if most == int(most) else most


# %% wrong: stops where the first direction drowns
def price_of(eigenvalues, rate):
    return 2 * max(eigenvalues) * math.exp(-2 * rate / len(eigenvalues))


# %% wrong: all in one direction
def price_of(eigenvalues, rate):
    return 2 * max(eigenvalues) * math.exp(-2 * rate)


# %% wrong: a grid of prices
def price_of(eigenvalues, rate):
    grid = [k / 100 for k in range(1, 1000)]
    return min(grid, key=lambda b: abs(water_fill(eigenvalues, b)[0] - rate))


# %% wrong: bisection that ends too soon
def price_of(eigenvalues, rate):
    low, high = 0.0, 2 * max(eigenvalues)
    for _ in range(10):
        mid = (low + high) / 2
        low, high = (mid, high) if water_fill(eigenvalues, mid)[0] > rate else (low, mid)
    return low


# %% wrong: bisection between fixed prices
def price_of(eigenvalues, rate):
    low, high = 0.05, 5.0
    for _ in range(100):
        mid = (low + high) / 2
        low, high = (mid, high) if water_fill(eigenvalues, mid)[0] > rate else (low, mid)
    return high


# %% wrong: the rate in bits
def price_of(eigenvalues, rate):
    low, high = 1e-9, 2 * max(eigenvalues)
    for _ in range(100):
        mid = (low + high) / 2
        spent = water_fill(eigenvalues, mid)[0] / math.log(2)
        low, high = (mid, high) if spent > rate else (low, mid)
    return high


# %% wrong: the largest is taken to be first
def collapse(eigenvalues):
    return 2 * eigenvalues[0]


# %% wrong: half of the largest
def collapse(eigenvalues):
    return max(eigenvalues) / 2


# %% wrong: their sum
def collapse(eigenvalues):
    return 2 * sum(eigenvalues)


# %% wrong: just below the collapse
def collapse(eigenvalues):
    return 1.99 * max(eigenvalues)


# %% wrong: log one plus the ratio
def water_fill(eigenvalues, beta):
    rate = sum(0.5 * math.log(1 + 2 * v / beta) for v in eigenvalues)
    return rate, sum(min(v, beta / 2) for v in eigenvalues)


# %% wrong: the error of full directions for all
def water_fill(eigenvalues, beta):
    rate = sum(0.5 * math.log(max(1.0, 2 * v / beta)) for v in eigenvalues)
    return rate, len(eigenvalues) * beta / 2


# %% wrong: means over the directions
def water_fill(eigenvalues, beta):
    n = len(eigenvalues)
    rate = sum(0.5 * math.log(max(1.0, 2 * v / beta)) for v in eigenvalues)
    return rate / n, sum(min(v, beta / 2) for v in eigenvalues) / n


# %% wrong: the error that was taken away
def water_fill(eigenvalues, beta):
    rate = sum(0.5 * math.log(max(1.0, 2 * v / beta)) for v in eigenvalues)
    return rate, sum(max(v - beta / 2, 0) for v in eigenvalues)
