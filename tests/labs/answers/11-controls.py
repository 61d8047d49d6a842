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


def split(metric, covariance, beta):
    n, s = np.asarray(metric, dtype=float), np.asarray(covariance, dtype=float)

    def cost(m):
        values = np.linalg.eigvals(s @ m).real
        return np.log(np.maximum(2 * values / beta, 1)).sum() / 2

    whole = cost(n) - cost(np.eye(len(n)))
    scale = cost(np.trace(n @ s) / np.trace(s) * np.eye(len(n))) - cost(np.eye(len(n)))
    return np.array([scale, whole - scale])


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


# %% right: the scale by the square root of the source, tensors without dimensions
import torch


def split(metric, covariance, beta):
    values, axes = torch.linalg.eigh(covariance.double())
    root = axes * values.clamp(min=0).sqrt() @ axes.T
    seen = torch.linalg.eigvalsh(root @ metric.double() @ root).clamp(min=1e-300)
    c = seen.sum() / values.sum()
    flat, grown, shaped = (
        (2 * v / beta).log().relu().sum() / 2 for v in (values, c * values, seen)
    )
    return [grown - flat, shaped - grown]


# %% right: the library's reverse water-filling
import torch

from vae_course import distortion


def split(metric, covariance, beta):
    low = torch.linalg.cholesky(covariance.double())

    def nats(m):
        seen = torch.linalg.eigvalsh(low.T @ m.double() @ low)
        return distortion.reverse_water_filling(seen, beta).rates.sum().item()

    one = torch.eye(len(metric))
    c = float(torch.trace(metric.double() @ covariance.double()) / torch.trace(covariance))
    return nats(c * one) - nats(one), nats(metric) - nats(c * one)


# %% right: the source's mean under the scale, changed order of the sums
import math


def split(metric, covariance, beta):
    import scipy.linalg

    values = scipy.linalg.eigh(covariance.double().numpy(), eigvals_only=True)
    c = float((metric.double() * covariance.double()).sum()) / values.sum()
    scale = (
        sum(max(0.0, math.log(2 * c * v / beta)) - max(0.0, math.log(2 * v / beta)) for v in values)
        / 2
    )
    here = sum(max(0.0, math.log(2 * v / beta)) for v in values) / 2
    seen = scipy.linalg.eigvals(covariance.double().numpy() @ metric.double().numpy()).real
    there = sum(max(0.0, math.log(max(2 * v / beta, 1e-300))) for v in seen) / 2
    return scale, there - here - scale


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


# %% wrong: the two parts in bits
def split(metric, covariance, beta, right=split):
    return tuple(part / 0.6931471805599453 for part in right(metric, covariance, beta))


# %% wrong: forgets the half
def split(metric, covariance, beta, right=split):
    return tuple(2 * part for part in right(metric, covariance, beta))


# %% wrong: threshold lambda > beta
import torch


def split(metric, covariance, beta):
    low = torch.linalg.cholesky(covariance.double())

    def nats(m):
        seen = torch.linalg.eigvalsh(low.T @ m.double() @ low)
        return (2 * seen[seen > beta] / beta).log().sum().item() / 2

    one = torch.eye(len(metric))
    c = torch.trace(metric.double() @ covariance.double()) / torch.trace(covariance)
    return nats(c * one) - nats(one), nats(metric) - nats(c * one)


# %% wrong: takes the scale for a logarithm
import math


def split(metric, covariance, beta, right=split):
    whole = sum(right(metric, covariance, beta))
    c = float((metric.double() * covariance.double()).sum() / covariance.double().trace())
    scale = len(metric) / 2 * math.log(c)
    return scale, whole - scale


# %% wrong: no rate grows
def split(metric, covariance, beta, right=split):
    return tuple(min(0.0, part) for part in right(metric, covariance, beta))


# %% wrong: the shape alone counts twice
def split(metric, covariance, beta, right=split):
    scale, shape = right(metric, covariance, beta)
    return scale, scale + shape


# %% wrong: nothing is certain
certain = dict.fromkeys(("add", "null", "lipschitz", "gradient"), "open")

# %% wrong: the opposite of what is certain
certain = {**certain, "add": "never higher", "lipschitz": "never lower"}
