# %% right: NumPy, arrays
import numpy as np


def controlled(metric, covariance, errors, control):
    n, s, e = (np.asarray(x, dtype=float) for x in (metric, covariance, errors))
    if control == "add":
        return n + np.eye(len(n))
    scale = {
        "null": np.trace(s) / np.trace(n @ s),
        "lipschitz": 1 / np.linalg.norm(n, 2),
        "gradient": np.sqrt(np.trace(e) / np.trace(n @ e @ n)),
    }
    return scale[control] * n


# %% right: in single precision
import torch


def controlled(metric, covariance, errors, control):
    n, s, e = metric.float(), covariance.float(), errors.float()
    match control:
        case "add":
            return n + torch.eye(len(n))
        case "null":
            return n * (s.diagonal().sum() / (n * s).sum())
        case "lipschitz":
            return n / torch.linalg.svdvals(n).max()
        case "gradient":
            return n * torch.sqrt(e.trace() / torch.einsum("ij,jk,ki->", n, e, n))


# %% right: a power iteration, lists
import torch


def controlled(metric, covariance, errors, control, right=controlled):
    if control == "lipschitz":
        v = torch.ones(len(metric), dtype=torch.float64)
        for _ in range(3000):
            v = metric.double() @ v
            v = v / v.norm()
        return (metric.double() / (v @ metric.double() @ v)).tolist()
    return right(metric, covariance, errors, control).tolist()


# %% right: a dictionary of functions
import torch

SCALES = {
    "null": lambda n, s, e: s.trace() / (n @ s).trace(),
    "lipschitz": lambda n, s, e: 1 / torch.linalg.matrix_norm(n, 2),
    "gradient": lambda n, s, e: (2 * e.trace().sqrt()) / (4 * (n @ e @ n.T).trace()).sqrt(),
}


def controlled(metric, covariance, errors, control):
    n, s, e = metric.double(), covariance.double(), errors.double()
    if control in SCALES:
        return SCALES[control](n, s, e) * n
    return torch.eye(*n.shape, dtype=n.dtype).add_(n)


# %% right: a root length by the factor of the errors
import torch


def controlled(metric, covariance, errors, control, right=controlled):
    if control != "gradient":
        return right(metric, covariance, errors, control)
    low = torch.linalg.cholesky(errors.double())
    return metric.double() * low.norm() / (metric.double() @ low).norm()


# %% right: SciPy's own interval
import scipy.stats


def effect(treated, control):
    change = 100 * (treated.numpy() / control.numpy() - 1)
    low, high = scipy.stats.t.interval(
        0.95, len(change) - 1, loc=change.mean(), scale=scipy.stats.sem(change)
    )
    return change.mean(), low, high


# %% right: a quantile by bisection, tensors without dimensions
import torch


def effect(treated, control):
    change = (treated - control) / control * 100
    n = len(change)

    def within(t):  # Student's law between -t and t, by the midpoint rule in an angle
        steps = 100_000
        end = torch.atan(torch.tensor(t, dtype=torch.float64) / (n - 1) ** 0.5)
        angle = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
        whole = torch.cos(angle * torch.pi / 2).pow(n - 2).mean() * torch.pi / 2
        return (torch.cos(angle * end).pow(n - 2).mean() * end / whole).item()

    low, high = 0.0, 1000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < 0.95 else (low, middle)
    reach = high * change.std() / n**0.5
    return [change.mean(), change.mean() - reach, change.mean() + reach]


# %% right: a test of one sample, an array
import numpy as np
import scipy.stats


def effect(treated, control):
    change = np.array([100 * (float(a) / float(b) - 1) for a, b in zip(treated, control)])
    found = scipy.stats.ttest_1samp(change, 0.0).confidence_interval()
    return np.array([change.mean(), found.low, found.high])


# %% right: sums by hand, numbers that were written down
import scipy.stats


def effect(treated, control):
    changes = [float(a / b) * 100 - 100 for a, b in zip(treated, control)]
    n = len(changes)
    mean = sum(changes) / n
    error = (sum((c - mean) ** 2 for c in changes) / (n - 1) / n) ** 0.5
    t = scipy.stats.t(n - 1).isf(0.025)
    return mean, mean - t * error, mean + t * error


of_critic = (1.34404842, 1.12800829, 1.56008856)


