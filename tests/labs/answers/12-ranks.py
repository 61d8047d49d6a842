# %% right: NumPy, an array, NumPy's integers
import numpy as np


def singular_values(z, mode):
    x = np.moveaxis(np.asarray(z, dtype=float), mode - 1, 0).reshape(z.shape[mode - 1], -1)
    return np.linalg.svd(x - x.mean(axis=1, keepdims=True), compute_uv=False)


def rank(z, mode, tolerance):
    s = singular_values(z, mode)
    return np.sum(s > tolerance * s.max())


def ceilings(m, n, k):
    return np.minimum([m, n, k], [n * k - 1, m * k - 1, m * n - 1])


# %% right: PyTorch's own rank
import torch


def rank(z, mode, tolerance):
    rows = z.double().movedim(mode - 1, 0).flatten(1)
    return torch.linalg.matrix_rank(rows - rows.mean(1, keepdim=True), rtol=tolerance)


# %% right: the other order of columns, a list
import torch


def singular_values(z, mode):
    others = [axis for axis in (2, 1, 0) if axis != mode - 1]
    rows = z.double().permute(mode - 1, *others).reshape(z.shape[mode - 1], -1)
    rows = rows - rows.mean(dim=1)[:, None]
    return torch.linalg.svd(rows).S.tolist()


# %% right: einsum's letters and the transpose
import torch


def singular_values(z, mode):
    order = {1: "ijk->jki", 2: "ijk->ikj", 3: "ijk->ijk"}[mode]
    columns = torch.einsum(order, z.double()).flatten(0, 1)
    return torch.linalg.svdvals(columns - columns.mean(0))


# %% right: a centring matrix and SciPy
import numpy as np
import scipy.linalg


def singular_values(z, mode):
    x = np.moveaxis(z.numpy().astype(np.float64), mode - 1, 0).reshape(z.shape[mode - 1], -1)
    n = x.shape[1]
    return scipy.linalg.svdvals(x @ (np.eye(n) - np.ones((n, n)) / n))[: min(x.shape)]


# %% right: counted in a loop
def rank(z, mode, tolerance):
    values = list(map(float, singular_values(z, mode)))
    most, count = max(values), 0
    for value in values:
        if most > 0 and value / most > tolerance:
            count += 1
    return count


# %% right: a tensor without dimensions
def rank(code, axis, tol):
    values = singular_values(code, axis)
    return (values > tol * values.amax()).count_nonzero()


# %% right: NumPy's rank with an absolute tolerance made of the relative one
import numpy as np


def rank(z, mode, tolerance):
    rows = z.double().movedim(mode - 1, 0).flatten(1).numpy()
    rows = rows - rows.mean(axis=1, keepdims=True)
    return np.linalg.matrix_rank(rows, tol=tolerance * np.linalg.norm(rows, 2))


# %% right: ceilings in a list
def ceilings(m, n, k):
    total = m * n * k
    return [min(size, total // size - 1) for size in (m, n, k)]


# %% right: ceilings of a random code
import torch


def ceilings(m, n, k):
    z = torch.randn(m, n, k, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return tuple(rank(z, mode, 1e-10) if m * n * k > 1 else 0 for mode in (1, 2, 3))


# %% wrong: single precision inside
import torch


def singular_values(z, mode):
    rows = z.float().movedim(mode - 1, 0).flatten(1)
    return torch.linalg.svdvals(rows - rows.mean(1, keepdim=True)).double()


# %% wrong: roots of the covariance's eigenvalues
import torch


def singular_values(z, mode):
    rows = z.double().movedim(mode - 1, 0).flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    return torch.linalg.eigvalsh(rows @ rows.T).clamp(min=0).flip(0).sqrt()


# %% wrong: modes count from zero
import torch


def singular_values(z, mode):
    rows = z.double().movedim(mode % 3, 0).flatten(1)
    return torch.linalg.svdvals(rows - rows.mean(1, keepdim=True))


# %% wrong: divided by the root of the columns
import torch


def singular_values(z, mode, right=singular_values):
    found = right(z, mode)
    return found / (z.numel() / z.shape[mode - 1]) ** 0.5


# %% wrong: standardises the rows
import torch


def singular_values(z, mode):
    rows = z.double().movedim(mode - 1, 0).flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    return torch.linalg.svdvals(rows / (rows.std(1, keepdim=True) + 1e-8))


# %% wrong: centres both ways
import torch


def singular_values(z, mode):
    rows = z.double().movedim(mode - 1, 0).flatten(1)
    rows = rows - rows.mean(1, keepdim=True)
    return torch.linalg.svdvals(rows - rows.mean(0))


# %% wrong: as large as the tolerance, but for a code of zeros
def rank(z, mode, tolerance):
    values = singular_values(z, mode)
    return 0 if values[0] == 0 else int((values > tolerance * values.sum()).sum())


# %% wrong: a tolerance of its own
import torch


def rank(z, mode, tolerance):
    rows = z.double().movedim(mode - 1, 0).flatten(1)
    return int(torch.linalg.matrix_rank(rows - rows.mean(1, keepdim=True)))


# %% wrong: not below single precision
def rank(z, mode, tolerance):
    values = singular_values(z, mode)
    return int((values > max(tolerance, 1.2e-7) * values[0]).sum())


# %% wrong: the rank of one for nothing
def rank(z, mode, tolerance, right=rank):
    return max(1, right(z, mode, tolerance))


# %% wrong: without the largest
def rank(z, mode, tolerance):
    values = singular_values(z, mode)
    return int((values[1:] > tolerance * values[0]).sum())


# %% wrong: relative to the mean
def rank(z, mode, tolerance):
    values = singular_values(z, mode)
    return int((values > tolerance * values.mean()).sum())


# %% wrong: ceilings without centring the first two
def ceilings(m, n, k):
    return min(m, n * k), min(n, m * k), min(k, m * n - 1)


# %% wrong: ceilings of the places
def ceilings(m, n, k):
    return min(m, n), min(m, n), min(k, m * n - 1)


# %% wrong: ceilings of two centrings
def ceilings(m, n, k):
    return max(1, min(m, n * k - 1) - 1), max(1, min(n, m * k - 1) - 1), min(k, m * n - 1)
