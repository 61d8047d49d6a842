# %% right: loops over draws and images
def resample(mu, sigma, eps):
    rows = [[m + s * e for m, s, e in zip(mu, sigma, draw)] for draw in eps]
    return torch.stack([torch.stack(row) for row in rows])


def contract_ratio(decode, x, mu, sigma, eps):
    drawn = [sum((x[i] - decode(mu[i] + sigma[i] * e[i])) ** 2) for e in eps for i in range(len(x))]
    centred = [sum((x[i] - decode(mu[i])) ** 2) for i in range(len(x))]
    return (sum(drawn) / len(drawn)) / (sum(centred) / len(centred))


# %% right: arrays
import numpy as np


def resample(mu, sigma, eps):
    return np.asarray(mu) + np.asarray(sigma) * np.asarray(eps)


def contract_ratio(decode, x, mu, sigma, eps):
    drawn = np.asarray(decode(torch.from_numpy(resample(mu, sigma, eps))))
    centred = np.asarray(decode(mu))
    at_draws = np.mean(np.sum((x.numpy() - drawn) ** 2, -1))
    return at_draws / np.mean(np.sum((x.numpy() - centred) ** 2, -1))


# %% right: a decoder that is given arrays
import numpy as np


def contract_ratio(decode, x, mu, sigma, eps):
    mu, sigma, eps, x = mu.numpy(), sigma.numpy(), eps.numpy(), x.numpy()
    drawn = np.asarray(decode(mu + sigma * eps))
    return ((drawn - x) ** 2).sum(-1).mean() / ((np.asarray(decode(mu)) - x) ** 2).sum(-1).mean()


# %% right: means over the pixels, which cancel
def contract_ratio(decode, x, mu, sigma, eps):
    drawn = decode(mu + sigma * eps)
    top = torch.nn.functional.mse_loss(drawn, x.expand_as(drawn))
    return top / torch.nn.functional.mse_loss(decode(mu), x)


# %% right: addcmul and a clone in place
def resample(mu, sigma, eps):
    z = eps.clone()
    z *= sigma
    z += mu
    return z


def contract_ratio(decode, x, mu, sigma, eps):
    z = torch.addcmul(mu, sigma, eps)
    return ((decode(z) - x).norm(dim=-1) ** 2).mean() / ((decode(mu) - x).norm(dim=-1) ** 2).mean()


# %% right: nested lists of codes
def resample(mu, sigma, eps):
    return (mu.unsqueeze(0) + sigma.unsqueeze(0) * eps).tolist()


# %% right: a normal law that is told its noise
def resample(means, deviations, noise):
    return torch.distributions.AffineTransform(means, deviations)(noise)


# %% right: flattened draws, a float32 result
import numpy as np


def contract_ratio(decode, x, mu, sigma, eps):
    z = (mu + sigma * eps).reshape(-1, mu.shape[1])
    error = (decode(z) - x.repeat(len(eps), 1)).pow(2).sum(1)
    return np.float32(error.mean() / (decode(mu) - x).pow(2).sum(1).mean())


# %% right: the sum over images, draw by draw
from fractions import Fraction


def contract_ratio(decode, x, mu, sigma, eps):
    at_centres = float(((x - decode(mu)) ** 2).sum())
    at_draws = sum(float(((x - decode(mu + sigma * e)) ** 2).sum()) for e in eps)
    return Fraction(at_draws) / (len(eps) * Fraction(at_centres))


# %% wrong: the first draw only
def contract_ratio(decode, x, mu, sigma, eps):
    at_draws = (x - decode(mu + sigma * eps[0])).square().sum(-1).mean()
    return (at_draws / (x - decode(mu)).square().sum(-1).mean()).item()


# %% wrong: the error at the mean of the decoded draws
def contract_ratio(decode, x, mu, sigma, eps):
    at_draws = (x - decode(mu + sigma * eps).mean(0)).square().sum(-1).mean()
    return (at_draws / (x - decode(mu)).square().sum(-1).mean()).item()


# %% wrong: its own noise
def contract_ratio(decode, x, mu, sigma, eps):
    eps = torch.randn(eps.shape, generator=torch.Generator().manual_seed(0), dtype=mu.dtype)
    at_draws = (x - decode(mu + sigma * eps)).square().sum(-1).mean()
    return (at_draws / (x - decode(mu)).square().sum(-1).mean()).item()


# %% wrong: the sum over all draws
def contract_ratio(decode, x, mu, sigma, eps):
    at_draws = (x - decode(mu + sigma * eps)).square().sum()
    return (at_draws / (x - decode(mu)).square().sum()).item()


# %% wrong: a small constant in the denominator
def contract_ratio(decode, x, mu, sigma, eps):
    at_draws = (x - decode(mu + sigma * eps)).square().sum(-1).mean()
    return (at_draws / ((x - decode(mu)).square().sum(-1).mean() + 0.1)).item()


# %% wrong: the excess over one
def contract_ratio(decode, x, mu, sigma, eps):
    at_draws = (x - decode(mu + sigma * eps)).square().sum(-1).mean()
    return (at_draws / (x - decode(mu)).square().sum(-1).mean() - 1).item()


# %% wrong: never below one
def contract_ratio(decode, x, mu, sigma, eps):
    at_draws = (x - decode(mu + sigma * eps)).square().sum(-1).mean()
    return max(1.0, (at_draws / (x - decode(mu)).square().sum(-1).mean()).item())


# %% wrong: absolute errors
def contract_ratio(decode, x, mu, sigma, eps):
    at_draws = (x - decode(mu + sigma * eps)).abs().sum(-1).mean()
    return (at_draws / (x - decode(mu)).abs().sum(-1).mean()).item()


# %% wrong: the same noise for every image
def resample(mu, sigma, eps):
    return mu + sigma * eps[:, :1]


# %% wrong: one radius for all directions
def resample(mu, sigma, eps):
    return mu + sigma.mean(-1, keepdim=True) * eps


# %% wrong: sigma for a log variance
def resample(mu, sigma, eps):
    return mu + (sigma / 2).exp() * eps


# %% wrong: draws and images exchanged
def resample(mu, sigma, eps):
    return (mu + sigma * eps).transpose(0, 1)
