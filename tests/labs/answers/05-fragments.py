# %% right: whole powers, to the base e by hand
rate = lambda slots, num_codes: math.log2(num_codes**slots) * math.log(2)


# %% right: a NumPy scalar
import numpy as np


def rate(slots, num_codes):
    return slots * np.log(num_codes)


# %% right: counters
from collections import Counter


def nats(values):
    counts = Counter(values)
    n = sum(counts.values())
    return math.log(n) - sum(c * math.log(c) for c in counts.values()) / n


def total_correlation(tuples):
    rows = list(map(tuple, tuples.tolist()))
    return sum(map(nats, zip(*rows))) - nats(rows)


# %% right: NumPy's unique rows, SciPy's entropy
import numpy as np
import scipy.stats


def total_correlation(tuples):
    def nats(values):
        return scipy.stats.entropy(np.unique(values, axis=0, return_counts=True)[1])

    columns = np.asarray(tuples)
    return np.sum([nats(column) for column in columns.T]) - nats(columns)


# %% right: as a divergence from independence, a tensor
def total_correlation(tuples):
    rows, counts = tuples.unique(dim=0, return_counts=True)
    p = counts / len(tuples)
    q = torch.ones_like(p)
    for s in range(tuples.shape[1]):
        q = q * (tuples[:, s] == rows[:, s, None]).float().mean(1)
    return (p * (p / q).log()).sum()


# %% right: rows numbered by their bases, in float32
def total_correlation(tuples):
    base = int(tuples.max()) + 1
    number = sum(tuples[:, s] * base**s for s in range(tuples.shape[1]))

    def nats(values):
        p = values.unique(return_counts=True)[1].float() / len(values)
        return torch.special.entr(p).sum()

    return (sum(nats(column) for column in tuples.T) - nats(number)).item()


# %% right: bits, and back to nats
def total_correlation(tuples):
    def bits(rows):
        p = torch.unique(rows, dim=0, return_counts=True)[1].double() / len(rows)
        return -(p * p.log2()).sum()

    bits_shared = sum(bits(tuples[:, [s]]) for s in range(tuples.size(1))) - bits(tuples)
    return float(bits_shared / math.log2(math.e))


# %% right: chain rule
def total_correlation(tuples):
    total = 0.0
    for s in range(1, tuples.shape[1]):
        past, both = tuples[:, :s], tuples[:, : s + 1]
        total += entropy(past) + entropy(tuples[:, s : s + 1]) - entropy(both)
    return total


# %% right: columns stacked
def shuffled(tuples, orders):
    return torch.stack([column[order] for column, order in zip(tuples.T, orders)], dim=1)


# %% right: NumPy takes along an axis, an array
import numpy as np


def shuffled(tuples, orders):
    return np.take_along_axis(np.asarray(tuples), np.asarray(orders).T, axis=0)


# %% right: an index for each column
def shuffled(tuples, orders):
    return tuples[orders.T, torch.arange(tuples.shape[1])]


# %% right: nested lists
def shuffled(tuples, orders):
    return [[int(tuples[orders[s, i], s]) for s in range(len(orders))] for i in range(len(tuples))]


# %% right: results as NumPy scalars and tensors
import numpy as np

excess = {"C": np.float64(excess["C"]), "A": torch.tensor(excess["A"]), "B": excess["B"]}
verdict = {key: np.str_(word) for key, word in sorted(verdict.items(), reverse=True)}


# %% wrong: the sum of the slots' codes
rate = lambda slots, num_codes: num_codes * math.log(slots)


# %% wrong: a quarter of a digit
rate = lambda slots, num_codes: 4 * math.log(num_codes)


# %% wrong: one code is none
rate = lambda slots, num_codes: slots * math.log(num_codes - 1)


# %% wrong: in bits
def total_correlation(tuples):
    return (sum(entropy(slot[:, None]) for slot in tuples.T) - entropy(tuples)) / math.log(2)


# %% wrong: the first two slots
def total_correlation(tuples):
    a, b = tuples[:, :1], tuples[:, 1:2]
    return entropy(a) + entropy(b) - entropy(torch.cat([a, b], 1))


# %% wrong: per slot
def total_correlation(tuples):
    total = sum(entropy(slot[:, None]) for slot in tuples.T) - entropy(tuples)
    return total / tuples.shape[1]


# %% wrong: numbers the rows in the decimal system
def total_correlation(tuples):
    number = sum(tuples[:, s] * 10**s for s in range(tuples.shape[1]))
    return sum(entropy(slot[:, None]) for slot in tuples.T) - entropy(number[:, None])


# %% wrong: numbers the rows to the base of sixteen
def total_correlation(tuples):
    number = sum(tuples[:, s] * 16**s for s in range(tuples.shape[1]))
    return sum(entropy(slot[:, None]) for slot in tuples.T) - entropy(number[:, None])


# %% wrong: clamped where it is small
def total_correlation(tuples):
    return max(0.5, sum(entropy(slot[:, None]) for slot in tuples.T) - entropy(tuples))


# %% wrong: corrected for the table's size
def total_correlation(tuples):
    total = sum(entropy(slot[:, None]) for slot in tuples.T) - entropy(tuples)
    return total - len(tuples.unique(dim=0)) / 2 / len(tuples)


# %% wrong: orders of its own
def shuffled(tuples, orders):
    dice = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(len(tuples), generator=dice) for _ in tuples.T])
    return tuples.gather(0, order.T)


# %% wrong: leaves the first slot as it is
def shuffled(tuples, orders):
    return torch.cat([tuples[:, :1], tuples.gather(0, orders.T)[:, 1:]], 1)


# %% wrong: sorts each column
def shuffled(tuples, orders):
    return tuples.sort(0).values


# %% wrong: the ratio of the two
excess = {
    k: total_correlation(t) / total_correlation(shuffled(t, orders)) for k, t in tables.items()
}


# %% wrong: in bits, and so beyond the other
excess = {key: value / math.log(2) for key, value in excess.items()}


# %% wrong: an average over ten shuffles of its own
dice = torch.Generator().manual_seed(3)


def left(table):
    own = [torch.stack([torch.randperm(n, generator=dice) for _ in range(4)]) for _ in range(10)]
    return sum(total_correlation(shuffled(table, order)) for order in own) / 10


excess = {key: total_correlation(table) - left(table) for key, table in tables.items()}


# %% wrong: digits of a rounded result
excess = {key: round(value, 1) for key, value in excess.items()}


# %% wrong: halves and slots exchanged
verdict = {"A": "slots", "B": "halves", "C": "whole"}


# %% wrong: two wholes
verdict = {"A": "whole", "B": "slots", "C": "whole"}
