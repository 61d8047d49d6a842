# %% right: NumPy in a loop of seven hundred
import numpy as np


def blahut_arimoto(p, cost, beta):
    p, cost = np.asarray(p), np.asarray(cost)
    q = np.ones(cost.shape[1]) / cost.shape[1]
    kernel = np.exp(-cost / beta)
    for _ in range(700):
        channel = q * kernel
        channel /= channel.sum(axis=1, keepdims=True)
        q = p @ channel
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(channel > 0, channel * np.log(channel / q), 0)
    return p @ terms.sum(axis=1), np.sum(p[:, None] * channel * cost)


# %% right: in logarithms, a tensor of two
import torch


def blahut_arimoto(p, cost, beta):
    log_q = torch.zeros(cost.shape[1], dtype=torch.float64)
    for _ in range(700):
        log_channel = torch.log_softmax(log_q - cost / beta, 1)
        log_q = torch.logsumexp(p.log()[:, None] + log_channel, 0)
    joint = p[:, None] * log_channel.exp()
    rate = (joint * (log_channel - log_q)).nansum()
    return torch.stack([rate, (joint * cost).sum()])


# %% right: a list, and a stop at a small change of the rate
import torch


def blahut_arimoto(p, cost, beta):
    q = torch.full((cost.shape[1],), 1 / cost.shape[1]).double()
    old = -1.0
    while True:
        z = (q * torch.exp(-cost / beta)).sum(1)
        channel = q * torch.exp(-cost / beta) / z[:, None]
        bill = float((p[:, None] * channel * cost).sum())
        rate = float(-(p * z.log()).sum()) - bill / beta
        q = p @ channel
        if abs(rate - old) < 1e-11:
            return [rate, bill]
        old = rate


# %% right: a convex problem over the outputs
import numpy as np
from scipy.optimize import minimize


def blahut_arimoto(p, cost, beta):
    p, cost = p.numpy(), cost.numpy()
    kernel = np.exp(-cost / beta)
    m = cost.shape[1]
    found = minimize(
        lambda q: -p @ np.log(kernel @ q),
        np.full(m, 1 / m),
        jac=lambda q: -(p / (kernel @ q)) @ kernel,
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 500},
    )
    joint = p[:, None] * kernel * found.x / (kernel @ found.x)[:, None]
    bill = (joint * cost).sum()
    return float(found.fun - bill / beta), float(bill)


# %% right: a small constant in the logarithm
import torch


def blahut_arimoto(p, cost, beta):
    q = torch.ones(cost.shape[1], dtype=torch.float64) / cost.shape[1]
    for _ in range(700):
        channel = torch.softmax((q + 1e-300).log() - cost / beta, dim=1)
        q = p @ channel
    joint = p[:, None] * channel
    rate = (joint * ((channel + 1e-300).log() - (q + 1e-300).log())).sum()
    return rate.item(), (joint * cost).sum().item()


# %% right: the mutual information from three entropies
import torch


def blahut_arimoto(p, cost, beta):
    q = torch.ones(cost.shape[1], dtype=torch.float64) / cost.shape[1]
    for _ in range(700):
        joint = p[:, None] * torch.softmax(q.log() - cost / beta, 1)
        q = joint.sum(0)
    h = torch.special.entr
    return (h(p).sum() + h(q).sum() - h(joint).sum()).item(), (joint * cost).sum().item()


# %% right: NumPy's number for the crossing
import numpy as np
from scipy.optimize import brentq
from scipy.stats import entropy


def hamming_rate(n, beta):
    w = np.array([1.0] + [np.exp(-1 / beta)] * (n - 1))
    return np.log(n) - entropy(w / w.sum())


crossing = np.float64(brentq(lambda b: hamming_rate(2, b) - hamming_rate(4, b), 1, 2))

# %% right: a crossing of five digits
crossing = 1.2163

# %% right: a crossing without dimensions
import torch

crossing = torch.tensor(1.21635)

# %% right: odd and even, an array
import numpy as np


def weaker(n):
    i = np.arange(n)
    return ((i[:, None] + i) % 2).astype(np.float32)


# %% right: a product of signs
import torch


