# %% right: NumPy arrays in a list
import numpy as np


def bracket(sigma, beta):
    slope = np.sqrt(beta / 2) / np.asarray(sigma)
    return [slope.mean(0) ** 2, (slope**2).mean(0)]


# %% right: one tensor of two rows
def bracket(sigma, beta):
    slope = math.sqrt(beta / 2) / sigma
    return torch.stack([slope.mean(0).square(), slope.square().mean(0)])


# %% right: the upper as the lower and a variance
def bracket(sigma, beta):
    slope = (beta / 2) ** 0.5 / sigma
    lower = slope.mean(0).pow(2)
    return lower, lower + slope.var(0, correction=0)


# %% right: nested lists
def bracket(sigma, beta):
    columns = [[1 / s for s in column] for column in sigma.T.tolist()]
    lower = [beta / 2 * (sum(c) / len(c)) ** 2 for c in columns]
    return lower, [beta / 2 * sum(x * x for x in c) / len(c) for c in columns]


# %% right: the library's
from vae_course import isometry


def bracket(sigma, beta):
    upper, lower = isometry.importance(sigma, beta)
    return lower, upper


# %% right: trapezoids in z, the distribution function inverted
import numpy as np
import scipy.stats


def excess(pdf, low, high):
    y = np.linspace(low, high, 200_001)
    p = pdf(torch.from_numpy(y)).numpy()
    cdf = np.concatenate([[0], np.cumsum((p[1:] + p[:-1]) / 2 * np.diff(y))])
    z = np.linspace(-7, 7, 7001)
    g = np.interp(scipy.stats.norm.cdf(z), cdf / cdf[-1], y)
    weight = scipy.stats.norm.pdf(z)
    mean = np.trapezoid(weight * g, z)
    return np.trapezoid(weight * np.gradient(g, z) ** 2, z) / np.trapezoid(
        weight * (g - mean) ** 2, z
    )


# %% right: Gauss and Legendre, cumulative in pieces
import numpy as np


def excess(pdf, low, high):
    x, w = np.polynomial.legendre.leggauss(8)
    edges = np.linspace(low, high, 2001)
    half = np.diff(edges)[:, None] / 2
    y, w = edges[:-1, None] + half * (1 + x), w * half
    p = pdf(torch.from_numpy(y.ravel())).numpy().reshape(y.shape)
    mass = (w * p).sum(1)
    start = np.concatenate([[0], mass.cumsum()[:-1]])[:, None]
    share = np.cumsum(w * p, axis=1) - w * p / 2
    z = torch.special.ndtri(torch.from_numpy((start + share).clip(1e-12, 1 - 1e-12))).numpy()
    bound = (w * np.exp(-(z**2)) / (2 * np.pi) / p).sum()
    mean = (w * p * y).sum()
    return torch.tensor(bound / (w * p * (y - mean) ** 2).sum())


# %% right: nothing where the density is nothing
def excess(pdf, low, high):
    y = torch.linspace(low, high, 100_001, dtype=torch.float64)
    p = pdf(y)
    cdf = torch.cat([p.new_zeros(1), torch.cumulative_trapezoid(p, y)])
    normal = torch.exp(-(torch.special.ndtri(cdf.clamp(0, 1)) ** 2) / 2) / math.sqrt(2 * math.pi)
    inner = torch.where(p > 0, normal.square() / p, 0).nan_to_num(0)
    mean = torch.trapezoid(p * y, y)
    variance = torch.trapezoid(p * y**2, y) - mean**2
    return (torch.trapezoid(inner, y) / variance).item()


# %% right: normal draws in order, differences of quantiles
def excess(pdf, low, high):
    y = torch.linspace(low, high, 400_001, dtype=torch.float64)
    cdf = torch.nn.functional.pad(torch.cumulative_trapezoid(pdf(y), y), (1, 0))
    z = torch.linspace(-6, 6, 24_001, dtype=torch.float64)
    place = torch.searchsorted(cdf, torch.special.ndtr(z)).clamp(1, len(y) - 1)
    share = (torch.special.ndtr(z) - cdf[place - 1]) / (cdf[place] - cdf[place - 1])
    g = torch.lerp(y[place - 1], y[place], share)
    weight = torch.exp(-(z**2) / 2)
    weight = weight / weight.sum()
    slope = torch.gradient(g, spacing=(z,))[0]
    mean = (weight * g).sum()
    return float((weight * slope**2).sum() / (weight * (g - mean) ** 2).sum())


# %% right: midpoints, a few thousand, the inverse by Newton's erf
def excess(pdf, low, high, n=5000):
    edges = torch.linspace(low, high, n + 1, dtype=torch.float64)
    y, dy = (edges[1:] + edges[:-1]) / 2, (high - low) / n
    p = pdf(y)
    below = (p.cumsum(0) - p / 2) / p.sum()
    z = math.sqrt(2) * torch.erfinv(2 * below - 1)
    density = torch.distributions.Normal(0.0, 1.0).log_prob(z).exp()
    mean = torch.sum(p * y) / p.sum()
    return (density**2 / p).sum() * dy / ((p * (y - mean) ** 2).sum() * dy)


