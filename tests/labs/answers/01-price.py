# %% right: with torch.distributions
def loss_terms(x, x_hat, mu, sigma, beta):
    from torch.distributions import Independent, Normal, kl_divergence

    prior = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    rate = kl_divergence(Independent(Normal(mu, sigma), 1), prior)
    distortion = ((x - x_hat) ** 2).sum(dim=-1)
    return distortion + beta * rate, distortion, rate


# %% right: arrays in place of tensors
import numpy as np


def loss_terms(x, x_hat, mu, sigma, beta):
    x, x_hat, mu, sigma = (np.asarray(t) for t in (x, x_hat, mu, sigma))
    distortion = np.sum((x - x_hat) ** 2, axis=1)
    rate = 0.5 * np.sum(mu**2 + sigma**2 - 1 - np.log(sigma**2), axis=1)
    return distortion + beta * rate, distortion, rate


# %% right: lists of loops over images
def loss_terms(x, x_hat, mu, sigma, beta):
    losses, distortions, rates = [], [], []
    for i in range(len(x)):
        d = sum((a - b) ** 2 for a, b in zip(x[i].tolist(), x_hat[i].tolist()))
        r = sum(
            (m * m + s * s - 1) / 2 - math.log(s) for m, s in zip(mu[i].tolist(), sigma[i].tolist())
        )
        distortions.append(d)
        rates.append(r)
        losses.append(d + beta * r)
    return [losses, distortions, rates]


# %% right: by cross entropy less entropy
def loss_terms(x, x_hat, mu, sigma, beta):
    entropy = (0.5 * math.log(2 * math.pi * math.e) + sigma.log()).sum(1)
    cross = 0.5 * (math.log(2 * math.pi) + mu**2 + sigma**2).sum(1)
    distortion = torch.cdist(x[:, None], x_hat[:, None]).flatten() ** 2
    return distortion + beta * (cross - entropy), distortion, cross - entropy


# %% right: by log variance and a stacked tensor
def loss_terms(x, x_hat, mu, sigma, beta):
    log_var = 2 * torch.log(sigma)
    rate = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp(), dim=1)
    distortion = torch.nn.functional.mse_loss(x_hat, x, reduction="none").sum(-1)
    return torch.stack((distortion + beta * rate, distortion, rate))


# %% right: einsum in float32
def loss_terms(x, x_hat, mu, sigma, beta):
    x, x_hat, mu, sigma = x.float(), x_hat.float(), mu.float(), sigma.float()
    distortion = torch.einsum("bp,bp->b", x - x_hat, x - x_hat)
    rate = 0.5 * (torch.einsum("bd,bd->b", mu, mu) + torch.einsum("bd,bd->b", sigma, sigma))
    rate = rate - mu.shape[1] / 2 - sigma.log().sum(1)
    return distortion + beta * rate, distortion, rate


# %% right: beta as a NumPy scalar
import numpy as np

our_beta = lambda colleague_beta, pixels: np.float64(colleague_beta) * np.int64(2 * pixels)


# %% right: beta as a 0-d tensor
def our_beta(colleague_beta, pixels):
    return torch.tensor(colleague_beta, dtype=torch.float64) * pixels / 0.5


# %% right: beta as a fraction
from fractions import Fraction


def our_beta(colleague_beta, pixels):
    return Fraction(colleague_beta) / Fraction(1, 2 * pixels)


# %% right: beta by the library
def our_beta(colleague_beta, pixels):
    from vae_course.gaussian import convert_beta

    summed = convert_beta(colleague_beta, source="mean", target="sum", event_size=pixels)
    return convert_beta(summed, source="half", target="sum", event_size=pixels)


# %% wrong: a tiny constant under the logarithm
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).square().sum(1)
    rate = 0.5 * (mu**2 + sigma**2 - 1 - 2 * (sigma + 1e-8).log()).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: a constant under the logarithm of the variance
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).square().sum(1)
    rate = 0.5 * (mu**2 + sigma**2 - 1 - (sigma**2 + 1e-12).log()).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: sigma clamped at 1e-3
def loss_terms(x, x_hat, mu, sigma, beta):
    sigma = sigma.clamp(min=1e-3)
    distortion = (x - x_hat).square().sum(1)
    rate = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: log variance clamped to what a network may say
def loss_terms(x, x_hat, mu, sigma, beta):
    log_var = (2 * sigma.log()).clamp(-20, 2)
    distortion = (x - x_hat).square().sum(1)
    rate = 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: the KL divergence the other way round
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).square().sum(1)
    rate = (0.5 * (1 + mu**2) / sigma**2 - 0.5 + sigma.log()).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: absolute errors
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).abs().sum(1)
    rate = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: free bits
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).square().sum(1)
    rate = (0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log())).clamp_min(0.5).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: one mean rate for the batch
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).square().sum(1)
    rate = (0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)).mean().expand(len(x))
    return distortion + beta * rate, distortion, rate


# %% wrong: the terms in another order
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).square().sum(1)
    rate = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)
    return distortion + beta * rate, rate, distortion


# %% wrong: beta of 64 pixels for all
def our_beta(colleague_beta, pixels):
    return 128 * colleague_beta


# %% wrong: beta of the public check
def our_beta(colleague_beta, pixels):
    return 1.28


# %% wrong: the root of the pixels
def our_beta(colleague_beta, pixels):
    return 2 * math.sqrt(pixels) * 8 * colleague_beta


# %% wrong: centres clamped at five
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat).square().sum(1)
    rate = 0.5 * (mu.clamp(-5, 5) ** 2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: reconstructions clipped to grey values
def loss_terms(x, x_hat, mu, sigma, beta):
    distortion = (x - x_hat.clip(0, 1)).square().sum(1)
    rate = 0.5 * (mu**2 + sigma**2 - 1 - 2 * sigma.log()).sum(1)
    return distortion + beta * rate, distortion, rate


# %% wrong: beta rounded to two digits
def our_beta(colleague_beta, pixels):
    return round(2 * pixels * colleague_beta, 2)
