# %% right: one Jacobian after another, a list
def books(decode, mu, sigma, beta):
    rows = []
    for m, s in zip(mu, sigma):
        jacobian = torch.autograd.functional.jacobian(decode, m)
        rows.append(2 / beta * ((jacobian * s) ** 2).sum(dim=0))
    return [torch.stack(rows).mean(dim=0), (sigma**2).mean(dim=0)]


# %% right: forward mode, NumPy means
import numpy as np


def books(decode, mu, sigma, beta):
    jacobian = torch.stack([torch.func.jacfwd(decode)(m) for m in mu]).numpy()
    squares = np.linalg.norm(jacobian, axis=1) ** 2
    variance = sigma.numpy() ** 2
    return np.mean(squares * variance * 2 / beta, axis=0), np.mean(variance, axis=0)


# %% right: central differences
def books(decode, mu, sigma, beta, h=1e-5):
    def squares(m):
        steps = torch.eye(len(m), dtype=m.dtype) * h
        return torch.stack(
            [((decode(m + e) - decode(m - e)) / (2 * h)).square().sum() for e in steps]
        )

    found = sum(squares(m) * s**2 for m, s in zip(mu, sigma)) / len(mu)
    return 2 * found / beta, (sigma * sigma).sum(0) / len(sigma)


# %% right: a step of one sigma by jvp, one tensor of two rows
def books(decode, mu, sigma, beta):
    lengths = torch.zeros_like(sigma)
    for i, m in enumerate(mu):
        for j in range(len(m)):
            step = torch.zeros_like(m)
            step[j] = sigma[i, j]
            lengths[i, j] = torch.func.jvp(decode, (m,), (step,))[1].square().sum()
    return torch.stack([lengths.mean(0) / (beta / 2), sigma.pow(2).mean(0)])


# %% right: lists of floats
def books(decode, mu, sigma, beta, right=books):
    return tuple(part.tolist() for part in right(decode, mu, sigma, beta))


# %% right: the mean of the units' prices
def true_price(isometricity, variance, beta):
    awake = variance < 0.95
    return (beta * isometricity[awake] / (1 - variance[awake])).mean().item()


# %% right: the median
import numpy as np


def true_price(isometricity, variance, beta):
    i, v = np.asarray(isometricity), np.asarray(variance)
    awake = i > 1e-6
    return np.median(beta * i[awake] / (1 - v[awake]))


# %% right: least squares
def true_price(isometricity, variance, beta):
    room = 1 - variance
    return beta * (isometricity @ room) / (room @ room)


# %% right: least squares the other way, by NumPy
import numpy as np


def true_price(isometricity, variance, beta):
    i, room = isometricity.numpy(), 1 - variance.numpy()
    return beta / np.linalg.lstsq(i[:, None], room, rcond=None)[0].item()


# %% right: a geometric mean
import statistics


def true_price(isometricity, variance, beta):
    pairs = zip(isometricity.tolist(), variance.tolist())
    return beta * statistics.geometric_mean(i / (1 - v) for i, v in pairs if v < 0.99)


# %% right: a search for the balance
import scipy.optimize


def true_price(isometricity, variance, beta):
    def off(price):
        return float((isometricity * beta / price + variance).sum() - len(variance))

    return scipy.optimize.brentq(off, 1e-6, 1e3)


# %% right: the one closest in a loop over log prices
def true_price(isometricity, variance, beta):
    prices = torch.logspace(-3, 1, 400_001, dtype=torch.float64)
    i, v = isometricity[variance < 0.95], variance[variance < 0.95]
    off = sum((a * beta / prices + b - 1).square() for a, b in zip(i, v))
    return prices[off.argmin()]


# %% right: a dictionary in another order
verdict = dict(sorted(verdict.items(), key=lambda pair: pair[1]))


# %% wrong: the whole beta
def books(decode, mu, sigma, beta, right=books):
    return right(decode, mu, sigma, beta / 2)


# %% wrong: a mean over the pixels
def books(decode, mu, sigma, beta):
    jacobian = torch.func.vmap(torch.func.jacrev(decode))(mu)
    return (2 / beta * sigma**2 * jacobian.square().mean(1)).mean(0), sigma.square().mean(0)


# %% wrong: a sum over the images
def books(decode, mu, sigma, beta, right=books):
    return tuple(len(mu) * part for part in right(decode, mu, sigma, beta))


# %% wrong: the standard deviation
def books(decode, mu, sigma, beta, right=books):
    return right(decode, mu, sigma, beta)[0], sigma.mean(0)


# %% wrong: the variance of sigma
def books(decode, mu, sigma, beta, right=books):
    return right(decode, mu, sigma, beta)[0], sigma.var(0)


# %% wrong: what is missing to one
def books(decode, mu, sigma, beta, right=books):
    variance = right(decode, mu, sigma, beta)[1]
    return 1 - variance, variance


# %% wrong: the first image
def books(decode, mu, sigma, beta, right=books):
    return right(decode, mu[:1], sigma[:1], beta)


# %% wrong: the pair the other way round
def books(decode, mu, sigma, beta, right=books):
    return right(decode, mu, sigma, beta)[::-1]


# %% wrong: a wide difference
def books(decode, mu, sigma, beta):
    rows = []
    for m, s in zip(mu, sigma):
        steps = torch.diag(0.5 * s)
        moved = torch.stack([(decode(m + e) - decode(m - e)) for e in steps])
        rows.append(2 / beta * moved.square().sum(1))
    return torch.stack(rows).mean(0), sigma.square().mean(0)


# %% wrong: the last unit that is awake
def true_price(isometricity, variance, beta):
    awake = (variance < 0.95).nonzero()[-1]
    return (beta * isometricity[awake] / (1 - variance[awake])).item()


# %% wrong: the largest of all
def true_price(isometricity, variance, beta):
    awake = variance < 0.95
    return (beta * isometricity[awake] / (1 - variance[awake])).max().item()


# %% wrong: the smallest of all
def true_price(isometricity, variance, beta):
    awake = variance < 0.95
    return (beta * isometricity[awake] / (1 - variance[awake])).min().item()


# %% wrong: counts the sleeping in the mean
def true_price(isometricity, variance, beta):
    return (beta * isometricity.mean() / (1 - variance[variance < 0.95]).mean()).item()


# %% wrong: what the books lack, added to the label
def true_price(isometricity, variance, beta):
    return (beta + (isometricity + variance - 1).mean()).item()


# %% wrong: the label's price
def true_price(isometricity, variance, beta):
    return beta


# %% wrong: the root of the ratio
def true_price(isometricity, variance, beta, right=true_price):
    return beta * math.sqrt(right(isometricity, variance, beta) / beta)


# %% wrong: two honest ones
verdict = {"A": "another price", "B": "honest", "C": "honest"}


# %% wrong: all the wrong way round
verdict = {"A": "turned", "B": "another price", "C": "honest"}
