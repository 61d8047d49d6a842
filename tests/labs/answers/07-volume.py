# %% right: torch's normal law and a masked sum
def volume_density(mu, sigma, beta, active, a, m):
    n = int(active.sum())
    terms = torch.distributions.Normal(0.0, 1.0).log_prob(mu) + sigma.log()
    return torch.where(active, terms, 0.0).sum(-1) + n / 2 * (2 * a / beta).log()


# %% right: NumPy and SciPy, an array
import numpy as np
import scipy.stats


def volume_density(mu, sigma, beta, active, a, m):
    mu, sigma, active, a = (np.asarray(x) for x in (mu, sigma, active, a))
    prior = scipy.stats.norm.logpdf(mu[:, active]).sum(axis=1)
    unit = np.sqrt(2 / beta) * sigma[:, active] * np.sqrt(a)[:, None]
    return prior + np.log(unit).sum(axis=1)


# %% right: a list of floats
def volume_density(mu, sigma, beta, active, a, m):
    made = []
    for row, radii, scale in zip(mu.tolist(), sigma.tolist(), a.tolist()):
        logp = 0.0
        for x, s, used in zip(row, radii, active.tolist()):
            if used:
                logp += -(x * x) / 2 + math.log(s * math.sqrt(scale / (math.pi * beta)))
        made.append(logp)
    return made


# %% right: a product of pieces, then the logarithm
def volume_density(mu, sigma, beta, active, a, m):
    keep = active.nonzero().squeeze(1)
    n = keep.numel()
    prior = torch.exp(-(mu[:, keep] ** 2).sum(1) / 2) / (2 * math.pi) ** (n / 2)
    return torch.log((2 / beta) ** (n / 2) * prior * sigma[:, keep].prod(dim=1) * a ** (n / 2))


# %% right: a Gaussian of several dimensions
def volume_density(mu, sigma, beta, active, a, m):
    mu, sigma = mu[..., active].double(), sigma[..., active].double()
    n = mu.shape[-1]
    zero, one = torch.zeros(n, dtype=torch.float64), torch.eye(n, dtype=torch.float64)
    prior = torch.distributions.MultivariateNormal(zero, one).log_prob(mu)
    return prior + (sigma.prod(-1) * (2 * a / beta) ** (n / 2)).log()


# %% right: the library's
from vae_course import isometry


def volume_density(mu, sigma, beta, active, a, m=None):
    metric = active.sum() * a.log()
    return isometry.log_density(mu, sigma, beta, active=active, metric_log_det=metric)


# %% right: in float32
def volume_density(mu, sigma, beta, active, a, m):
    mu, sigma, a = mu.float()[:, active], sigma.float()[:, active], a.float()
    n = mu.shape[1]
    return (sigma.log() - mu**2 / 2).sum(1) + n / 2 * torch.log(a / (math.pi * beta))


# %% right: NumPy's range of the logarithm
import numpy as np


def gap(sigma, active):
    return np.ptp(np.log(sigma.numpy()[:, active.numpy()]).sum(axis=1))


# %% right: a tensor without dimensions
def gap(sigma, active):
    volume = sigma[:, active].prod(dim=1)
    return (volume.max() / volume.min()).log()


# %% right: collapsed radii set to one
def gap(sigma, active):
    logs = torch.where(active, sigma, torch.ones_like(sigma)).log().sum(1).tolist()
    return max(logs) - min(logs)


# %% wrong: pi times the whole beta
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma, 2 * beta, active, a, m)


# %% wrong: the prior of the check's two units
def volume_density(mu, sigma, beta, active, a, m):
    n = int(active.sum())
    prior = -(mu[:, active] ** 2).sum(1) / 2 - math.log(2 * math.pi)
    return prior + sigma[:, active].log().sum(1) + n / 2 * (2 * a / beta).log()


# %% wrong: no half in the prior
def volume_density(mu, sigma, beta, active, a, m):
    n = int(active.sum())
    prior = -(mu[:, active] ** 2).sum(1) - n / 2 * math.log(2 * math.pi)
    return prior + sigma[:, active].log().sum(1) + n / 2 * (2 * a / beta).log()


# %% wrong: variances for radii
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma**2, beta, active, a, m)


# %% wrong: without the metric
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma, beta, active, torch.ones_like(a), m)


# %% wrong: the metric as a mean over the batch
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma, beta, active, a.mean().expand_as(a), m)


# %% wrong: per active unit
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma, beta, active, a, m) / active.sum()


# %% wrong: the first two units are active
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma, beta, torch.arange(mu.shape[1]) < 2, a, m)


# %% wrong: in bits
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma, beta, active, a, m) / math.log(2)


# %% wrong: a density, not its logarithm
def volume_density(mu, sigma, beta, active, a, m, right=volume_density):
    return right(mu, sigma, beta, active, a, m).exp()


# %% wrong: from the first image to the last
def gap(sigma, active):
    log_volume = sigma[:, active].log().sum(1)
    return float(log_volume[0] - log_volume[-1])


# %% wrong: the smallest minus the largest
def gap(sigma, active):
    log_volume = sigma[:, active].log().sum(1)
    return float(log_volume.min() - log_volume.max())


# %% wrong: the standard deviation
def gap(sigma, active):
    return float(sigma[:, active].log().sum(1).std())


# %% wrong: the mean of the radii
def gap(sigma, active):
    radius = sigma[:, active].mean(1)
    return float((radius.max() / radius.min()).log())


# %% wrong: the largest minus the mean
def gap(sigma, active):
    log_volume = sigma[:, active].log().sum(1)
    return float(log_volume.max() - log_volume.mean())


# %% wrong: the inactive units
def gap(sigma, active):
    log_volume = sigma[:, ~active].log().sum(1)
    return float(log_volume.max() - log_volume.min())