def weaker(n):
    sign = torch.tensor([1.0, -1.0]).repeat_interleave(n // 2)
    return (1 - torch.outer(sign, sign)) / 2


# %% right: nested lists
def weaker(n):
    return [[int((i < n / 2) != (j < n / 2)) for j in range(n)] for i in range(n)]


# %% right: blocks of Booleans
import torch


def weaker(n):
    same = torch.block_diag(torch.ones(n // 2, n // 2), torch.ones(n // 2, n // 2))
    return ~same.bool()


# %% right: a random half
import torch


def weaker(n):
    label = torch.randperm(n, generator=torch.Generator().manual_seed(1)) % 2
    return (label[:, None] != label[None, :]).to(torch.float64)


# %% wrong: two hundred rounds
import torch


def blahut_arimoto(p, cost, beta):
    q = torch.full(cost.shape[1:], 1 / cost.shape[1], dtype=torch.float64)
    for _ in range(200):
        channel = q * torch.exp(-cost / beta)
        channel = channel / channel.sum(1, keepdim=True)
        q = p @ channel
    information = torch.special.xlogy(channel, channel) - torch.special.xlogy(channel, q)
    return (p @ information).sum().item(), (p @ (channel * cost)).sum().item()


# %% wrong: stops at a change of a thousandth
import torch


def blahut_arimoto(p, cost, beta):
    q = torch.full(cost.shape[1:], 1 / cost.shape[1], dtype=torch.float64)
    change = 1.0
    while change > 1e-3:
        channel = q * torch.exp(-cost / beta)
        channel = channel / channel.sum(1, keepdim=True)
        q, before = p @ channel, q
        change = (q - before).abs().max()
    information = torch.special.xlogy(channel, channel) - torch.special.xlogy(channel, q)
    return (p @ information).sum().item(), (p @ (channel * cost)).sum().item()


# %% wrong: distortion first
def blahut_arimoto(p, cost, beta, right=blahut_arimoto):
    return right(p, cost, beta)[::-1]


# %% wrong: normalises the columns
import torch


def blahut_arimoto(p, cost, beta):
    q = torch.full(cost.shape[1:], 1 / cost.shape[1], dtype=torch.float64)
    for _ in range(300):
        channel = q * torch.exp(-cost / beta)
        channel = channel / channel.sum(0, keepdim=True)
        q = p @ channel
        q = q / q.sum()
    information = torch.special.xlogy(channel, channel) - torch.special.xlogy(channel, q)
    return (p @ information).sum().item(), (p @ (channel * cost)).sum().item()


# %% wrong: an output that no symbol wants keeps a thousandth
import torch


def blahut_arimoto(p, cost, beta):
    q = torch.full(cost.shape[1:], 1 / cost.shape[1], dtype=torch.float64)
    for _ in range(300):
        channel = q * torch.exp(-cost / beta)
        channel = channel / channel.sum(1, keepdim=True)
        q = (p @ channel).clamp(min=1e-3)
        q = q / q.sum()
    information = torch.special.xlogy(channel, channel) - torch.special.xlogy(channel, q)
    return (p @ information).sum().item(), (p @ (channel * cost)).sum().item()


# %% wrong: single precision and an epsilon
import torch


def blahut_arimoto(p, cost, beta):
    p, cost = p.float(), cost.float()
    q = torch.full(cost.shape[1:], 1 / cost.shape[1])
    for _ in range(300):
        channel = q * torch.exp(-cost / beta)
        channel = channel / (channel.sum(1, keepdim=True) + 1e-3)
        q = p @ channel
    information = channel * ((channel + 1e-8) / (q + 1e-8)).log()
    return (p @ information).sum().item(), (p @ (channel * cost)).sum().item()


# %% wrong: the best single output
def blahut_arimoto(p, cost, beta, right=blahut_arimoto):
    rate, bill = right(p, cost, beta)
    return rate, min(bill, float((p @ cost).min())) + 1e-3


# %% wrong: a crossing by eye
crossing = 1.2

# %% wrong: a crossing of four digits
crossing = 1.2165

# %% wrong: the price of the logarithm
import math

crossing = 1 / math.log(2)

# %% wrong: a table for twelve only
import torch


def weaker(n):
    i = torch.arange(n) // 6
    return (i[:, None] != i).double()


# %% wrong: halves that forgive a little less
import torch


def weaker(n):
    half = torch.arange(n) < n // 2
    return 0.98 * (half[:, None] != half).double()


# %% wrong: places on a circle
import torch


def weaker(n):
    angle = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    return (1 - torch.cos(angle[:, None] - angle)) / 2


# %% wrong: a quarter of the symbols
import torch


def weaker(n):
    part = torch.arange(n) < n // 4
    return (part[:, None] != part).double()


# %% wrong: forgives everything
import torch


def weaker(n):
    return torch.zeros(n, n, dtype=torch.float64)
