# %% right: balls wider than the prior
def fool_coverage(n, d):
    return torch.full((n, d), 0.2), torch.full((n, d), 5.0)


# %% right: arrays
import numpy as np


def fool_coverage(n, d):
    return np.zeros((n, d)), np.full((n, d), 1.5)


def fool_information(n, d):
    return np.tile(10.0 * np.arange(7, n + 7)[:, None], (1, d)), 0.1 * np.ones((n, d))


# %% right: lists of one's own
def fool_coverage(n, d):
    return [[[0.0] * d] * n, [[2.0] * d] * n]


# %% right: on a ray, in double precision
def fool_information(n, d):
    mu = torch.zeros(n, d, dtype=torch.float64)
    mu[:, -1] = torch.linspace(50, 500, n, dtype=torch.float64)
    return mu, torch.full_like(mu, 1e-3)


# %% right: points drawn in the middle of the prior
def fool_information(n, d):
    mu = torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return mu, torch.full_like(mu, 1e-6)


# %% right: powers of two
def fool_information(n, d):
    mu = (8 + torch.arange(n, dtype=torch.float64)).square().unsqueeze(1) * torch.ones(d)
    return mu, torch.ones(n, d, dtype=torch.float64)


# %% right: loops over directions
def diagnose(mu, sigma):
    n, d = mu.shape
    total = sum((mu[:, j] ** 2 + sigma[:, j] ** 2).mean().item() for j in range(d)) / d
    if total > 2:
        return "no pull"
    says = [j for j in range(d) if mu[:, j].std().item() > 0.1]
    if len(says) == 0:
        return "collapsed"
    for j in says:
        if sigma[:, j].mean().item() > 0.99:
            return "no sampling"
    return "healthy"


# %% right: arrays that divide by N
import numpy as np


def diagnose(mu, sigma):
    mu, sigma = np.asarray(mu), np.asarray(sigma)
    variance, width = mu.var(axis=0), sigma.mean(axis=0)
    if np.mean(mu**2 + sigma**2) > 2:
        return np.str_("no pull")
    if np.all(variance < 0.01):
        return np.str_("collapsed")
    return np.str_("no sampling" if np.any((variance > 0.01) & (width > 0.99)) else "healthy")


# %% right: a string of one's own kind
class Verdict(str):
    pass


def diagnose(mu, sigma):
    loud = sigma.mean(0)[mu.var(0, correction=0) >= 0.01]
    if (mu**2).mean() + (sigma**2).mean() >= 2:
        return Verdict("no pull")
    if len(loud) == 0:
        return Verdict("collapsed")
    return Verdict("no sampling" if loud.max() >= 0.99 else "healthy")


# %% right: all reasons, the first of them
def diagnose(mu, sigma):
    energy = torch.cat([mu, sigma], 1).square().mean() * 2
    speaks = torch.var(mu, dim=0) > 0.01
    reasons = {
        "no pull": energy > 2,
        "collapsed": not torch.any(speaks),
        "no sampling": torch.any(speaks * (torch.mean(sigma, dim=0) > 0.99)),
        "healthy": True,
    }
    return next(name for name, holds in reasons.items() if holds)


# %% wrong: collapse before flight
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if not speaks.any():
        return "collapsed"
    if (speaks & (sigma.mean(0) > 0.99)).any():
        return "no sampling"
    return "no pull" if (mu.square() + sigma.square()).mean() > 2 else "healthy"


# %% wrong: any direction that strays
def diagnose(mu, sigma, right=diagnose):
    return "no pull" if ((mu**2 + sigma**2).mean(0) > 2).any() else right(mu, sigma)


# %% wrong: fled beyond 20
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 20:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: fled beyond 1.5
def diagnose(mu, sigma, right=diagnose):
    return "no pull" if (mu**2 + sigma**2).mean() > 1.5 else right(mu, sigma)


# %% wrong: fled by mu alone
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if mu.square().mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: fled by the variance
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.var(0) + sigma.square().mean(0)).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: speaks by the mean of mu squared
def diagnose(mu, sigma):
    speaks = mu.square().mean(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: speaks by its KL
def diagnose(mu, sigma):
    speaks = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).mean(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: speaks above 0.05
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.05
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: speaks by its deviation
def diagnose(mu, sigma):
    speaks = mu.std(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: every sigma above 0.95
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.amin(0) > 0.95)).any() else "healthy"


# %% wrong: any sigma above 0.99
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.amax(0) > 0.99)).any() else "healthy"


# %% wrong: collapsed only with sigma at one
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any() and (sigma.mean(0) > 0.9).all():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: speaks on the mean of the directions
def diagnose(mu, sigma):
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if mu.var(0).mean() < 0.01:
        return "collapsed"
    return "no sampling" if sigma.mean() > 0.99 else "healthy"


# %% wrong: the variance over the directions
def diagnose(mu, sigma):
    speaks = mu.var(1, correction=0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(1) > 0.99)).any() else "healthy"


# %% wrong: collapsed where any direction is
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.all() and (sigma.mean(0) > 0.99).all():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: wide balls that are still told apart
def fool_coverage(n, d):
    mu = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    return mu, torch.full((n, d), 3.0)


# %% wrong: narrow balls in one place
def fool_coverage(n, d):
    return torch.zeros(n, d), torch.full((n, d), 0.5)


# %% wrong: named, but two by two
def fool_information(n, d):
    mu = 100.0 + (torch.arange(n) // 2).float()[:, None].expand(n, d)
    return mu, torch.full((n, d), 0.01)


# %% wrong: made for 50 balls in the plane
def fool_information(n, d):
    return torch.linspace(10, 20, 50)[:, None].repeat(1, 2), torch.full((50, 2), 0.01)


# %% wrong: named within the prior
def fool_information(n, d):
    mu = torch.linspace(-3, 3, n)[:, None].repeat(1, d)
    return mu, torch.full((n, d), 0.01)


# %% wrong: silent only below 0.98
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.98)).any() else "healthy"


# %% wrong: silent only from one on
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) >= 1)).any() else "healthy"


# %% wrong: fled by the sum over the directions
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).sum(1).mean() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"


# %% wrong: fled by the root
def diagnose(mu, sigma):
    speaks = mu.var(0) > 0.01
    if (mu.square() + sigma.square()).mean().sqrt() > 2:
        return "no pull"
    if not speaks.any():
        return "collapsed"
    return "no sampling" if (speaks & (sigma.mean(0) > 0.99)).any() else "healthy"
