# %% right: PyTorch's other autograd, in loops
import torch


def precision(cost, x, mu, sigma, draws, beta):
    out = torch.zeros_like(mu)
    for i in range(len(mu)):
        for e in draws:
            z = mu[i] + sigma[i] * e
            out[i] += torch.autograd.functional.hessian(lambda v: cost(x[i], v), z).diagonal()
    return 1 + out / len(draws) / beta


def pulled_back(features, mu, sigma, draws, beta):
    out = torch.zeros_like(mu)
    for i in range(len(mu)):
        for e in draws:
            j = torch.autograd.functional.jacobian(features, mu[i] + sigma[i] * e)
            out[i] += (j.T @ j).diagonal()
    return 1 + 2 * out / len(draws) / beta


# %% right: second differences, a list
import torch


def precision(cost, x, mu, sigma, draws, beta, h=1e-4):
    rows = []
    for image, m, s in zip(x, mu, sigma):
        row = []
        for step in h * torch.eye(len(m), dtype=m.dtype):
            total = 0.0
            for e in draws:
                z = m + s * e
                total += cost(image, z + step) - 2 * cost(image, z) + cost(image, z - step)
            row.append(float(1 + total / h**2 / len(draws) / beta))
        rows.append(row)
    return rows


# %% right: forward over reverse, NumPy's array
import warnings

import torch

warnings.simplefilter("ignore")  # forward mode mentions torch.jit


def precision(cost, x, mu, sigma, draws, beta):
    def bends(image, z):
        return torch.func.hessian(lambda v: cost(image, v))(z).diagonal()

    over_draws = torch.func.vmap(bends, (None, 0))
    z = mu.unsqueeze(1) + sigma.unsqueeze(1) * draws.unsqueeze(0)
    found = torch.stack([over_draws(image, row) for image, row in zip(x, z)])
    return (1 + found.mean(dim=1) / beta).numpy()


# %% right: a basis vector at a time
import warnings

import torch

warnings.simplefilter("ignore")  # forward mode mentions torch.jit


def precision(cost, x, mu, sigma, draws, beta):
    def one(image, z):
        slope = torch.func.grad(lambda v: cost(image, v))
        basis = torch.eye(len(z), dtype=z.dtype)
        return torch.stack([torch.func.jvp(slope, (z,), (e,))[1] @ e for e in basis])

    out = [[one(image, m + s * e) for e in draws] for image, m, s in zip(x, mu, sigma)]
    mean = torch.stack([torch.stack(row).mean(0) for row in out])
    return torch.ones(()) + mean / beta


# %% right: forward derivatives
import warnings

import torch

warnings.simplefilter("ignore")  # forward mode mentions torch.jit


def pulled_back(features, mu, sigma, draws, beta):
    def lengths(z):
        return torch.func.jacfwd(features)(z).pow(2).sum(0)

    z = (mu[None] + sigma[None] * draws[:, None]).flatten(0, 1)
    found = torch.stack([lengths(point) for point in z]).unflatten(0, (len(draws), len(mu)))
    return 1 + 2 / beta * found.mean(0)


# %% right: first differences
import torch


def pulled_back(features, mu, sigma, draws, beta, h=1e-5):
    rows = []
    for m, s in zip(mu, sigma):
        squares = torch.zeros_like(m)
        for e in draws:
            z = m + s * e
            for i, step in enumerate(h * torch.eye(len(m), dtype=m.dtype)):
                slope = (features(z + step) - features(z - step)) / (2 * h)
                squares[i] += slope @ slope
        rows.append((1 + 2 * squares / len(draws) / beta).tolist())
    return rows


# %% right: the diagonal of a product, graph attached
import torch


def pulled_back(features, mu, sigma, draws, beta):
    z = mu[:, None] + sigma[:, None] * draws
    j = torch.func.vmap(torch.func.vmap(torch.func.jacrev(features)))(z.requires_grad_())
    return 1 + 2 * torch.einsum("nsfk,nsfk->nk", j, j) / (z.shape[1] * beta)


# %% right: in classes
class Lens:
    def __init__(self, function):
        self.function = function

    def __call__(self, *inputs):
        return self.function(*inputs).clone()


precision, pulled_back = Lens(precision), Lens(pulled_back)

# %% right: lists for pairs, NumPy's numbers
import numpy as np

findings = {letter: [name, np.float64(price)] for letter, (name, price) in findings.items()}

