# %% right: jacobians draw by draw
def pathwise(f, mu, sigma, eps):
    by_mu, by_sigma = [], []
    for e in eps:
        m, s = mu.clone().requires_grad_(), sigma.clone().requires_grad_()
        f((m + s * e)[None]).sum().backward()
        by_mu.append(m.grad)
        by_sigma.append(s.grad)
    return torch.stack(by_mu), torch.stack(by_sigma)


# %% right: a graph that is kept
def pathwise(f, mu, sigma, eps):
    m = mu.repeat(len(eps), 1).requires_grad_()
    s = sigma.repeat(len(eps), 1).requires_grad_()
    return torch.autograd.grad(f(m + s * eps).sum(), (m, s), create_graph=True)


# %% right: torch.func
def pathwise(f, mu, sigma, eps):
    g = torch.func.vmap(torch.func.grad(lambda z: f(z[None])[0]))(mu + sigma * eps)
    return [g, g * eps]


# %% right: central differences in double precision
def pathwise(f, mu, sigma, eps):
    mu, sigma, eps = mu.double(), sigma.double(), eps.double()
    z = mu + sigma * eps
    columns = []
    for j in range(z.shape[1]):
        step = torch.zeros_like(z)
        step[:, j] = 1e-5
        columns.append((f(z + step) - f(z - step)) / 2e-5)
    slope = torch.stack(columns, 1)
    return slope.numpy(), (slope * eps).numpy()


# %% right: the log density differentiated
def score(f, mu, sigma, eps):
    z = (mu + sigma * eps).detach()
    m, s = mu.expand_as(z).clone().requires_grad_(), sigma.expand_as(z).clone().requires_grad_()
    log_q = torch.distributions.Normal(m, s).log_prob(z).sum()
    by_mu, by_sigma = torch.autograd.grad(log_q, (m, s))
    return f(z)[:, None] * by_mu, f(z)[:, None] * by_sigma


# %% right: in the codes' own units, arrays
import numpy as np


def score(f, mu, sigma, eps):
    z = mu + sigma * eps
    values = np.asarray(f(z)).reshape(-1, 1)
    z, mu, sigma = z.numpy(), mu.numpy(), sigma.numpy()
    return values * (z - mu) / sigma**2, values * (((z - mu) ** 2 - sigma**2) / sigma**3)


# %% right: row after row of a list
def score(f, mu, sigma, eps):
    values = f(mu + sigma * eps)
    by_mu = [[float(v * e / s) for e, s in zip(row, sigma)] for v, row in zip(values, eps)]
    slope = (eps * eps - 1) / sigma
    by_sigma = [[float(v * part) for part in row] for v, row in zip(values, slope)]
    return by_mu, by_sigma


# %% right: both stacked into one tensor
def score(f, mu, sigma, eps):
    return torch.einsum("n,pnj->pnj", f(mu + sigma * eps), torch.stack([eps, eps**2 - 1]) / sigma)


# %% right: a loop that leaves one out
def baseline(values):
    others = [torch.cat([values[:i], values[i + 1 :]]) for i in range(len(values))]
    return torch.stack([other.mean() for other in others])


# %% right: a matrix without its diagonal
def baseline(values):
    n = len(values)
    return (torch.ones(n, n) - torch.eye(n)).to(values) @ values / (n - 1)


# %% right: numpy's delete
import numpy as np


def baseline(values):
    return np.array([np.delete(values.numpy(), i).mean() for i in range(len(values))])


# %% right: a list of Python's means
import statistics


def baseline(values):
    v = values.tolist()
    return [statistics.mean(v[:i] + v[i + 1 :]) for i in range(len(v))]


# %% wrong: an epsilon under the division by sigma
def score(f, mu, sigma, eps):
    values = f(mu + sigma * eps).unsqueeze(1)
    return values * eps / (sigma + 1e-2), values * (eps**2 - 1) / (sigma + 1e-2)


# %% wrong: a baseline inside the score
def score(f, mu, sigma, eps):
    values = f(mu + sigma * eps)
    values = (values - values.mean()).unsqueeze(1)
    return values * eps / sigma, values * (eps**2 - 1) / sigma


# %% wrong: the mean of f for each draw's own
def score(f, mu, sigma, eps):
    values = f(mu + sigma * eps).mean()
    return values * eps / sigma, values * (eps**2 - 1) / sigma


# %% wrong: f at the centre
def score(f, mu, sigma, eps):
    values = f(mu.expand_as(eps)).unsqueeze(1)
    return values * eps / sigma, values * (eps**2 - 1) / sigma


# %% wrong: divided by the number of draws
def score(f, mu, sigma, eps):
    values = f(mu + sigma * eps).unsqueeze(1) / len(eps)
    return values * eps / sigma, values * (eps**2 - 1) / sigma


# %% wrong: by the variance
def score(f, mu, sigma, eps):
    values = f(mu + sigma * eps).unsqueeze(1)
    return values * eps / sigma, values * (eps**2 - 1) / (2 * sigma**2)


# %% wrong: the pair exchanged
def score(f, mu, sigma, eps):
    values = f(mu + sigma * eps).unsqueeze(1)
    return values * (eps**2 - 1) / sigma, values * eps / sigma


# %% wrong: the path of the mean alone, repeated
def pathwise(f, mu, sigma, eps):
    z = (mu + sigma * eps).detach().requires_grad_()
    (by_z,) = torch.autograd.grad(f(z).sum(), z)
    by_z = by_z.mean(0).expand_as(eps)
    return by_z, by_z * eps


# %% wrong: forward differences with a large step
def pathwise(f, mu, sigma, eps):
    z, h = mu + sigma * eps, 1e-2
    unit = torch.eye(z.shape[1], dtype=z.dtype) * h
    slope = torch.stack([(f(z + u) - f(z)) / h for u in unit], 1)
    return slope, slope * eps


# %% wrong: sigma in the chain rule for eps
def pathwise(f, mu, sigma, eps):
    z = (mu + sigma * eps).detach().requires_grad_()
    (by_z,) = torch.autograd.grad(f(z).sum(), z)
    return by_z, by_z * sigma


# %% wrong: the size of eps
def pathwise(f, mu, sigma, eps):
    z = (mu + sigma * eps).detach().requires_grad_()
    (by_z,) = torch.autograd.grad(f(z).sum(), z)
    return by_z, by_z * eps.abs()


# %% wrong: by log sigma along the path
def pathwise(f, mu, sigma, eps):
    z = (mu + sigma * eps).detach().requires_grad_()
    (by_z,) = torch.autograd.grad(f(z).sum(), z)
    return by_z, by_z * eps * sigma


# %% wrong: the sum of the others over N
def baseline(values):
    return (values.sum() - values) / len(values)


# %% wrong: the mean of those before
def baseline(values):
    counts = torch.arange(len(values), dtype=values.dtype).clamp_min(1)
    return (values.cumsum(0) - values) / counts


# %% wrong: the next draw's value
def baseline(values):
    return values.roll(1)


# %% wrong: the median of the others
def baseline(values):
    others = [torch.cat([values[:i], values[i + 1 :]]) for i in range(len(values))]
    return torch.stack([other.median() for other in others])
