# %% right: a loop over the codes
def step(codebook, counts, z, indices, decay):
    codebook, counts = codebook.clone(), counts.clone()
    for k in range(len(codebook)):
        mine = z[indices == k]
        new = decay * counts[k] + (1 - decay) * len(mine)
        if len(mine):
            total = decay * counts[k] * codebook[k] + (1 - decay) * mine.sum(0)
            codebook[k] = total / new
        counts[k] = new
    return codebook, counts


# %% right: one-hot products, moved by what is missing
def step(codebook, counts, z, indices, decay):
    member = torch.nn.functional.one_hot(indices, len(codebook)).to(z)
    n, total = member.sum(0), member.T @ z
    new = torch.lerp(n, counts, decay)
    pull = (1 - decay) * (total - n[:, None] * codebook)
    return codebook + pull / new.where(new > 0, torch.ones(())).unsqueeze(1), new


# %% right: NumPy, a list of two arrays
import numpy as np


def step(codebook, counts, z, indices, decay):
    e, w, z, indices = (x.numpy().copy() for x in (codebook, counts, z, indices))
    n, total = np.zeros_like(w), np.zeros_like(e)
    np.add.at(n, indices, 1)
    np.add.at(total, indices, z)
    new = decay * w + (1 - decay) * n
    total = decay * w[:, None] * e + (1 - decay) * total
    return [np.divide(total, new[:, None], out=e.copy(), where=n[:, None] > 0), new]


# %% right: nested lists
def step(codebook, counts, z, indices, decay):
    centres, weights = codebook.tolist(), [decay * w for w in counts.tolist()]
    for row, k in zip(z.tolist(), indices.tolist()):
        weights[k] += 1 - decay
        share = (1 - decay) / weights[k]
        centres[k] = [e + share * (v - e) for e, v in zip(centres[k], row)]
    return centres, weights


# %% right: not-a-number put back
def step(codebook, counts, z, indices, decay):
    n = torch.zeros_like(counts).scatter_add(0, indices, torch.ones_like(z[:, 0]))
    total = torch.zeros_like(codebook).index_put((indices,), z, accumulate=True)
    new = counts * decay + n * (1 - decay)
    mean = ((counts * decay)[:, None] * codebook + (1 - decay) * total) / new[:, None]
    return torch.where(mean.isnan(), codebook, mean), new


# %% right: closed form in float32 by NumPy's average
import numpy as np


def closed_form(batches, decay):
    ages = np.concatenate([[len(batches) - 1 - t] * len(b) for t, b in enumerate(batches)])
    rows = np.concatenate([b.numpy() for b in batches]).astype(np.float32)
    return np.average(rows, axis=0, weights=decay**ages)


# %% right: closed form by running N and M
def closed_form(batches, decay):
    weight, total = 0.0, torch.zeros(batches[-1].shape[1], dtype=batches[-1].dtype)
    for batch in batches:
        weight = decay * weight + (1 - decay) * len(batch)
        total = decay * total + (1 - decay) * batch.sum(dim=0)
    return total / weight


# %% right: closed form by one product
def closed_form(batches, decay):
    weights = torch.cat(
        [torch.full((len(b),), decay ** (len(batches) - t)) for t, b in enumerate(batches)]
    ).double()
    return (weights / weights.sum()) @ torch.cat(batches).double()


# %% right: exponentials, and a tensor without dimensions
shortfall = lambda decay, t: torch.tensor(t * math.log(decay)).exp()


# %% right: counts updates
import itertools

import numpy as np


def shortfall(decay, t):
    return np.float64(1 - (1 - decay) * sum(decay**i for i in range(t)))


def patience(decay, tolerance):
    return next(t for t in itertools.count() if decay**t <= tolerance)


# %% right: multiplies until little is left
def patience(decay, tolerance):
    left, t = 1.0, 0
    while left > tolerance:
        left, t = left * decay, t + 1
    return t


# %% right: NumPy's ceiling, an int64
import numpy as np


