# %% right: SciPy's root, an array
import numpy as np
import scipy.linalg


def spectrum(covariance, metric):
    c, m = np.asarray(covariance, dtype=float), np.asarray(metric, dtype=float)
    values, axes = np.linalg.eigh(c)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    return np.linalg.eigvalsh(root @ m @ root).clip(0)[::-1]


def rate(eigenvalues, beta):
    return np.sum(np.log(np.maximum(2 * np.asarray(eigenvalues) / beta, 1))) / 2


def anisotropy(eigenvalues, beta):
    return np.var(-np.log(np.maximum(2 * np.asarray(eigenvalues) / beta, 1)))


# %% right: the metric's root in place of the source's
import torch


def spectrum(covariance, metric):
    values, axes = torch.linalg.eigh(metric.double())
    half = axes * values.clamp(min=0).sqrt()
    return torch.linalg.eigvalsh(half.T @ covariance.double() @ half).flip(0).relu()


# %% right: singular values of two factors
import torch


def spectrum(covariance, metric):
    def factor(m):
        values, axes = torch.linalg.eigh(m.double())
        return axes * values.clamp(min=0).sqrt()

    return torch.linalg.svdvals(factor(covariance).T @ factor(metric)) ** 2


# %% right: eigenvalues of the product, a list
import torch


def spectrum(covariance, metric):
    found = torch.linalg.eigvals(covariance.double() @ metric.double()).real
    return sorted((max(v, 0.0) for v in found.tolist()), reverse=True)


# %% right: a square root of SciPy
import numpy as np
import scipy.linalg
import torch


def spectrum(covariance, metric):
    values, axes = scipy.linalg.eigh(covariance.double().numpy())
    root = axes @ np.diag(np.maximum(values, 0) ** 0.5) @ axes.T
    found = scipy.linalg.svdvals(root @ metric.double().numpy() @ root)
    return torch.from_numpy(found)


# %% right: loops and Python's mathematics
import math
import statistics


def rate(eigenvalues, beta):
    return sum(math.log(2 * v / beta) / 2 for v in eigenvalues.tolist() if 2 * v > beta)


def anisotropy(eigenvalues, beta):
    logs = [math.log(beta / (2 * v)) if 2 * v > beta else 0.0 for v in eigenvalues.tolist()]
    return statistics.pvariance(logs)


# %% right: numbers without dimensions
import torch


def rate(eigenvalues, beta):
    return (
        0.5 * torch.clamp(torch.log(eigenvalues) - torch.log(torch.tensor(beta / 2)), min=0).sum()
    )


def anisotropy(eigenvalues, beta):
    log_variance = torch.minimum(beta / (2 * eigenvalues), torch.ones(())).log()
    return (log_variance**2).mean() - log_variance.mean() ** 2


# %% right: by the water level
import torch


def rate(eigenvalues, beta):
    kept = eigenvalues.clamp(max=beta / 2)  # each direction's distortion
    return (torch.where(eigenvalues > 0, eigenvalues / kept, 1.0).log().sum() / 2).item()


# %% right: the strict and the weak threshold come to the same
import torch


def rate(eigenvalues, beta):
    at_work = eigenvalues[2 * eigenvalues >= beta]
    return float(0.5 * (2 * at_work / beta).log().sum())


# %% right: single precision is enough for a rate
def rate(eigenvalues, beta):
    return (2 * eigenvalues.float() / beta).clamp(min=1).log().sum().item() / 2


# %% wrong: single precision inside, double precision outside
import torch


def spectrum(covariance, metric):
    values, axes = torch.linalg.eigh(covariance.float())
    root = axes * values.clamp(min=0).sqrt() @ axes.T
    return torch.linalg.eigvalsh(root @ metric.float() @ root).clamp(min=0).flip(0).double()


# %% wrong: what rounding leaves stays
import torch


def spectrum(covariance, metric):
    values, axes = torch.linalg.eigh(covariance.double())
    root = axes * values.clamp(min=0).sqrt() @ axes.T
    return torch.linalg.eigvalsh(root @ metric.double() @ root).flip(0) - 1e-15


# %% wrong: a jitter on the diagonal
import torch


def spectrum(covariance, metric):
    n = len(metric)
    root = torch.linalg.cholesky(covariance.double() + 1e-4 * torch.eye(n))
    return torch.linalg.eigvalsh(root.T @ metric.double() @ root).clamp(min=0).flip(0)


# %% wrong: eigenvalues of a symmetric mean of the products
import torch


def spectrum(covariance, metric):
    c, m = covariance.double(), metric.double()
    return torch.linalg.eigvalsh((c @ m + m @ c) / 2).clamp(min=0).flip(0)


# %% wrong: roots of the eigenvalues
def spectrum(covariance, metric, right=spectrum):
    return right(covariance, metric).sqrt()


# %% wrong: normalised to a sum of one
def spectrum(covariance, metric, right=spectrum):
    found = right(covariance, metric)
    return found / found.sum()


# %% wrong: small ones are nothing
def spectrum(covariance, metric, right=spectrum):
    found = right(covariance, metric)
    return found * (found > 1e-4 * found[0])


# %% wrong: one latent more than at work
def rate(eigenvalues, beta):
    import torch

    logs = torch.log(2 * eigenvalues.clamp(min=1e-12) / beta).sort(descending=True).values
    n = int((logs > 0).sum()) + 1
    return logs[:n].sum().item() / 2


# %% wrong: one and the ratio in the logarithm
def rate(eigenvalues, beta):
    return (1 + 2 * eigenvalues / beta).log().sum().item() / 2


# %% wrong: threshold lambda > beta
def rate(eigenvalues, beta):
    import torch

    return torch.where(eigenvalues > beta, (2 * eigenvalues / beta).log(), 0).sum().item() / 2


# %% wrong: a mean over the latents
def rate(eigenvalues, beta, right=rate):
    return right(eigenvalues, beta) / len(eigenvalues)


# %% wrong: balls with threshold lambda > beta
import torch


def anisotropy(eigenvalues, beta):
    logs = torch.where(eigenvalues > beta, (beta / 2 / eigenvalues).log(), 0)
    return logs.var(correction=0).item()


# %% wrong: a deviation for a variance
def anisotropy(eigenvalues, beta, right=anisotropy):
    return right(eigenvalues, beta) ** 0.5


# %% wrong: an epsilon in the logarithm
def anisotropy(eigenvalues, beta):
    return ((beta / 2 / (eigenvalues + 1e-3)).clamp(max=1)).log().var(correction=0).item()


# %% wrong: balls of beta over lambda
def anisotropy(eigenvalues, beta):
    return (beta / eigenvalues).clamp(max=1).log().var(correction=0).item()


# %% wrong: the prior's share of the ball
def anisotropy(eigenvalues, beta):
    return (beta / (beta + 2 * eigenvalues)).log().var(correction=0).item()
