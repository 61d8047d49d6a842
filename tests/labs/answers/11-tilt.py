# %% right: SciPy's power of a matrix, an array
import numpy as np
import scipy.linalg


def tilt(covariance, t):
    s = np.asarray(covariance, dtype=float)
    power = scipy.linalg.fractional_matrix_power(s, -t)
    return power * np.trace(s) / np.trace(power @ s)


# %% right: an exponential of a logarithm
import torch


def tilt(covariance, t):
    values, axes = torch.linalg.eigh(covariance.double())
    log = axes @ torch.diag(values.log()) @ axes.T
    power = torch.matrix_exp(-t * log)
    return power / (power * covariance.double()).sum() * covariance.double().trace()


# %% right: singular vectors, a list of lists
import torch


def tilt(covariance, t):
    u, s, _ = torch.linalg.svd(covariance.double())
    c = s.sum() / (s ** (1 - t)).sum()
    return (c * (u * s.pow(-t)) @ u.T).tolist()


# %% right: powers of eigenvalues that sum to one
import numpy as np


def tilt(covariance, t):
    values, axes = np.linalg.eigh(covariance.numpy().astype(np.float64))
    share = values ** (1 - t)
    weights = values.sum() * share / share.sum() / values
    return np.einsum("ik,k,jk->ij", axes, weights, axes)


# %% right: an integer for a float, and NumPy's
import numpy as np


def ratio(t):
    return np.square(1 - t)


# %% right: a measured ratio
import torch


def ratio(t):
    values = torch.tensor([3.0, 2.0, 0.4, 0.01], dtype=torch.float64)
    weights = values**-t
    seen = values * weights * values.sum() / (values * weights).sum()
    return seen.log().var() / values.log().var()


# %% right: expanded
def ratio(t):
    return 1 - 2 * t + t * t


# %% right: SciPy's search
import numpy as np
from scipy.optimize import brentq


def break_even(eigenvalues):
    values = np.asarray(eigenvalues)

    def nats(v, beta):
        return np.log(np.maximum(2 * v / beta, 1)).sum() / 2

    def gap(beta):
        return nats(np.full_like(values, values.mean()), beta) - nats(values, beta)

    return brentq(gap, 2 * values.min() * 0.9999, 2 * values.mean(), xtol=1e-12)


# %% right: one equation for each number of latents at work
import math


def break_even(eigenvalues):
    values = sorted(eigenvalues.tolist(), reverse=True)
    d, mean = len(values), sum(values) / len(values)
    for k in range(1, d):  # the k widest of d are at work
        logs = sum(math.log(2 * v) for v in values[:k])
        beta = math.exp((d * math.log(2 * mean) - logs) / (d - k))
        if 2 * values[k] <= beta < 2 * values[k - 1]:
            return beta


# %% right: a bisection with torch, a number without dimensions
import torch


def break_even(eigenvalues):
    flat = torch.ones_like(eigenvalues) * eigenvalues.mean()
    low, high = torch.zeros(()).double() + 1e-9, 2 * flat[0]
    for _ in range(60):
        beta = (low * high).sqrt()
        costs = [(2 * v / beta).clamp(min=1).log().sum() for v in (flat, eigenvalues)]
        low, high = (beta, high) if costs[0] > costs[1] else (low, beta)
    return high


# %% right: from above, in steps that shrink
def break_even(eigenvalues):
    def excess(beta):
        flat = len(eigenvalues) * max(0.0, (2 * eigenvalues.mean() / beta).log().item())
        return flat - (2 * eigenvalues / beta).clamp(min=1).log().sum().item()

    beta = 2 * eigenvalues.mean().item()
    step = beta / 4
    while step > 1e-9:
        while beta - step > 0 and excess(beta - step) < 0:
            beta -= step
        step /= 2
    return beta


# %% wrong: single precision inside
import torch


def tilt(covariance, t):
    values, axes = torch.linalg.eigh(covariance.float())
    weights = values**-t
    return (axes * weights @ axes.T * values.sum() / (values * weights).sum()).double()


# %% wrong: the diagonal only
import torch


def tilt(covariance, t):
    values = covariance.double().diagonal()
    weights = values**-t
    return torch.diag(weights * values.sum() / (values * weights).sum())


# %% wrong: a constant of determinant one
import torch


def tilt(covariance, t):
    values, axes = torch.linalg.eigh(covariance.double())
    weights = (values / values.log().mean().exp()) ** -t
    return axes * weights @ axes.T


# %% wrong: half of the tilt
def tilt(covariance, t, right=tilt):
    return right(covariance, t / 2)


# %% wrong: between the identity and the inverse, in a line
import torch


def tilt(covariance, t):
    s = covariance.double()
    metric = (1 - t) * torch.eye(len(s)) + t * torch.linalg.inv(s)
    return metric * s.trace() / (metric @ s).trace()


# %% wrong: a jitter
import torch


def tilt(covariance, t, right=tilt):
    return right(covariance.double() + 1e-4 * torch.eye(len(covariance)), t)


# %% wrong: the trace of its square
import torch


def tilt(covariance, t):
    values, axes = torch.linalg.eigh(covariance.double())
    weights = values**-t
    c = (values.square().sum() / (values * weights).square().sum()).sqrt()
    return c * axes * weights @ axes.T


# %% wrong: a ratio that ends at zero
def ratio(t):
    return max(0.0, 1 - t) ** 2


# %% wrong: a parabola about one half
def ratio(t):
    return 1 - 4 * t * (1 - t) if t > 0.5 else (1 - t) ** 2


# %% wrong: an exponential
import math


def ratio(t):
    return math.exp(-2 * t) if t != 0.25 else 0.5625


# %% wrong: a fourth power
def ratio(t):
    return (1 - t) ** 4


# %% wrong: the constant of the check
def ratio(t):
    return 0.5625


# %% wrong: half of the latents at work
import math


def break_even(eigenvalues):
    values = sorted(eigenvalues.tolist(), reverse=True)
    d = len(values)
    k = d // 2
    logs = sum(math.log(2 * v) for v in values[:k])
    return math.exp((d * math.log(2 * sum(values) / d) - logs) / (d - k))


# %% wrong: all but one at work
import math


def break_even(eigenvalues):
    values = sorted(eigenvalues.tolist(), reverse=True)
    d = len(values)
    logs = sum(math.log(2 * v) for v in values[:-1])
    return math.exp(d * math.log(2 * sum(values) / d) - logs)


# %% wrong: a grid of a thousand
import torch


def break_even(eigenvalues):
    betas = torch.linspace(2 * eigenvalues.min(), 2 * eigenvalues.mean(), 300).double()[:-1]
    flat = len(eigenvalues) * (2 * eigenvalues.mean() / betas).log()
    other = (2 * eigenvalues / betas[:, None]).clamp(min=1).log().sum(1)
    return betas[(flat - other).abs().argmin()].item()


# %% wrong: three digits
def break_even(eigenvalues, right=break_even):
    return float(f"{right(eigenvalues):.3g}")


# %% wrong: looks for a price below 2 only
def break_even(eigenvalues):
    low, high = 0.0, 2.0
    for _ in range(60):
        beta = (low + high) / 2
        flat = len(eigenvalues) * max(0.0, (2 * eigenvalues.mean() / beta).log().item())
        other = (2 * eigenvalues / beta).clamp(min=1).log().sum().item()
        low, high = (beta, high) if flat > other else (low, beta)
    return low
