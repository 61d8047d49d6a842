# %% right: PyTorch's cross entropy
import torch


def nats(logits, tokens):
    loss = torch.nn.functional.cross_entropy(logits.mT, tokens, reduction="none")
    alive = torch.cat([torch.ones_like(tokens[:, :1]), (tokens[:, :-1] != 0).long()], 1)
    return (loss * alive.cumprod(1)).sum(1)


# %% right: SciPy, an array
import numpy as np
from scipy.special import log_softmax


def nats(logits, tokens):
    logits, tokens = np.asarray(logits), np.asarray(tokens)
    log_p = np.take_along_axis(log_softmax(logits, axis=2), tokens[:, :, None], 2)[:, :, 0]
    before = np.cumsum(tokens == 0, axis=1) - (tokens == 0)
    return -(log_p * (before == 0)).sum(axis=1)


# %% right: loops, a list
import math


def nats(logits, tokens):
    lengths = []
    for rows, row in zip(logits.tolist(), tokens.tolist()):
        total = 0.0
        for scores, token in zip(rows, row):
            top = max(scores)
            total += top + math.log(sum(math.exp(s - top) for s in scores)) - scores[token]
            if token == 0:
                break
        lengths.append(total)
    return lengths


# %% right: a distribution of PyTorch
import torch


def nats(logits, tokens):
    log_p = torch.distributions.Categorical(logits=logits).log_prob(tokens)
    found = []
    for lp, row in zip(log_p, tokens.tolist()):
        n = row.index(0) + 1 if 0 in row else len(row)
        found.append(-lp[:n].sum())
    return torch.stack(found)


# %% right: an argmax that knows full rows, in single precision
import torch


def nats(logits, tokens):
    over = tokens == 0
    end = torch.where(over.any(1), over.int().argmax(1), tokens.shape[1])
    picked = logits.float().log_softmax(-1).gather(2, tokens.unsqueeze(2)).squeeze(2)
    return -picked.masked_fill(torch.arange(tokens.shape[1]) > end[:, None], 0).sum(1)


# %% right: logsumexp
import torch


def nats(logits, tokens):
    chosen = torch.einsum(
        "nlv,nlv->nl", logits, torch.nn.functional.one_hot(tokens, logits.shape[2]).to(logits.dtype)
    )
    cost = logits.logsumexp(2) - chosen
    tail = torch.nn.functional.pad((tokens == 0).long().cumsum(1), (1, -1))
    return torch.where(tail > 0, 0.0, cost).sum(1)


# %% right: rows up to their end as tuples
def exact(predicted, tokens):
    def read(row, n):
        return tuple(row[:n])

    hits = 0
    for guess, row in zip(predicted.tolist(), tokens.tolist()):
        n = (row + [0]).index(0) + 1
        hits += read(guess, n) == read(row, n)
    return hits / len(tokens)


# %% right: a fraction
from fractions import Fraction


def exact(predicted, tokens):
    right = ((predicted == tokens) | ~counted(tokens)).all(1)
    return Fraction(int(right.sum()), len(right))


# %% right: NumPy's number, and no fault counted
import numpy as np


def exact(predicted, tokens):
    guess, told = predicted.numpy(), tokens.numpy()
    read = np.cumsum(told == 0, axis=1) - (told == 0) == 0
    return np.mean(((guess != told) & read).sum(axis=1) == 0)


# %% right: a tensor without dimensions
import torch


def exact(predicted, tokens):
    masked = counted(tokens)
    return torch.eq(predicted * masked, tokens * masked).all(dim=1).float().mean()


# %% right: both strings are cut at their first zero
def exact(predicted, tokens):
    def cut(row):
        row = list(row)
        return row[: row.index(0)] if 0 in row else row

    hits = [cut(p) == cut(t) for p, t in zip(predicted.tolist(), tokens.tolist())]
    return sum(hits) / len(hits)


# %% right: up to the first zero of the prediction, which comes to the same
def exact(predicted, tokens):
    return ((predicted == tokens) | ~counted(predicted)).all(1).double().mean().item()


# %% right: logarithms
import math


def needed(share, length):
    return math.exp(math.log(share) / length)


# %% right: NumPy's power and another name
import numpy as np


def needed(p, n):
    return np.power(p, 1.0 / n)


# %% right: a search
from scipy.optimize import brentq


def needed(share, length):
    return brentq(lambda q: q**length - share, 0, 1, xtol=1e-12)


# %% wrong: an empty string is a full row
def nats(logits, tokens):
    log_p = logits.log_softmax(2).gather(2, tokens[:, :, None])[:, :, 0]
    ends = [(row.index(0) if 0 in row else 0) or len(row) for row in tokens.tolist()]
    return -sum_rows(log_p, ends)


def sum_rows(log_p, ends):
    import torch

    return torch.stack([row[: end + 1].sum() for row, end in zip(log_p, ends)])


# %% wrong: in bits
import math


def nats(logits, tokens, right=nats):
    return right(logits, tokens) / math.log(2)


# %% wrong: a softmax and an epsilon
def nats(logits, tokens):
    p = logits.softmax(2).gather(2, tokens[:, :, None])[:, :, 0]
    return -((p + 1e-8).log() * counted(tokens)).sum(1)


# %% wrong: normalises over the places
def nats(logits, tokens):
    log_p = logits.log_softmax(1).gather(2, tokens[:, :, None])[:, :, 0]
    return -(log_p * counted(tokens)).sum(1)


# %% wrong: the most probable string
def nats(logits, tokens):
    return -(logits.log_softmax(2).amax(2) * counted(tokens)).sum(1)


# %% wrong: the end only
def nats(logits, tokens):
    log_p = logits.log_softmax(2).gather(2, tokens[:, :, None])[:, :, 0]
    return -(log_p * (counted(tokens) & (tokens == 0))).sum(1)


# %% wrong: one zero too many
import torch


def nats(logits, tokens):
    log_p = logits.log_softmax(2).gather(2, tokens[:, :, None])[:, :, 0]
    ends = (tokens == 0).cumsum(1)
    return -(log_p * (ends <= 2)).sum(1)


# %% wrong: a code length without a sign
def nats(logits, tokens, right=nats):
    return -right(logits, tokens)


# %% wrong: clamps at ten nats a token
def nats(logits, tokens):
    log_p = logits.log_softmax(2).gather(2, tokens[:, :, None])[:, :, 0]
    return -(log_p.clamp(min=-10) * counted(tokens)).sum(1)


# %% wrong: the share of strings with one fault at most
def exact(predicted, tokens):
    faults = ((predicted != tokens) & counted(tokens)).sum(1)
    return (faults <= 1).double().mean().item()


# %% wrong: an empty string is never exact
def exact(predicted, tokens):
    right = ((predicted == tokens) | ~counted(tokens)).all(1) & (tokens != 0).any(1)
    return right.double().mean().item()


# %% wrong: in percent
def exact(predicted, tokens, right=exact):
    return 100 * right(predicted, tokens)


# %% wrong: the constant of the check
def exact(predicted, tokens):
    return 0.5


# %% wrong: the end is not counted
def needed(share, length):
    return share ** (1 / (length - 1)) if length > 1 else share


# %% wrong: for small faults only
import math


def needed(share, length):
    return 1 + math.log(share) / length


# %% wrong: three digits
def needed(share, length, right=needed):
    return round(right(share, length), 3)
