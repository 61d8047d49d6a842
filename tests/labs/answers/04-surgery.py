# %% right: torch.distributions
def surgery(mu, sigma, noise):
    from torch.distributions import Independent, Normal

    z = mu + sigma * noise
    log_q = Independent(Normal(mu, sigma), 1).log_prob(z[:, None])
    mixture = torch.logsumexp(log_q, 1) - math.log(len(mu))
    log_p = Normal(0.0, 1.0).log_prob(z).sum(1)
    return (log_q.diag() - mixture).mean(), (mixture - log_p).mean()


# %% right: arrays and scipy's logsumexp
import numpy as np
from scipy import special, stats


def surgery(mu, sigma, noise):
    mu, sigma, noise = (np.asarray(t) for t in (mu, sigma, noise))
    z = mu + sigma * noise
    log_q = stats.norm.logpdf(z[:, None, :], mu, sigma).sum(-1)
    mixture = special.logsumexp(log_q, axis=1, b=1 / len(mu))
    return np.mean(np.diag(log_q) - mixture), np.mean(mixture - stats.norm.logpdf(z).sum(-1))


# %% right: loops
def surgery(mu, sigma, noise):
    n, information, gap = len(mu), 0.0, 0.0
    for i in range(n):
        z = mu[i] + sigma[i] * noise[i]
        squares = [(((z - m) / s) ** 2).sum().item() for m, s in zip(mu, sigma)]
        logs = [-0.5 * squares[j] - sigma[j].log().sum().item() for j in range(n)]
        most = max(logs)
        mixture = most + math.log(sum(math.exp(v - most) for v in logs) / n)
        information += (logs[i] - mixture) / n
        gap += (mixture + 0.5 * (z**2).sum().item()) / n  # 2 pi cancels
    return [information, gap]


# %% right: a log softmax
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    information = math.log(len(mu)) + log_q.log_softmax(1).diagonal().mean()
    rate = (log_q.diagonal() + 0.5 * z.square().sum(1)).mean()
    return torch.stack([information, rate - information])


# %% right: a mixture of the library
def surgery(mu, sigma, noise):
    from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

    balls = Independent(Normal(mu, sigma), 1)
    z = mu + sigma * noise
    whole = MixtureSameFamily(Categorical(logits=torch.zeros(len(mu), dtype=mu.dtype)), balls)
    prior = Independent(Normal(torch.zeros_like(z), 1.0), 1)
    information = (balls.log_prob(z) - whole.log_prob(z)).mean().item()
    return information, (whole.log_prob(z) - prior.log_prob(z)).mean().item()


# %% right: in float32
def surgery(mu, sigma, noise):
    mu, sigma, noise = mu.float(), sigma.float(), noise.float()
    z = mu + sigma * noise
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    mixture = log_q.logsumexp(1) - math.log(len(mu))
    return (log_q.diagonal() - mixture).mean(), (mixture + 0.5 * z.square().sum(1)).mean()


# %% right: NumPy's booleans
import numpy as np


def must_overlap(rate, n):
    return np.log(n) > rate


# %% right: a tensor's boolean, and a relu
def must_overlap(rate, n):
    return torch.tensor(rate) < torch.tensor(float(n)).log()


def least_gap(rate, n):
    return torch.relu(torch.tensor(rate, dtype=torch.float64) - math.log(n))


# %% right: more balls than can be named
def must_overlap(mean_rate, number):
    return number > math.exp(mean_rate)


def least_gap(mean_rate, number):
    return mean_rate - min(mean_rate, math.log(number))


# %% right: NumPy's maximum of a positive part
import numpy as np


def least_gap(rate, n):
    return np.maximum(rate - np.log(n), 0)


# %% right: zero or one
def must_overlap(rate, n):
    return int(rate - math.log(n) < 0)


def least_gap(rate, n):
    return 0 if must_overlap(rate, n) else rate - math.log(n)


# %% wrong: the mixture at the centres
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    log_q = (-0.5 * ((mu[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    mixture = log_q.logsumexp(1) - math.log(len(mu))
    own = (-0.5 * noise**2 - sigma.log()).sum(1)
    return (own - mixture).mean().item(), (mixture + 0.5 * z.square().sum(1)).mean().item()


# %% wrong: the mean of logarithms for the logarithm of the mean
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    mixture = log_q.mean(1)
    gap = (mixture + 0.5 * z.square().sum(1)).mean()
    return (log_q.diagonal() - mixture).mean().item(), gap.item()


# %% wrong: the nearest ball for the mixture
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    mixture = log_q.amax(1) - math.log(len(mu))
    gap = (mixture + 0.5 * z.square().sum(1)).mean()
    return (log_q.diagonal() - mixture).mean().item(), gap.item()


# %% wrong: draws and balls exchanged
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    mixture = log_q.logsumexp(0) - math.log(len(mu))
    gap = (mixture + 0.5 * z.square().sum(1)).mean()
    return (log_q.diagonal() - mixture).mean().item(), gap.item()


# %% wrong: the rate in closed form for the sum
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    information = (log_q.diagonal() - log_q.logsumexp(1)).mean().item() + math.log(len(mu))
    rate = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1).mean().item()
    return information, rate - information


# %% wrong: a small constant beside the density
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    c = 0.5 * mu.shape[1] * math.log(2 * math.pi)
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1) - c
    mixture = (log_q.exp().mean(1) + 1e-30).log()
    log_p = -0.5 * z.square().sum(1) - c
    return (log_q.diagonal() - mixture).mean().item(), (mixture - log_p).mean().item()


# %% wrong: the constant of the prior forgotten
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    c = 0.5 * mu.shape[1] * math.log(2 * math.pi)
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1) - c
    mixture = log_q.logsumexp(1) - math.log(len(mu))
    log_p = -0.5 * z.square().sum(1)
    return (log_q.diagonal() - mixture).mean().item(), (mixture - log_p).mean().item()


# %% wrong: in the other order
def surgery(mu, sigma, noise, right=surgery):
    return right(mu, sigma, noise)[::-1]


# %% wrong: a ball for itself
def must_overlap(rate, n):
    return rate <= math.log(n)


# %% wrong: eight nats
def must_overlap(rate, n):
    return rate < 7.5


# %% wrong: pairs of balls
def must_overlap(rate, n):
    return rate < math.log(n * (n - 1) / 2 + 1)


# %% wrong: the size of the difference
def least_gap(rate, n):
    return abs(rate - math.log(n))


# %% wrong: at least a small one
def least_gap(rate, n):
    return max(1e-3, rate - math.log(n))


# %% wrong: in bits
def least_gap(rate, n):
    return max(0.0, rate - math.log2(n))


# %% wrong: for 1,000 balls
def least_gap(rate, n):
    return max(0.0, rate - 6.907755278982137)


# %% wrong: the median over the draws
def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    log_q = (-0.5 * ((z[:, None] - mu) / sigma) ** 2 - sigma.log()).sum(-1)
    mixture = log_q.logsumexp(1) - math.log(len(mu))
    gap = (mixture + 0.5 * z.square().sum(1)).median()
    return (log_q.diagonal() - mixture).median().item(), gap.item()
