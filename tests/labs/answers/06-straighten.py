# %% right: NumPy, column by column, cumulative by SciPy
import numpy as np
import scipy.integrate


def straighten(mu, sigma, beta):
    mu, sigma = mu.numpy(), sigma.numpy()
    y = np.empty_like(mu)
    for j in range(mu.shape[1]):
        order = np.argsort(mu[:, j])
        ruler = np.sqrt(beta / 2) / sigma[order, j]
        y[order, j] = scipy.integrate.cumulative_trapezoid(ruler, mu[order, j], initial=0)
    return y - y.mean(axis=0)


# %% right: loops over sorted pairs
def straighten(mu, sigma, beta):
    y = torch.zeros_like(mu)
    for j in range(mu.size(1)):
        walk = sorted(range(len(mu)), key=lambda i: mu[i, j].item())
        at = 0.0
        for a, b in zip(walk, walk[1:]):
            at += (beta / 8) ** 0.5 * (1 / sigma[a, j] + 1 / sigma[b, j]) * (mu[b, j] - mu[a, j])
            y[b, j] = at
    return y - y.mean(0, keepdim=True)


# %% right: torch's own trapezoids, ranks by sorting twice
def straighten(mu, sigma, beta):
    mu, order = mu.sort(dim=0)
    slope = (beta / 2) ** 0.5 / torch.take_along_dim(sigma, order, 0)
    y = torch.cumulative_trapezoid(slope, mu, dim=0)
    y = torch.nn.functional.pad(y, (0, 0, 1, 0))
    return torch.take_along_dim(y - y.mean(0), order.argsort(0), 0)


# %% right: from the largest to the smallest
def straighten(mu, sigma, beta):
    order = mu.argsort(dim=0, descending=True)
    m, s = mu.gather(0, order), sigma.gather(0, order)
    steps = math.sqrt(beta / 2) * m.diff(dim=0) * (s[1:] + s[:-1]) / (2 * s[1:] * s[:-1])
    y = torch.empty_like(mu)
    for j in range(mu.shape[1]):
        y[order[:, j], j] = torch.cat([mu.new_zeros(1), steps[:, j].cumsum(0)])
    return y.sub(y.mean(0))


# %% right: in float32, and a list of rows
def straighten(mu, sigma, beta, right=straighten):
    return right(mu.float(), sigma.float(), beta).tolist()


# %% right: a matrix of who lies below whom
def straighten(mu, sigma, beta):
    columns = []
    for m, s in zip(mu.T, sigma.T):
        knots, order = m.sort()
        ruler = math.sqrt(beta / 2) / s[order]
        steps = knots.diff() * (ruler[1:] + ruler[:-1]) / 2
        below = (m[:, None] >= knots[1:]).to(steps)
        y = below @ steps
        columns.append(y - y.mean())
    return torch.stack(columns, 1)


# %% right: a tensor of ratios
def stretch(mu, sigma, beta):
    return sigma.max(dim=0).values / sigma.min(dim=0).values


# %% right: NumPy's, a tuple
import numpy as np


def stretch(mu, sigma, beta):
    ruler = np.sqrt(beta / 2) / sigma.numpy()
    return tuple(ruler.max(axis=0) / ruler.min(axis=0))


# %% right: tensors without dimensions in a list
def stretch(mu, sigma, beta):
    return [column.max() / column.min() for column in sigma.T]


# %% right: logarithms
def stretch(mu, sigma, beta=None):
    logs = sigma.log()
    return [math.exp(x) for x in (logs.amax(0) - logs.amin(0)).tolist()]


# %% wrong: the left end of each step
def straighten(mu, sigma, beta):
    order = mu.argsort(0)
    slope = math.sqrt(beta / 2) / sigma.gather(0, order)
    y = torch.cat(
        [torch.zeros_like(mu[:1]), (mu.gather(0, order).diff(dim=0) * slope[:-1]).cumsum(0)]
    )
    return torch.empty_like(y).scatter(0, order, y - y.mean(0))


# %% wrong: the right end of each step
def straighten(mu, sigma, beta):
    order = mu.argsort(0)
    slope = math.sqrt(beta / 2) / sigma.gather(0, order)
    y = torch.cat(
        [torch.zeros_like(mu[:1]), (mu.gather(0, order).diff(dim=0) * slope[1:]).cumsum(0)]
    )
    return torch.empty_like(y).scatter(0, order, y - y.mean(0))


# %% wrong: the mean radius of each step
def straighten(mu, sigma, beta):
    order = mu.argsort(0)
    m, s = mu.gather(0, order), sigma.gather(0, order)
    steps = math.sqrt(beta / 2) * m.diff(dim=0) / ((s[1:] + s[:-1]) / 2)
    y = torch.cat([torch.zeros_like(mu[:1]), steps.cumsum(0)])
    return torch.empty_like(y).scatter(0, order, y - y.mean(0))


# %% wrong: the first unit's order for all units
def straighten(mu, sigma, beta):
    order = mu[:, :1].argsort(0).expand_as(mu)
    slope = math.sqrt(beta / 2) / sigma.gather(0, order)
    steps = mu.gather(0, order).diff(dim=0) * (slope[1:] + slope[:-1]) / 2
    y = torch.cat([torch.zeros_like(mu[:1]), steps.cumsum(0)])
    return torch.empty_like(y).scatter(0, order, y - y.mean(0))


# %% wrong: gathers where it should scatter
def straighten(mu, sigma, beta):
    order = mu.argsort(0)
    slope = math.sqrt(beta / 2) / sigma.gather(0, order)
    steps = mu.gather(0, order).diff(dim=0) * (slope[1:] + slope[:-1]) / 2
    y = torch.cat([torch.zeros_like(mu[:1]), steps.cumsum(0)])
    return (y - y.mean(0)).gather(0, order)


# %% wrong: one mean for all columns
def straighten(mu, sigma, beta, right=straighten):
    y = right(mu, sigma, beta)
    y = y - y.amin(0)
    return y - y.mean()


# %% wrong: the middle code at zero
def straighten(mu, sigma, beta, right=straighten):
    y = right(mu, sigma, beta)
    return y - y.median(0).values


# %% wrong: of unit variance
def straighten(mu, sigma, beta, right=straighten):
    y = right(mu, sigma, beta)
    return y / y.std(0)


# %% wrong: twice the rule's steps
def straighten(mu, sigma, beta, right=straighten):
    return 2 * right(mu, sigma, beta)


# %% wrong: the price of the check
def straighten(mu, sigma, beta, right=straighten):
    return right(mu, sigma, 0.02)


# %% wrong: the last over the first
def stretch(mu, sigma, beta):
    return (sigma[0] / sigma[-1]).tolist()


# %% wrong: the ends of the walk
def stretch(mu, sigma, beta):
    s = sigma.gather(0, mu.argsort(0))
    return (s[-1] / s[0]).tolist()


# %% wrong: over the mean
def stretch(mu, sigma, beta):
    return (sigma.amax(0) / sigma.mean(0)).tolist()


# %% wrong: the difference
def stretch(mu, sigma, beta):
    return (1 / sigma.amin(0) - 1 / sigma.amax(0)).tolist()


# %% wrong: image by image
def stretch(mu, sigma, beta):
    return (sigma.amax(1) / sigma.amin(1)).tolist()[: sigma.shape[1]]
