# %% right: SciPy's entropy, a NumPy scalar
import numpy as np
import scipy.stats


def perplexity(indices, num_codes):
    counts = np.bincount(indices.numpy(), minlength=num_codes)
    return np.exp(scipy.stats.entropy(counts))


# %% right: a dictionary of counts
from collections import Counter


def perplexity(indices, num_codes):
    counts = Counter(indices.tolist())
    return math.prod((len(indices) / c) ** (c / len(indices)) for c in counts.values())


# %% right: a distribution of torch, a tensor without dimensions
def perplexity(indices, num_codes):
    counts = torch.bincount(indices, minlength=num_codes)
    return torch.distributions.Categorical(probs=counts / counts.sum()).perplexity()


# %% right: bits all the way
def perplexity(indices, num_codes):
    p = indices.unique(return_counts=True)[1] / indices.numel()
    return 2 ** float(-(p * p.log2()).sum())


# %% right: xlogy and one-hot rows in float32
def perplexity(indices, num_codes):
    p = torch.nn.functional.one_hot(indices, num_codes).float().mean(0)
    return torch.exp(-torch.xlogy(p, p).sum()).item()


# %% right: a smallest number inside the logarithm, far below what counts
def perplexity(indices, num_codes):
    p = torch.bincount(indices, minlength=num_codes) / len(indices)
    return float(torch.exp(-torch.sum(p * torch.log(p + 1e-10))))


# %% right: usage by a set, a fraction
from fractions import Fraction


def usage(indices, num_codes):
    return Fraction(len(set(indices.tolist())), num_codes)


# %% right: usage by counts, a mean of NumPy
import numpy as np

usage = lambda indices, num_codes: (np.bincount(indices, minlength=num_codes) > 0).mean()


# %% right: an epoch by adding up counts
import functools


def epoch_perplexity(batches, num_codes):
    counts = functools.reduce(
        torch.add, (torch.bincount(batch, minlength=num_codes) for batch in batches)
    )
    p = counts[counts > 0] / counts.sum()
    return (-(p * p.log()).sum()).exp()


# %% right: an epoch of Python lists
def epoch_perplexity(batches, num_codes):
    return perplexity(torch.tensor([k for batch in batches for k in batch.tolist()]), num_codes)


# %% right: the last code does the work
def lopsided(n, num_codes):
    indices = torch.full((n,), num_codes - 1)
    indices[: num_codes - 1] = torch.arange(num_codes - 1)
    return indices[torch.randperm(n)]


# %% right: an array of int64
import numpy as np


def lopsided(n, num_codes):
    return np.r_[np.arange(num_codes), np.zeros(n - num_codes, dtype=np.int64)]


# %% right: a list of integers
def lopsided(n, num_codes):
    return [0] * (n - num_codes + 1) + list(range(1, num_codes))


# %% right: indices cut off above
lopsided = lambda n, num_codes: torch.clamp(torch.arange(n), max=num_codes - 1)


# %% wrong: Simpson's number of codes
def perplexity(indices, num_codes):
    p = torch.bincount(indices, minlength=num_codes).double() / len(indices)
    return (1 / p.square().sum()).item()


# %% wrong: a count of one for every code
def perplexity(indices, num_codes):
    p = torch.bincount(indices, minlength=num_codes).double() + 1
    return torch.special.entr(p / p.sum()).sum().exp().item()


# %% wrong: counts the codes in use
def perplexity(indices, num_codes):
    return float(len(indices.unique()))


# %% wrong: a thousandth inside the logarithm
def perplexity(indices, num_codes):
    p = torch.bincount(indices, minlength=num_codes).double() / len(indices)
    return math.exp(-(p * (p + 1e-3).log()).sum().item())


# %% wrong: shares of the number of codes
def perplexity(indices, num_codes):
    p = torch.bincount(indices, minlength=num_codes).double() / num_codes
    return torch.special.entr(p).sum().exp().item()


# %% wrong: drops the last code
def perplexity(indices, num_codes):
    p = torch.bincount(indices, minlength=num_codes).double()[: num_codes // 2] / len(indices)
    return torch.special.entr(p).sum().exp().item()


# %% wrong: codes that occur twice
def usage(indices, num_codes):
    return (torch.bincount(indices, minlength=num_codes) > 1).double().mean().item()


# %% wrong: a number, not a share
def usage(indices, num_codes):
    return float(len(indices.unique()))


# %% wrong: in percent
def usage(indices, num_codes):
    return 100 * len(indices.unique()) / num_codes


# %% wrong: the last batch
def epoch_perplexity(batches, num_codes):
    return perplexity(batches[-1], num_codes)


# %% wrong: batches weighed by their sizes
def epoch_perplexity(batches, num_codes):
    n = sum(map(len, batches))
    return sum(len(batch) / n * perplexity(batch, num_codes) for batch in batches)


# %% wrong: shares of batches, all weighed alike
def epoch_perplexity(batches, num_codes):
    shares = [torch.bincount(b, minlength=num_codes).double() / len(b) for b in batches]
    return torch.special.entr(torch.stack(shares).mean(0)).sum().exp().item()


# %% wrong: the largest of the batches
def epoch_perplexity(batches, num_codes):
    return max(perplexity(batch, num_codes) for batch in batches)


# %% wrong: half of the indices for one code
def lopsided(n, num_codes):
    return torch.where(torch.arange(n) < n // 2, 0, torch.arange(n) % num_codes)


# %% wrong: leaves out the last code
def lopsided(n, num_codes):
    return torch.arange(n) * (torch.arange(n) < num_codes - 1)


# %% wrong: one index too many
def lopsided(n, num_codes):
    return torch.cat([torch.arange(num_codes), torch.zeros(n - num_codes + 1, dtype=torch.int64)])


# %% wrong: right for twenty codes only
def lopsided(n, num_codes):
    return torch.arange(n) * (torch.arange(n) < 20)
