# %% right: a Grassmannian and a definite block
from math import comb


def stratum(rank, n):
    return rank * (n - rank) + comb(rank + 1, 2)


# %% right: NumPy's integers
import numpy as np


def stratum(rank, n):
    return np.int64(n) * rank - np.sum(np.arange(rank))


def forgotten(m, n, k):
    sizes = np.array([m, n, k])
    ranks = np.minimum(sizes, m * n * k // sizes - 1)
    held = sum(stratum(int(r), int(s)) for r, s in zip(ranks, sizes))
    return np.maximum(m * n * k - held, 0)


# %% right: counted entry by entry
def stratum(rank, n):
    return sum(n - i for i in range(rank))


# %% right: tensors without dimensions
import torch


def forgotten(m, n, k):
    held = torch.tensor(0)
    for size, other in ((m, n * k), (n, m * k), (k, m * n)):
        held = held + stratum(min(size, other - 1), size)
    return (m * n * k - held).clamp(min=0)


# %% right: the library's ceilings
from vae_course import spd


def forgotten(m, n, k):
    ranks = spd.rank_ceiling(m, n, k)
    left = m * n * k - sum(spd.stratum_dimension(r, s) for r, s in zip(ranks, (m, n, k)))
    return left if left > 0 else 0


# %% right: a null space of SciPy
import scipy.linalg
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)), z.mean(1) - mean, z.mean(0) - mean])
    free = torch.from_numpy(scipy.linalg.null_space(seen.numpy(), rcond=1e-9))
    return -2 * free @ (free.T @ mean)


# %% right: least squares, an array
import numpy as np


def bias(z):
    z = np.asarray(z, dtype=float)
    mean = z.mean(axis=(0, 1))
    seen = np.vstack([np.ones_like(mean), z.mean(axis=1) - mean, z.mean(axis=0) - mean])
    part, *_ = np.linalg.lstsq(seen.T, mean, rcond=1e-10)
    return 2 * (seen.T @ part - mean)


# %% right: a pseudo-inverse with a cut
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)).double(), z.mean(1) - mean, z.mean(0) - mean])
    return -2 * (mean - torch.linalg.pinv(seen, rtol=1e-10) @ (seen @ mean))


# %% right: independent rows only, by a QR
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    rows = [torch.ones_like(mean), *(z.mean(1) - mean)[:-1], *(z.mean(0) - mean)[:-1]]
    axes = torch.linalg.qr(torch.stack(rows, 1)).Q
    return 2 * (axes @ (axes.T @ mean) - mean)


# %% right: Gram and Schmidt, a list
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    basis = []
    for row in [torch.ones_like(mean), *(z.mean(1) - mean), *(z.mean(0) - mean)]:
        size = row.norm()
        for _ in range(3):
            for b in basis:
                row = row - (row @ b) * b
        if row.norm() > 1e-9 * size:
            basis.append(row / row.norm())
    for b in basis:
        mean = mean - (mean @ b) * b
    return (-2 * mean).tolist()


# %% right: differences of neighbouring rows
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)), z.mean(1).diff(dim=0), z.mean(0).diff(dim=0)])
    u, s, vh = torch.linalg.svd(seen, full_matrices=True)
    free = vh[int((s > 1e-9 * s[0]).sum()) :]
    return -2 * free.T @ free @ mean


# %% wrong: counts the lengths of columns among the rotations
def stratum(rank, n):
    return n * rank - rank * (rank + 1) // 2


# %% wrong: a rotation of the whole space
def stratum(rank, n):
    return n * rank - n * (n - 1) // 2


# %% wrong: rank and size swapped
def stratum(rank, n, right=stratum):
    return right(n, rank)


# %% wrong: two strata
def forgotten(m, n, k):
    held = sum(stratum(min(a, m * n * k // a - 1), a) for a in (m, k))
    return max(m * n * k - held, 0)


# %% wrong: full cones
def forgotten(m, n, k):
    return max(m * n * k - sum(a * (a + 1) // 2 for a in (m, n, k)), 0)


# %% wrong: a mean for each mode as well
def forgotten(m, n, k, right=forgotten):
    return max(right(m, n, k) - (m + n + k), 0)


# %% wrong: for square codes
def forgotten(m, n, k, right=forgotten):
    return right(m, m, k)


# %% wrong: an absolute value
def forgotten(m, n, k):
    held = sum(stratum(min(a, m * n * k // a - 1), a) for a in (m, n, k))
    return abs(m * n * k - held)


# %% wrong: the sum need not be zero
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([z.mean(1) - mean, z.mean(0) - mean])
    return -2 * (mean - torch.linalg.pinv(seen, rtol=1e-9) @ (seen @ mean))


# %% wrong: the other sign
def bias(z, right=bias):
    return -right(z)


# %% wrong: a rank cut of a fifth
import torch


def bias(z, cut=0.2):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)), z.mean(1) - mean, z.mean(0) - mean])
    _, values, axes = torch.linalg.svd(seen, full_matrices=False)
    axes = axes[values > cut * values[0]]
    return -2 * (mean - axes.T @ (axes @ mean))


# %% wrong: a rank cut of a thousandth
import torch


def bias(z, cut=1e-3):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)), z.mean(1) - mean, z.mean(0) - mean])
    _, values, axes = torch.linalg.svd(seen, full_matrices=False)
    axes = axes[values > cut * values[0]]
    return -2 * (mean - axes.T @ (axes @ mean))


# %% wrong: an SVD without a cut
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)), z.mean(1) - mean, z.mean(0) - mean])
    axes = torch.linalg.svd(seen, full_matrices=False).Vh
    return -2 * (mean - axes.T @ (axes @ mean))


# %% wrong: a ridge
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)), z.mean(1) - mean, z.mean(0) - mean])
    ridge = seen @ seen.T + 1e-2 * torch.eye(len(seen))
    return -2 * (mean - seen.T @ torch.linalg.solve(ridge, seen @ mean))


# %% wrong: any unnoticed one
import torch


def bias(z):
    z = z.double()
    mean = z.mean((0, 1))
    seen = torch.cat([torch.ones(1, len(mean)), z.mean(1) - mean, z.mean(0) - mean])
    free = torch.linalg.svd(seen).Vh[len(z) + z.shape[1] - 1 :]
    u = free[-1]
    return -2 * (u @ mean) * u


# %% wrong: three digits
def bias(z, right=bias):
    return (right(z) * 1e3).round() / 1e3
