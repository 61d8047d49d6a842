# %% right: NumPy and SciPy, arrays
import numpy as np
import scipy.linalg


def embedding(s):
    rows = []
    for matrix in np.asarray(s, dtype=float):
        values, axes = np.linalg.eigh(matrix)
        log = (axes * np.log(values)) @ axes.T
        upper = np.triu_indices(len(log), 1)
        rows.append(np.concatenate([np.diag(log), np.sqrt(2) * log[upper]]))
    return np.array(rows)


def affine_invariant(a, b):
    pairs = zip(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    return np.array([np.linalg.norm(np.log(scipy.linalg.eigvalsh(y, x))) for x, y in pairs])


def smallest(distances, gamma):
    return scipy.linalg.eigvalsh(np.exp(-gamma * np.asarray(distances) ** 2)).min()


# %% right: numbers without dimensions, and NumPy's for gamma
import numpy as np
import torch


def smallest(distances, gamma):
    return torch.linalg.eigvalsh(torch.exp(-gamma * distances.square())).amin()


gamma = np.float64(0.01)

# %% right: gamma from a search
import numpy as np
import torch

from vae_course import spd

table = spd.pairwise_distances(affine_invariant, points)
gamma = min(np.geomspace(1e-3, 1, 12), key=lambda g: smallest(table, g))

# %% right: gamma without dimensions
import torch

gamma = torch.tensor(0.03)

# %% right: nested lists and loops
import math

import torch


def embedding(s):
    rows = []
    for matrix in s.double():
        values, axes = torch.linalg.eigh(matrix)
        log = (axes @ torch.diag(values.log()) @ axes.T).tolist()
        n = len(log)
        row = [log[i][i] for i in range(n)]
        row += [math.sqrt(2) * log[i][j] for i in range(n) for j in range(i + 1, n)]
        rows.append(row)
    return rows


# %% right: a root of the matrix
import torch


def affine_invariant(a, b):
    values, axes = torch.linalg.eigh(a.double())
    root = axes * values.rsqrt()[:, None] @ axes.mT
    middle = root @ b.double() @ root
    return torch.linalg.eigvalsh((middle + middle.mT) / 2).log().square().sum(-1).sqrt()


# %% right: eigenvalues of a quotient
import torch


def affine_invariant(a, b):
    ratio = torch.linalg.eigvals(torch.linalg.solve(a.double(), b.double())).real
    return torch.linalg.vector_norm(ratio.log(), dim=-1)


# %% right: a logarithm's norm, a list
import torch


def affine_invariant(a, b):
    found = []
    for x, y in zip(a.double(), b.double()):
        low = torch.linalg.cholesky(x)
        half = torch.linalg.solve_triangular(low, y, upper=False)
        whole = torch.linalg.solve_triangular(low, half.T, upper=False)
        found.append(torch.linalg.eigvalsh((whole + whole.T) / 2).log().norm().item())
    return found


# %% right: eigenvalues that need not be sorted
import torch


def smallest(distances, gamma):
    gram = (-gamma * distances.double().pow(2)).exp()
    return min(torch.linalg.eigvals(gram).real.tolist())


# %% right: singular vectors for the logarithm
import torch


def embedding(s):
    u, values, _ = torch.linalg.svd(s.double())
    log = torch.einsum("nij,nj,nkj->nik", u, values.log(), u)
    n = s.shape[-1]
    above = torch.ones(n, n).triu(1).bool()
    return torch.hstack([torch.einsum("nii->ni", log), log[:, above] * 2**0.5])


# %% right: a dictionary with more keys
is_kernel = dict(is_kernel, Hellinger="kernel")

# %% wrong: below the diagonal
import torch


def embedding(s):
    values, vectors = torch.linalg.eigh(s.double())
    log = vectors * values.log()[:, None] @ vectors.mT
    row, column = torch.tril_indices(s.shape[-1], s.shape[-1], offset=-1)
    return torch.cat([log.diagonal(dim1=-2, dim2=-1), 2**0.5 * log[:, row, column]], 1)


# %% wrong: above the diagonal first
def embedding(s, right=embedding):
    n = s.shape[-1]
    return right(s).roll(-n, 1)


# %% wrong: single precision
import torch


def embedding(s, right=embedding):
    return right(s).half().double()


# %% wrong: logarithms of ten
import math


def embedding(s, right=embedding):
    return right(s) / math.log(10)


# %% wrong: an epsilon in the logarithm
import torch


def embedding(s, right=embedding):
    return right(s.double() + 1e-3 * torch.eye(s.shape[-1]))


# %% wrong: the other whitening, and no root
import torch


def affine_invariant(a, b):
    low = torch.linalg.inv(torch.linalg.cholesky(a.double()))
    return torch.linalg.eigvalsh(low @ b.double() @ low.mT).log().square().sum(-1)


# %% wrong: A for its root
import torch


def affine_invariant(a, b):
    low = torch.linalg.inv(a.double())
    return torch.linalg.eigvalsh(low @ b.double() @ low).log().norm(dim=-1)


# %% wrong: the largest ratio only
import torch


def affine_invariant(a, b):
    ratio = torch.linalg.eigvals(torch.linalg.solve(a.double(), b.double())).real
    return ratio.log().abs().amax(-1)


# %% wrong: for two by two matrices
import torch


def affine_invariant(a, b):
    ratio = torch.linalg.eigvals(torch.linalg.solve(a.double(), b.double())).real.sort().values
    return torch.stack([ratio[:, 0], ratio[:, -1]], 1).log().norm(dim=-1)


# %% wrong: a centred Gram matrix
import torch


def smallest(distances, gamma):
    gram = torch.exp(-gamma * distances.double() ** 2)
    centre = torch.eye(len(gram)) - 1 / len(gram)
    return torch.linalg.eigvalsh(centre.double() @ gram @ centre.double())[0].item()


# %% wrong: half of gamma
def smallest(distances, gamma, right=smallest):
    return right(distances, gamma / 2)


# %% wrong: a normalised Gram matrix
def smallest(distances, gamma, right=smallest):
    return right(distances, gamma) / len(distances)


# %% wrong: clips what it takes for rounding
def smallest(distances, gamma, right=smallest):
    found = right(distances, gamma)
    return 0.0 if abs(found) < 0.05 else found


# %% wrong: a jitter of a thousandth
def smallest(distances, gamma, right=smallest):
    return right(distances, gamma) + 1e-3


# %% wrong: the smallest in size
import torch


def smallest(distances, gamma):
    values = torch.linalg.eigvalsh(torch.exp(-gamma * distances.double() ** 2))
    return values[values.abs().argmin()].item()


# %% wrong: a gamma of a tenth
gamma = 0.1

# %% wrong: a gamma of a thousandth
gamma = 0.001

# %% wrong: all are kernels
is_kernel = dict.fromkeys(is_kernel, "kernel")

# %% wrong: only the flat one is none
is_kernel = {**dict.fromkeys(is_kernel, "kernel"), "Frobenius": "refuted"}
