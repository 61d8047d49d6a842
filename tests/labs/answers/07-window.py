# %% right: torch's own divergence
from torch.distributions import Normal, kl_divergence


def objective_density(mu, sigma, distortion, beta):
    rate = kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).sum(-1)
    return -(distortion + beta * rate) / beta - mu.size(1) * math.log(math.pi * beta) / 2


# %% right: NumPy, an array
import numpy as np


def objective_density(mu, sigma, distortion, beta):
    mu, sigma, distortion = (np.asarray(x) for x in (mu, sigma, distortion))
    rate = 0.5 * np.sum(mu**2 + sigma**2 - 1 - np.log(sigma**2), axis=1)
    return -0.5 * mu.shape[1] * np.log(np.pi * beta) - distortion / beta - rate


# %% right: a list of floats
def objective_density(mu, sigma, distortion, beta):
    made = []
    for row, radii, d in zip(mu.tolist(), sigma.tolist(), distortion.tolist()):
        kl = sum((m * m + s * s - 1) / 2 - math.log(s) for m, s in zip(row, radii))
        made.append(-len(row) / 2 * math.log(math.pi * beta) - d / beta - kl)
    return made


# %% right: the decoder's Gaussian with its variance, in float32
def objective_density(mu, sigma, distortion, beta):
    mu, sigma, distortion = mu.float(), sigma.float(), distortion.float()
    variance = beta / 2
    fit = -distortion / (2 * variance) - mu.shape[1] / 2 * math.log(2 * math.pi * variance)
    return fit - (mu.square() / 2 + sigma.square() / 2 - 0.5 - sigma.log()).sum(1)


# %% right: the library's
from vae_course import isometry


def objective_density(mu, sigma, distortion, beta):
    loss = distortion + beta * ((mu**2 + sigma**2 - 1) / 2 - sigma.log()).sum(1)
    return isometry.log_density(mu, sigma, beta, method="objective", loss=loss)


# %% right: the second moments that differ, a tensor
def mean_excess(eigenvalues, beta):
    values = torch.tensor(eigenvalues, dtype=torch.float64)
    second_moment = (values - beta / 2) / values
    return (1 - second_moment).sum() / 2


# %% right: a NumPy scalar
import numpy as np


def mean_excess(eigenvalues, beta):
    return beta / 4 * np.sum(1 / np.array(eigenvalues))


# %% right: the two densities on average over the data
import numpy as np


def mean_excess(eigenvalues, beta):
    total = 0.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    for value in eigenvalues:
        s = nodes * math.sqrt(value)
        mu = s * math.sqrt(max(value - beta / 2, 0)) / value
        volume = (
            np.log(2 / beta) / 2 - mu**2 / 2 - np.log(2 * np.pi) / 2 + np.log(beta / 2 / value) / 2
        )
        truth = -(s**2) / (2 * value) - np.log(2 * np.pi * value) / 2
        total += weights @ (volume - truth) / weights.sum()
    return total


# %% right: fractions
from fractions import Fraction


def mean_excess(eigenvalues, beta):
    return sum(Fraction(beta) / (4 * Fraction(value)) for value in eigenvalues)


# %% right: NumPy's smaller of two
import numpy as np


def largest_beta(eigenvalues, nats):
    values = np.array(eigenvalues)
    return np.minimum(4 * nats / (1 / values).sum(), 2 * values.min())


# %% right: bisection
def largest_beta(eigenvalues, nats):
    low, high = 0.0, 2 * min(eigenvalues)
    if mean_excess(eigenvalues, high) <= nats:
        return high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_excess(eigenvalues, middle) <= nats else (low, middle)
    return low


# %% right: the excess is linear in the price, a tensor
def largest_beta(eigenvalues, nats):
    price = nats / torch.tensor(float(mean_excess(eigenvalues, 1.0)))
    return price.clamp(max=2 * min(eigenvalues))


# %% wrong: half of the divergence
def objective_density(mu, sigma, distortion, beta):
    rate = ((mu**2 + sigma**2 - 1) / 2 - sigma.log()).sum(1)
    return -mu.shape[1] / 2 * math.log(math.pi * beta) - distortion / beta - rate / 2


# %% wrong: the mean over the units
def objective_density(mu, sigma, distortion, beta):
    rate = ((mu**2 + sigma**2 - 1) / 2 - sigma.log()).mean(1)
    return -mu.shape[1] / 2 * math.log(math.pi * beta) - distortion / beta - rate


# %% wrong: a variance for sigma
def objective_density(mu, sigma, distortion, beta):
    rate = ((mu**2 + sigma - 1) / 2 - sigma.log() / 2).sum(1)
    return -mu.shape[1] / 2 * math.log(math.pi * beta) - distortion / beta - rate


# %% wrong: the constant of two dimensions
def objective_density(mu, sigma, distortion, beta):
    rate = ((mu**2 + sigma**2 - 1) / 2 - sigma.log()).sum(1)
    return -math.log(math.pi * beta) - distortion / beta - rate


# %% wrong: the constant of one dimension for each image
def objective_density(mu, sigma, distortion, beta):
    rate = ((mu**2 + sigma**2 - 1) / 2 - sigma.log()).sum(1)
    return -len(mu) / 2 * math.log(math.pi * beta) - distortion / beta - rate


# %% wrong: the decoder's variance for the price
def objective_density(mu, sigma, distortion, beta, right=objective_density):
    return right(mu, sigma, distortion, beta / 2)


# %% wrong: the radii of the prior
def objective_density(mu, sigma, distortion, beta):
    return -mu.shape[1] / 2 * math.log(math.pi * beta) - distortion / beta - (mu**2).sum(1) / 2


# %% wrong: the smallest variance decides
def mean_excess(eigenvalues, beta):
    return beta / (4 * min(eigenvalues))


# %% wrong: two units
def mean_excess(eigenvalues, beta):
    return sum(beta / (4 * value) for value in eigenvalues[:2])


# %% wrong: the standard deviations
def mean_excess(eigenvalues, beta):
    return sum(beta / (4 * math.sqrt(value)) for value in eigenvalues)


# %% wrong: in bits
def mean_excess(eigenvalues, beta):
    return sum(beta / (4 * value) for value in eigenvalues) / math.log(2)


# %% wrong: at most one half a nat
def mean_excess(eigenvalues, beta):
    return min(0.5, sum(beta / (4 * value) for value in eigenvalues))


# %% wrong: collapse at beta
def largest_beta(eigenvalues, nats):
    return min(4 * nats / sum(1 / value for value in eigenvalues), min(eigenvalues))


# %% wrong: the larger of the two
def largest_beta(eigenvalues, nats):
    return max(4 * nats / sum(1 / value for value in eigenvalues), 2 * min(eigenvalues))


# %% wrong: the largest variance collapses first
def largest_beta(eigenvalues, nats):
    return min(4 * nats / sum(1 / value for value in eigenvalues), 2 * max(eigenvalues))


# %% wrong: the last variance is the smallest
def largest_beta(eigenvalues, nats):
    return min(4 * nats / sum(1 / value for value in eigenvalues), 2 * eigenvalues[0])


# %% wrong: the nats of each unit
def largest_beta(eigenvalues, nats):
    return min(*(4 * nats * value for value in eigenvalues), 2 * min(eigenvalues))


# %% wrong: a grid of a hundred prices
def largest_beta(eigenvalues, nats):
    top = 2 * min(eigenvalues)
    prices = [top * k / 100 for k in range(1, 101)]
    return max([p for p in prices if mean_excess(eigenvalues, p) <= nats], default=0.0)