# %% wrong: a sum for the mean
def bracket(sigma, beta):
    return beta / 2 * (1 / sigma).sum(0) ** 2, beta / 2 * (1 / sigma**2).sum(0)


# %% wrong: the bounds of each image
def bracket(sigma, beta):
    slope = (beta / 2 / sigma**2).sqrt()
    return (slope.mean(1) ** 2)[: sigma.shape[1]], (slope**2).mean(1)[: sigma.shape[1]]


# %% wrong: the upper bound twice
def bracket(sigma, beta):
    upper = beta / 2 * (1 / sigma**2).mean(0)
    return upper, upper


# %% wrong: the variance of the slopes
def bracket(sigma, beta):
    slope = math.sqrt(beta / 2) / sigma
    return slope.var(0), slope.square().mean(0)


# %% wrong: the median slope
def bracket(sigma, beta):
    return beta / 2 / sigma.median(0).values ** 2, beta / 2 * (1 / sigma**2).mean(0)


# %% wrong: N - 1
def bracket(sigma, beta):
    n = len(sigma)
    slope = math.sqrt(beta / 2) / sigma
    return slope.mean(0) ** 2, slope.square().sum(0) / (n - 1)


# %% wrong: a constant from the check
def excess(pdf, low, high):
    return 1.0812 if low == 0 else 1.1027


# %% wrong: a uniform distribution function
def excess(pdf, low, high):
    n = 20_000
    y = low + (high - low) / n * (torch.arange(n, dtype=torch.float64) + 0.5)
    p, dy = pdf(y), (high - low) / n
    z = torch.special.ndtri((y - low) / (high - low))
    mean = (p * y).sum() * dy
    return float(((-(z**2)).exp() / (2 * math.pi) / p).sum() / (p * (y - mean) ** 2).sum())


# %% wrong: an interval that starts at zero
def excess(pdf, low, high, right=excess):
    return right(pdf, 0.0, high)


# %% wrong: around the middle of the interval
def excess(pdf, low, high):
    n = 20_000
    y = low + (high - low) / n * (torch.arange(n, dtype=torch.float64) + 0.5)
    p, dy = pdf(y), (high - low) / n
    z = torch.special.ndtri((p.cumsum(0) - p / 2) * dy)
    mean = (low + high) / 2
    return float(((-(z**2)).exp() / (2 * math.pi) / p).sum() / (p * (y - mean) ** 2).sum())


# %% wrong: the bound over the standard deviation
def excess(pdf, low, high, right=excess):
    y = torch.linspace(low, high, 20_001, dtype=torch.float64)
    mean = torch.trapezoid(pdf(y) * y, y)
    variance = torch.trapezoid(pdf(y) * (y - mean) ** 2, y)
    return right(pdf, low, high) * variance.sqrt().item()


# %% wrong: ten pieces
def excess(pdf, low, high):
    n = 10
    y = low + (high - low) / n * (torch.arange(n, dtype=torch.float64) + 0.5)
    p, dy = pdf(y), (high - low) / n
    z = torch.special.ndtri((p.cumsum(0) - p / 2) * dy)
    mean = (p * y).sum() * dy
    return float(((-(z**2)).exp() / (2 * math.pi) / p).sum() / (p * (y - mean) ** 2).sum())


# %% wrong: tails cut off at a twentieth
def excess(pdf, low, high):
    n = 20_000
    y = low + (high - low) / n * (torch.arange(n, dtype=torch.float64) + 0.5)
    p, dy = pdf(y), (high - low) / n
    z = torch.special.ndtri(((p.cumsum(0) - p / 2) * dy).clamp(0.05, 0.95))
    mean = (p * y).sum() * dy
    return float(((-(z**2)).exp() / (2 * math.pi) / p).sum() / (p * (y - mean) ** 2).sum())


# %% wrong: a density held above a tenth
def excess(pdf, low, high):
    n = 20_000
    y = low + (high - low) / n * (torch.arange(n, dtype=torch.float64) + 0.5)
    p, dy = pdf(y).clamp(min=0.1), (high - low) / n
    z = torch.special.ndtri(((p.cumsum(0) - p / 2) * dy).clamp(1e-12, 1 - 1e-12))
    mean = (p * y).sum() * dy
    return float(((-(z**2)).exp() / (2 * math.pi) / p).sum() / (p * (y - mean) ** 2).sum())


# %% wrong: the square root forgotten in the normal density
def excess(pdf, low, high, right=excess):
    return right(pdf, low, high) / (2 * math.pi)