def patience(decay, tolerance):
    return np.ceil(np.log(tolerance) / np.log(decay)).astype(np.int64)


# %% right: logarithms to the base of the decay, a whole tensor
def patience(decay, tolerance):
    return torch.tensor(math.log(tolerance, decay), dtype=torch.float64).ceil().long()


# %% wrong: fresh codes stay where they are
def step(codebook, counts, z, indices, decay, right=step):
    made, weights = right(codebook, counts, z, indices, decay)
    return torch.where(counts[:, None] > 0, made, codebook), weights


# %% wrong: smooths the counts
def step(codebook, counts, z, indices, decay, right=step):
    made, weights = right(codebook, counts, z, indices, decay)
    total, k = weights.sum(), len(weights)
    return made, (weights + 0.01) / (total + k * 0.01) * total


# %% wrong: the centre of the batch
def step(codebook, counts, z, indices, decay):
    codebook, counts = codebook.clone(), decay * counts
    for k in indices.unique():
        codebook[k] = z[indices == k].mean(0)
        counts[k] += (1 - decay) * (indices == k).sum()
    return codebook, counts


# %% wrong: each code counts once
def step(codebook, counts, z, indices, decay):
    codebook, counts = codebook.clone(), decay * counts
    for k in indices.unique():
        old = counts[k].clone()
        counts[k] += 1 - decay
        codebook[k] = (old * codebook[k] + (1 - decay) * z[indices == k].mean(0)) / counts[k]
    return codebook, counts


# %% wrong: the last vector of a code only
def step(codebook, counts, z, indices, decay):
    n = torch.bincount(indices, minlength=len(codebook)).to(z.dtype)
    sums = torch.zeros_like(codebook)
    sums[indices] = z
    new = decay * counts + (1 - decay) * n
    mean = (decay * counts[:, None] * codebook + (1 - decay) * sums) / new[:, None]
    return torch.where(n[:, None] > 0, mean, codebook), new


# %% wrong: the weight doesn't fade
def step(codebook, counts, z, indices, decay):
    n = torch.bincount(indices, minlength=len(codebook)).to(z.dtype)
    sums = torch.zeros_like(codebook).index_add(0, indices, z)
    new = counts + n
    mean = (counts[:, None] * codebook + sums) / new[:, None]
    return torch.where(n[:, None] > 0, mean, codebook), new


# %% wrong: the decay once for the newest, too little by the batch that is empty
def closed_form(batches, decay):
    full = [batch for batch in batches if len(batch)]
    pairs = [(decay**age, batch) for age, batch in enumerate(reversed(full))]
    return sum(w * b.sum(0) for w, b in pairs) / sum(w * len(b) for w, b in pairs)


# %% wrong: all vectors alike
def closed_form(batches, decay):
    return torch.cat(batches).mean(0)


# %% wrong: vectors one after another
def closed_form(batches, decay):
    rows = torch.cat(batches)
    weights = decay ** torch.arange(len(rows) - 1, -1, -1).to(rows)
    return weights @ rows / weights.sum()


# %% wrong: weights that don't add up to one
def closed_form(batches, decay):
    pairs = enumerate(reversed(batches))
    return sum((1 - decay) * decay**age * batch.sum(0) for age, batch in pairs)


# %% wrong: one update more
shortfall = lambda decay, t: decay ** (t + 1)


# %% wrong: linear in time
shortfall = lambda decay, t: max(0.0, 1 - t * (1 - decay))


# %% wrong: a continuous decay
shortfall = lambda decay, t: math.exp(-t * (1 - decay))


# %% wrong: rounds to the nearest
patience = lambda decay, tolerance: round(math.log(tolerance) / math.log(decay))


# %% wrong: time in units of 1 - decay
patience = lambda decay, tolerance: math.ceil(-math.log(tolerance) / (1 - decay))


# %% wrong: loops while it is not below
def patience(decay, tolerance):
    t = 0
    while decay**t >= tolerance:
        t += 1
    return t
