# %% right: the library's reverse water-filling
import torch

from vae_course import distortion


def realistic(eigenvalues, beta):
    filled = distortion.realistic_water_filling(eigenvalues, beta)
    return filled.rates.sum(), distortion.posterior_anisotropy(filled.variances.sqrt())


def tilted_rate(variance, beta, a, b):
    seen = torch.tensor([variance * a * a / (a + b)], dtype=torch.float64)
    return distortion.rate_at_beta(seen, beta)


# %% right: hyperbolic functions, an array
import numpy as np


def realistic(eigenvalues, beta):
    logs = 2 * np.log(np.cosh(np.arcsinh(4 * eigenvalues.numpy() / beta) / 2))
    return np.array([logs.sum() / 2, logs.var()])


# %% right: Newton's method on the correlation
import math

import numpy as np


def realistic(eigenvalues, beta):
    logs = []
    for v in eigenvalues.tolist():
        u = 1.0
        for _ in range(50):
            gap, slope = beta * u - 2 * v * (1 - u * u), beta + 4 * v * u
            u -= gap / slope
        logs.append(math.log(beta * u / (2 * v)))
    return -sum(logs) / 2, float(np.var(logs))


# %% right: the root of a polynomial, a list
import numpy as np


def realistic(eigenvalues, beta):
    logs = []
    for v in eigenvalues.tolist():
        roots = np.roots([2 * v, beta, -2 * v])
        logs.append(np.log1p(-(roots[(roots > 0) & (roots < 1)][0] ** 2)))
    return [-np.sum(logs) / 2, np.var(logs)]


# %% right: a bisection for every axis at once
import torch


def realistic(eigenvalues, beta):
    low, high = torch.zeros_like(eigenvalues), torch.ones_like(eigenvalues)
    for _ in range(80):
        u = (low + high) / 2
        under = beta * u < 2 * eigenvalues * (1 - u * u)
        low, high = torch.where(under, u, low), torch.where(under, high, u)
    logs = (beta * u / (2 * eigenvalues)).log()
    return -logs.sum() / 2, logs.var(correction=0)


# %% right: a channel of gain and noise
import math


def tilted_rate(variance, beta, a, b):
    # x_hat = g x + noise; the best gain for a rate, then the rate.
    noise = beta / (2 * (a + b))
    signal = variance * (a / (a + b)) ** 2
    return 0 if signal <= noise else math.log(signal / noise) / 2


# %% right: NumPy's numbers, a switch of signs
import numpy as np


def tilted_rate(variance, beta, a, b):
    ratio = np.float64(2 * variance / beta) * a**2 / (a + b)
    return np.log(ratio) / 2 if ratio > 1 else np.float64(0)


# %% right: the mean of a half-normal law
from scipy.stats import halfnorm


def fixed_rate(budget, variance):
    mean = halfnorm(scale=variance**0.5).mean()
    return float("inf") if budget < -mean else 0


# %% right: an integral
import torch


def fixed_rate(budget, variance):
    x = torch.linspace(0, 12, 200_001, dtype=torch.float64) * variance**0.5
    density = torch.exp(-(x**2) / (2 * variance)) / (2 * torch.pi * variance) ** 0.5
    size = 2 * torch.trapezoid(x * density, x)
    return torch.tensor(0.0) if budget + size >= 0 else torch.tensor(torch.inf)


# %% wrong: the squared error's rate at the budget
import math


def fixed_rate(budget, variance):
    return max(0.0, math.log(variance / budget) / 2) if budget > 0 else math.inf


# %% wrong: free unless the budget is far below
import math


def fixed_rate(budget, variance):
    return 0.0 if budget >= -0.8 else math.inf


# %% wrong: the mean size of a variance
import math


def fixed_rate(budget, variance):
    return 0.0 if budget >= -variance * math.sqrt(2 / math.pi) else math.inf


# %% wrong: the median size
import math


def fixed_rate(budget, variance):
    return 0.0 if budget >= -0.6745 * math.sqrt(variance) else math.inf


# %% wrong: the critic adds to the price
import math


def tilted_rate(variance, beta, a, b):
    return max(0.0, math.log(2 * a * variance / (beta + b)) / 2)


# %% wrong: idle below the price without the critic
import math


def tilted_rate(variance, beta, a, b):
    if 2 * a * variance <= beta:
        return 0.0
    return max(0.0, math.log(2 * a * a * variance / ((a + b) * beta)) / 2)


# %% wrong: contrast is never wanted
def tilted_rate(variance, beta, a, b, right=tilted_rate):
    return right(variance, beta, a, b if b > 0 or abs(b + 0.3) < 1e-9 else 0.0)


# %% wrong: twice the rate of the target
def tilted_rate(variance, beta, a, b, right=tilted_rate):
    return min(right(variance, beta, a, b), 1.7)


# %% wrong: half the price
def realistic(eigenvalues, beta, right=realistic):
    return right(eigenvalues, beta / 2)


# %% wrong: twice the distortion of squared error
import torch


def realistic(eigenvalues, beta):
    u = (1 - (beta / 2 / eigenvalues).clamp(max=1)).sqrt()
    logs = torch.log1p(-(u**2))
    return -logs.sum().item() / 2, logs.var(correction=0).item()


# %% wrong: divides the variance by one less
import torch


def realistic(eigenvalues, beta, right=realistic):
    rate, uneven = right(eigenvalues, beta)
    n = len(eigenvalues)
    return rate, uneven * n / max(1, n - 1)


# %% wrong: the anisotropy of the correlations
import torch


def realistic(eigenvalues, beta, right=realistic):
    u = 4 * eigenvalues / ((beta**2 + 16 * eigenvalues**2).sqrt() + beta)
    return right(eigenvalues, beta)[0], u.log().var(correction=0).item()


# %% wrong: idle where a nat is very dear
def realistic(eigenvalues, beta, right=realistic):
    return right(eigenvalues, beta) if beta < 20 else (0.0, 0.0)


# %% wrong: an optimum by a coarse grid
import torch


def realistic(eigenvalues, beta):
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)[:, None]
    loss = 2 * eigenvalues * (1 - u) - beta / 2 * torch.log(1 - u**2)
    best = u[loss.argmin(0), 0]
    logs = torch.log(1 - best**2)
    return -logs.sum().item() / 2, logs.var(correction=0).item()
