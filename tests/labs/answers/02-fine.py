# %% right: a trace
def expected_error(W, b, x, mu, sigma):
    out = []
    for xi, m, s in zip(x, mu, sigma):
        residual = xi - (W @ m + b)
        out.append(residual @ residual + torch.trace(W @ torch.diag(s**2) @ W.T))
    return torch.stack(out)


# %% right: arrays
import numpy as np


def expected_error(W, b, x, mu, sigma):
    W, b, x, mu, sigma = (t.numpy() for t in (W, b, x, mu, sigma))
    return ((x - mu @ W.T - b) ** 2).sum(1) + sigma**2 @ (W**2).sum(0)


def best_scale(W, mu, sigma, beta):
    W, mu, sigma = (np.asarray(t) for t in (W, mu, sigma))
    fine = (sigma**2 @ (W**2).sum(axis=0)).mean()
    return (2 * fine / beta / (mu**2).sum(axis=1).mean()) ** 0.25


# %% right: two points of noise in each direction
def expected_error(W, b, x, mu, sigma):
    # The error is quadratic in each eps_j: plus and minus one around the centre give its mean.
    at = lambda z: ((x - z @ W.T - b) ** 2).sum(1)
    total = at(mu)
    for j in range(mu.shape[1]):
        step = torch.zeros_like(mu)
        step[:, j] = sigma[:, j]
        total = total + (at(mu + step) + at(mu - step)) / 2 - at(mu)
    return total


# %% right: all signs of the noise
import itertools


def expected_error(W, b, x, mu, sigma):
    corners = list(itertools.product([-1.0, 1.0], repeat=mu.shape[1]))
    codes = [mu + sigma * torch.tensor(e, dtype=mu.dtype) for e in corners]
    errors = [((x - z @ W.T - b) ** 2).sum(1) for z in codes]
    return sum(errors) / len(errors)


# %% right: a list of numbers
def expected_error(W, b, x, mu, sigma):
    lengths = [sum(w[j] ** 2 for w in W.tolist()) for j in range(W.shape[1])]
    centre = torch.linalg.vector_norm(x - torch.nn.functional.linear(mu, W, b), dim=1) ** 2
    fines = [sum(s * s * v for s, v in zip(row, lengths)) for row in sigma.tolist()]
    return [c.item() + fine for c, fine in zip(centre, fines)]


# %% right: a search for the scale
import math

import scipy.optimize


def best_scale(W, mu, sigma, beta):
    fine = float((sigma.double() ** 2 @ (W.double() ** 2).sum(0)).mean())
    pull = float(beta / 2 * (mu.double() ** 2).sum(1).mean())
    found = scipy.optimize.minimize_scalar(
        lambda t: fine * math.exp(-2 * t) + pull * math.exp(2 * t), bracket=(-1, 1), tol=1e-12
    )
    return math.exp(found.x)


# %% right: bisection of the slope
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() @ W.square().sum(0)).mean().item()
    pull = beta / 2 * mu.square().sum(1).mean().item()
    low, high = 1e-6, 1e6
    for _ in range(200):
        c = (low * high) ** 0.5
        low, high = (c, high) if pull * c < fine / c**3 else (low, c)
    return low


# %% right: by the excess of one's own expected error, a 0-d tensor
def best_scale(W, mu, sigma, beta):
    nothing = torch.zeros(len(W), dtype=W.dtype)
    target = mu @ W.T
    fine = expected_error(W, nothing, target, mu, sigma).sum()
    return (2 * fine / (beta * (mu * mu).sum())) ** (1 / 4)


# %% right: sums in place of means, float32
import numpy as np


def best_scale(W, mu, sigma, beta):
    W, mu, sigma = W.float(), mu.float(), sigma.float()
    fine = torch.linalg.matrix_norm(sigma[:, None, :] * W).square().sum()
    return np.float32((2 * fine / beta / torch.sum(mu * mu)) ** 0.25)


# %% wrong: rows of W for its columns
def expected_error(W, b, x, mu, sigma):
    rows = W.square().sum(1)[: W.shape[1]].mean()
    return (x - mu @ W.T - b).square().sum(1) + (sigma.square() * rows).sum(1)


# %% wrong: a simulation
def expected_error(W, b, x, mu, sigma):
    eps = torch.randn(20_000, *mu.shape, generator=torch.Generator().manual_seed(0), dtype=mu.dtype)
    return (x - (mu + sigma * eps) @ W.T - b).square().sum(-1).mean(0)


# %% wrong: without the bias
def expected_error(W, b, x, mu, sigma):
    return (x - mu @ W.T).square().sum(1) + (sigma.square() * W.square().sum(0)).sum(1)


# %% wrong: the fine a mean over the directions
def expected_error(W, b, x, mu, sigma):
    return (x - mu @ W.T - b).square().sum(1) + (sigma.square() * W.square().sum(0)).mean(1)


# %% wrong: the fine a mean over the batch
def expected_error(W, b, x, mu, sigma):
    return (x - mu @ W.T - b).square().sum(1) + (sigma.square() * W.square().sum(0)).sum(1).mean()


# %% wrong: twice the fine
def expected_error(W, b, x, mu, sigma):
    return (x - mu @ W.T - b).square().sum(1) + 2 * (sigma.square() * W.square().sum(0)).sum(1)


# %% wrong: lengths of the columns without a square
def expected_error(W, b, x, mu, sigma):
    return (x - mu @ W.T - b).square().sum(1) + (sigma.square() * W.norm(dim=0)).sum(1)


# %% wrong: one step of sigma to one side
def expected_error(W, b, x, mu, sigma):
    return (x - (mu + sigma) @ W.T - b).square().sum(1)


# %% wrong: the mean of the images' best scales
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() * W.square().sum(0)).sum(1)
    return (2 * fine / (beta * mu.square().sum(1))).pow(0.25).mean().item()


# %% wrong: the pull a mean over the directions
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() * W.square().sum(0)).sum(1).mean()
    return (fine / (beta / 2 * mu.square().mean())).pow(0.25).item()


# %% wrong: centred codes
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() * W.square().sum(0)).sum(1).mean()
    return (fine / (beta / 2 * mu.var(0, correction=0).sum())).pow(0.25).item()


# %% wrong: the best of a coarse grid
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() * W.square().sum(0)).sum(1).mean()
    pull = beta / 2 * mu.square().sum(1).mean()
    c = torch.linspace(0.1, 20, 400, dtype=mu.dtype)
    return c[(fine / c**2 + pull * c**2).argmin()].item()


# %% wrong: never below one
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() * W.square().sum(0)).sum(1).mean()
    return max(1.0, (fine / (beta * mu.square().sum(1).mean())).pow(0.25).item())


# %% wrong: the scale for beta 0.02
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() * W.square().sum(0)).sum(1).mean()
    return (fine / (0.01 * mu.square().sum(1).mean())).pow(0.25).item()


# %% wrong: the square of the scale
def best_scale(W, mu, sigma, beta):
    fine = (sigma.square() * W.square().sum(0)).sum(1).mean()
    return (fine / (beta / 2 * mu.square().sum(1).mean())).sqrt().item()