# %% right: medians of the prices, without dimensions
import torch

findings = {}
for letter, s in radii.items():
    fits = {}
    for name, f in features_of.items():
        cost = lambda image, z, f=f: (f(image) - f(decode(z))).square().sum()
        prices = (precision(cost, x, mu, s, draws, 1.0) - 1) / (s**-2 - 1)
        fits[name] = prices.log().nan_to_num(-9).std().item(), prices.median()
    name = min(fits, key=lambda n: fits[n][0])
    findings[letter] = name, fits[name][1]

# %% right: read from a plot, to two digits
findings = {"A": ("network", 0.046), "B": ("pixels", 0.115), "C": ("edges", 0.09)}


# %% wrong: a sum over the draws
def precision(cost, x, mu, sigma, draws, beta, right=precision):
    return 1 + (right(cost, x, mu, sigma, draws, beta) - 1) * len(draws)


# %% wrong: unbiased by one draw
def precision(cost, x, mu, sigma, draws, beta, right=precision):
    n = len(draws)
    return 1 + (right(cost, x, mu, sigma, draws, beta) - 1) * n / (n - 1)


# %% wrong: draws of its own
import torch


def precision(cost, x, mu, sigma, draws, beta, right=precision):
    own = torch.randn(64, mu.shape[1], generator=torch.Generator().manual_seed(0))
    return right(cost, x, mu, sigma, own.double(), beta)


# %% wrong: variances for radii
def precision(cost, x, mu, sigma, draws, beta, right=precision):
    return right(cost, x, mu, sigma**2, draws, beta)


# %% wrong: one image for all
def precision(cost, x, mu, sigma, draws, beta, right=precision):
    return right(cost, x[:1].expand_as(x), mu, sigma, draws, beta)


# %% wrong: no precision below one
def precision(cost, x, mu, sigma, draws, beta, right=precision):
    return right(cost, x, mu, sigma, draws, beta).clamp(min=1)


# %% wrong: absolute curvatures
def precision(cost, x, mu, sigma, draws, beta, right=precision):
    return 1 + (right(cost, x, mu, sigma, draws, beta) - 1).abs()


# %% wrong: half the price
def precision(cost, x, mu, sigma, draws, beta, right=precision):
    return right(cost, x, mu, sigma, draws, beta / 2)


# %% wrong: the approximation, a factor of one
def pulled_back(features, mu, sigma, draws, beta, right=pulled_back):
    return 1 + (right(features, mu, sigma, draws, beta) - 1) / 2


# %% wrong: pulled back at the centre
def pulled_back(features, mu, sigma, draws, beta, right=pulled_back):
    return right(features, mu, sigma, 0 * draws[:1], beta)


# %% wrong: lengths for squares
def pulled_back(features, mu, sigma, draws, beta, right=pulled_back):
    return 1 + (right(features, mu, sigma, draws, beta) - 1).sqrt()


# %% wrong: a mean over the features
def pulled_back(features, mu, sigma, draws, beta, right=pulled_back):
    f = len(features(mu[0]))
    return 1 + (right(features, mu, sigma, draws, beta) - 1) / f


# %% wrong: the singular values of the Jacobian
import torch


def pulled_back(features, mu, sigma, draws, beta):
    jacobian = torch.func.vmap(torch.func.vmap(torch.func.jacrev(features)))
    z = mu[:, None] + sigma[:, None] * draws
    squares = torch.linalg.eigvalsh(jacobian(z).mT @ jacobian(z))
    return 1 + 2 * squares.mean(1) / beta


# %% wrong: prices of the approximation
import torch

findings = {}
for letter, s in radii.items():
    fits = {}
    for name, f in features_of.items():
        prices = (pulled_back(lambda z, f=f: f(decode(z)), mu, s, draws, 1.0) - 1) / (s**-2 - 1)
        fits[name] = (prices.std() / prices.mean()).item(), prices.mean().item()
    name = min(fits, key=lambda n: fits[n][0])
    findings[letter] = name, fits[name][1]

# %% wrong: one price for all
findings = {letter: (name, 0.0464) for letter, (name, _) in findings.items()}

# %% wrong: the inverse price for two of them
findings = {**findings, "B": ("pixels", 1 / 0.116), "C": ("edges", 1 / 0.0904)}

# %% wrong: B and C exchanged in price
findings = {"A": findings["A"], "B": ("pixels", 0.0904), "C": ("edges", 0.116)}
