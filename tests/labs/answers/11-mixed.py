# %% right: NumPy and einsum, an array
import numpy as np


def evenness(jacobians, metric, beta):
    j, m = np.asarray(jacobians), np.asarray(metric)
    p = np.eye(j.shape[2]) + 2 / beta * np.einsum("nij,ik,nkl->jl", j, m, j) / len(j)
    return np.array([np.log(np.diag(p)).var(), np.log(np.linalg.eigvalsh(p)).var()])


# %% right: singular values of a factor, a list
import torch


def evenness(jacobians, metric, beta):
    values, axes = torch.linalg.eigh(metric)
    root = axes * values.clamp(min=0).sqrt()
    n, _, k = jacobians.shape
    stacked = (root.T @ jacobians).reshape(-1, k) * (2 / (beta * n)) ** 0.5
    own = torch.zeros(k, dtype=torch.float64)
    found = torch.linalg.svdvals(stacked).square()
    own[: len(found)] = found
    both = stacked.square().sum(0), own
    return [torch.log1p(v).var(correction=0) for v in both]


# %% right: a loop over codes, NumPy's numbers
import numpy as np
import torch


def evenness(jacobians, metric, beta):
    k = jacobians.shape[-1]
    p = torch.eye(k, dtype=torch.float64)
    for j in jacobians:
        p += 2 * j.T @ metric @ j / len(jacobians) / beta
    eigenvalues = np.linalg.eigvals(p.numpy()).real
    return np.var(np.log(p.diagonal().numpy())), np.var(np.log(eigenvalues))


# %% right: eigenvectors, means of squares, tensors without dimensions
import torch


def evenness(jacobians, metric, beta):
    k = jacobians.shape[-1]
    p = torch.eye(k) + (jacobians.mT @ metric @ jacobians).mean(0) * 2 / beta

    def spread(values):
        logs = values.log()
        return (logs - logs.mean()).square().mean()

    return spread(p.diagonal()), spread(torch.linalg.eigh(p).eigenvalues)


# %% right: gradient descent on the rotations
import torch