# %% right: words in another order
certain = {
    "gradient": "open",
    "lipschitz": "never higher",
    "null": "open",
    "add": "never lower",
    "why": "Loewner's order",
}


# %% wrong: divides by the Frobenius norm
def controlled(metric, covariance, errors, control, right=controlled):
    if control == "lipschitz":
        return metric.double() / metric.double().norm()
    return right(metric, covariance, errors, control)


# %% wrong: divides by the largest entry
def controlled(metric, covariance, errors, control, right=controlled):
    if control == "lipschitz":
        return metric.double() / metric.double().abs().max()
    return right(metric, covariance, errors, control)


# %% wrong: divides by the largest row sum
def controlled(metric, covariance, errors, control, right=controlled):
    if control == "lipschitz":
        return metric.double() / metric.double().abs().sum(1).max()
    return right(metric, covariance, errors, control)


# %% wrong: the root of the largest eigenvalue
import torch


def controlled(metric, covariance, errors, control, right=controlled):
    if control == "lipschitz":
        return metric.double() / torch.linalg.eigvalsh(metric.double())[-1].sqrt()
    return right(metric, covariance, errors, control)


# %% wrong: never grows
import torch


def controlled(metric, covariance, errors, control, right=controlled):
    if control == "lipschitz":
        return metric.double() / torch.linalg.eigvalsh(metric.double())[-1].clamp(min=3.7)
    return right(metric, covariance, errors, control)


# %% wrong: half of each
import torch


def controlled(metric, covariance, errors, control, right=controlled):
    found = right(metric, covariance, errors, control)
    return found / 2 if control == "add" else found


# %% wrong: the diagonals for the traces of products
def controlled(metric, covariance, errors, control, right=controlled):
    if control == "null":
        s = covariance.double()
        return metric.double() * s.trace() / (metric.double().diagonal() * s.diagonal()).sum()
    return right(metric, covariance, errors, control)


# %% wrong: the gradient's root mean square of white errors
def controlled(metric, covariance, errors, control, right=controlled):
    if control == "gradient":
        n = metric.double()
        return n * (len(n) / (n @ n).trace()).sqrt()
    return right(metric, covariance, errors, control)


# %% wrong: null scales the errors
def controlled(metric, covariance, errors, control, right=controlled):
    return right(metric, errors if control == "null" else covariance, errors, control)


# %% wrong: one side only
import scipy.stats


def effect(treated, control):
    change = 100 * (treated / control - 1)
    n, mean = len(change), change.mean().item()
    reach = scipy.stats.t.ppf(0.95, n - 1) * change.std().item() / n**0.5
    return mean, mean - reach, mean + reach


# %% wrong: Student's law of n degrees of freedom
import scipy.stats


def effect(treated, control):
    change = 100 * (treated / control - 1)
    n, mean = len(change), change.mean().item()
    reach = scipy.stats.t.ppf(0.975, n) * change.std().item() / n**0.5
    return mean, mean - reach, mean + reach


# %% wrong: a share for per cent
def effect(treated, control, right=effect):
    return tuple(part / 100 for part in right(treated, control))


# %% wrong: a mean of logarithms
import torch


def effect(treated, control, right=effect):
    logs = (treated / control).log()
    return right(1 + logs, torch.ones_like(logs))


# %% wrong: the smallest and the largest change
def effect(treated, control):
    change = 100 * (treated / control - 1)
    return change.mean().item(), change.min().item(), change.max().item()


# %% wrong: pairs in another order
def effect(treated, control, right=effect):
    return right(treated.sort().values, control.sort().values)


# %% wrong: the median of the changes
def effect(treated, control, right=effect):
    _, low, high = right(treated, control)
    return (100 * (treated / control - 1)).median().item(), low, high


# %% wrong: the critic against both others
import torch

base = (rates["0.8 of it"] + rates["squared error"]) / 2
of_critic = effect(rates["0.8 of it, and a critic"], base)

# %% wrong: in nats
import torch

ones = torch.ones(3, dtype=torch.float64)
nats = rates["0.8 of it, and a critic"] - rates["0.8 of it"]
of_critic = effect(ones + nats / 100, ones)


# %% wrong: nothing is certain
certain = dict.fromkeys(("add", "null", "lipschitz", "gradient"), "open")

# %% wrong: the opposite of what is certain
certain = {**certain, "add": "never higher", "lipschitz": "never lower"}