def turned(jacobian, metric):
    form = jacobian.T @ metric @ jacobian
    k = len(form)
    form = form * k / form.trace()
    start = torch.Generator().manual_seed(1)
    for _ in range(20):
        skew = torch.randn(k, k, generator=start, dtype=torch.float64).requires_grad_()
        search = torch.optim.LBFGS(
            [skew], max_iter=400, tolerance_grad=1e-12, tolerance_change=0,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def loss(skew=skew, search=search):
            search.zero_grad()
            q = torch.matrix_exp(skew - skew.T)
            away = ((q.T @ form @ q).diagonal() - 1).square().sum()
            away.backward()
            return away

        search.step(loss)
        if loss() < 1e-15:
            return torch.matrix_exp(skew - skew.T)


# %% right: planes by a search for the angle, an array
import numpy as np
from scipy.optimize import brentq


def turned(jacobian, metric):
    form = (jacobian.T @ metric @ jacobian).numpy()
    k, q = len(form), np.eye(len(form))
    form = form / np.trace(form) - np.eye(k) / k
    for _ in range(k - 1):
        i, j = np.diag(form).argmax(), np.diag(form).argmin()
        if form[i, i] - form[j, j] < 1e-13:
            break

        def entry(t):
            c, s = np.cos(t), np.sin(t)
            return c * c * form[i, i] + 2 * c * s * form[i, j] + s * s * form[j, j]

        t = brentq(entry, 0, np.pi / 2, xtol=1e-15)
        plane = np.eye(k)
        plane[[i, j], [i, j]] = np.cos(t)
        plane[j, i], plane[i, j] = np.sin(t), -np.sin(t)
        form, q = plane.T @ form @ plane, q @ plane
    return q


# %% right: pairs of opposite excess from the form's own axes, a list of lists
import torch


def turned(jacobian, metric):
    values, axes = torch.linalg.eigh(jacobian.T @ metric @ jacobian)
    excess, q = (values - values.mean()).tolist(), axes.clone()
    for _ in range(len(excess) - 1):
        i, j = excess.index(max(excess)), excess.index(min(excess))
        if excess[i] - excess[j] < 1e-13:
            break
        # columns i and j are still eigenvectors, or a mixture that nothing else overlaps
        form = q[:, [i, j]].T @ (jacobian.T @ metric @ jacobian) @ q[:, [i, j]]
        form = form - values.mean() * torch.eye(2)
        a, b, c = form[0, 0], form[0, 1], form[1, 1]
        t = (b - torch.sqrt(b * b - a * c)) / -c
        cos = 1 / torch.sqrt(1 + t * t)
        turn = torch.stack([torch.stack([cos, -t * cos]), torch.stack([t * cos, cos])])
        q[:, [i, j]] = q[:, [i, j]] @ turn
        excess[j], excess[i] = excess[i] + excess[j], 0.0
    return q.tolist()


# %% right: planes by the double angle, from a random start
import torch


def turned(jacobian, metric):
    k = jacobian.shape[1]
    start = torch.Generator().manual_seed(2)
    q = torch.linalg.qr(torch.randn(k, k, generator=start, dtype=torch.float64)).Q
    form = jacobian.T @ metric @ jacobian
    mean = form.trace() / k
    for _ in range(200):  # in each the two ends of the diagonal become one
        seen = q.T @ form @ q
        i, j = seen.diagonal().argmax().item(), seen.diagonal().argmin().item()
        if seen[i, i] - seen[j, j] < 1e-7 * mean:
            return q
        angle = torch.atan2(seen[i, i] - seen[j, j], 2 * seen[i, j]) / 2
        pair = q[:, i].clone(), q[:, j].clone()
        q[:, i] = torch.cos(angle) * pair[0] - torch.sin(angle) * pair[1]
        q[:, j] = torch.sin(angle) * pair[0] + torch.cos(angle) * pair[1]


# %% right: words that were written down
verdicts = {"D": "mixed", "C": "uneven", "B": "whitened", "A": "mixed", "why": "A_eig"}


# %% wrong: halves the metric
def evenness(jacobians, metric, beta, right=evenness):
    return right(jacobians, metric / 2, beta)


# %% wrong: multiplies by the price
def evenness(jacobians, metric, beta, right=evenness):
    return right(jacobians, metric, 1 / beta)


# %% wrong: a sum over codes
def evenness(jacobians, metric, beta, right=evenness):
    return right(jacobians * len(jacobians) ** 0.5, metric, beta)


# %% wrong: logs of standard deviations
def evenness(jacobians, metric, beta, right=evenness):
    return tuple(part / 4 for part in right(jacobians, metric, beta))


# %% wrong: the axes first
def evenness(jacobians, metric, beta, right=evenness):
    return right(jacobians, metric, beta)[::-1]


# %% wrong: pixels for latents
import torch


def evenness(jacobians, metric, beta, right=evenness):
    form = (jacobians @ jacobians.mT).mean(0) @ metric
    p = torch.eye(len(metric)) + 2 / beta * form
    own = torch.linalg.eigvals(p).real.log().var(correction=0).item()
    return right(jacobians, metric, beta)[0], own


# %% wrong: a jitter of a tenth
import torch


def evenness(jacobians, metric, beta, right=evenness):
    return right(jacobians, metric + 0.1 * torch.eye(len(metric)), beta)


# %% wrong: no turn
import torch


def turned(jacobian, metric):
    return torch.eye(jacobian.shape[1], dtype=torch.float64)


# %% wrong: a cosine transform of the latents
import numpy as np
import scipy.fft
import torch


def turned(jacobian, metric):
    return torch.from_numpy(scipy.fft.dct(np.eye(jacobian.shape[1]), norm="ortho"))


# %% wrong: one plane only
import torch


def turned(jacobian, metric, right=turned):
    form = jacobian.T @ metric @ jacobian
    k = len(form)
    if k == 3:
        return right(jacobian, metric)
    i, j = form.diagonal().argmax().item(), form.diagonal().argmin().item()
    turn = torch.atan2(form[i, i] - form[j, j], 2 * form[i, j]) / 2
    plane = torch.eye(k, dtype=torch.float64)
    plane[i, i] = plane[j, j] = torch.cos(turn)
    plane[j, i], plane[i, j] = torch.sin(turn), -torch.sin(turn)
    return plane


# %% wrong: scaled to equal lengths
def turned(jacobian, metric):
    import torch

    return torch.diag((jacobian.T @ metric @ jacobian).diagonal().rsqrt())


# %% wrong: rounds to three digits
def turned(jacobian, metric, right=turned):
    return (right(jacobian, metric) * 1000).round() / 1000


# %% wrong: forgets the metric in the turn
import torch


def turned(jacobian, metric, right=turned):
    return right(jacobian, torch.eye(len(metric), dtype=torch.float64))


# %% wrong: all that is even is whitened
verdicts = {"A": "whitened", "B": "whitened", "C": "uneven", "D": "uneven"}

# %% wrong: judges by the axes alone
verdicts = {"A": "uneven", "B": "whitened", "C": "uneven", "D": "uneven"}
