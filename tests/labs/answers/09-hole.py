# %% right: NumPy, an array and a NumPy number
import numpy as np


def widest_gap(codes, grid):
    dots = np.asarray(grid, dtype=float) @ np.asarray(codes, dtype=float).T
    nearest = np.degrees(np.arccos(dots.max(axis=1).clip(-1, 1)))
    return np.asarray(grid)[nearest.argmax()], nearest.max()


def p_value(score, null):
    return np.mean(np.append(null, score) >= score)


# %% right: a tree of neighbours, a list and a list of three
import math

from scipy.spatial import cKDTree


def widest_gap(codes, grid):
    chord, _ = cKDTree(codes.numpy()).query(grid.numpy())
    return [grid[chord.argmax()].tolist(), math.degrees(2 * math.asin(chord.max() / 2))]


# %% right: loops
import math


def widest_gap(codes, grid):
    best = None, -1.0
    for g in grid.tolist():
        angle = min(
            2 * math.atan2(math.dist(g, c), math.hypot(*(x + y for x, y in zip(g, c))))
            for c in codes.tolist()
        )
        if angle > best[1]:
            best = g, angle
    return tuple(best[0]), math.degrees(best[1])


# %% right: distances in place of products, an angle without dimensions
import torch


def widest_gap(codes, grid):
    chord = torch.cdist(grid, codes, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    value, index = chord.max(0)
    return grid[index], torch.rad2deg(2 * torch.asin(value / 2))


# %% right: a p-value as a fraction
from fractions import Fraction


def p_value(score, null):
    return Fraction(1 + len([s for s in null if not s < score]), len(null) + 1)


# %% right: a p-value by sorting, as a tensor
import torch


def p_value(score, null):
    scores = torch.tensor(sorted(null))
    below = torch.searchsorted(scores, score).item()
    return torch.tensor((len(null) - below + 1) / (len(null) + 1))


# %% right: a p-value by SciPy
from scipy.stats import percentileofscore


def p_value(score, null):
    return 1 - percentileofscore([*null, score], score, kind="strict") / 100


# %% right: the middle of all empty directions, not of length one
import torch

empty = (grid @ clouds["C"].T).amax(1) < 0.975
findings = {"hole": "C", "centre": grid[empty].mean(0)}

# %% right: a longer search, an array
import numpy as np

other = uniform(50_000, 3)
nearest = (other @ clouds["C"].T).amax(1)
findings = {"hole": "C", "centre": np.asarray(other[nearest.argmin()])}

# %% right: a list of numbers, and a reason beside
findings = {"hole": "C", "centre": findings["centre"].tolist(), "p": 0.025}

# %% right: the letter by the p-values
p = {}
for name, cloud in clouds.items():
    scores = [widest_gap(uniform(len(cloud), 7000 + s), grid)[1] for s in range(19)]
    p[name] = p_value(widest_gap(cloud, grid)[1], scores)
letter = min(p, key=p.get)
findings = dict(hole=letter, centre=widest_gap(clouds[letter], grid)[0].double())

# %% wrong: the second nearest code
import math


def widest_gap(codes, grid):
    second = (grid @ codes.T).topk(2, dim=1).values[:, 1].clamp(-1, 1)
    return grid[second.argmin()], math.degrees(second.min().acos().item())


# %% wrong: axes without a sign
import math


def widest_gap(codes, grid):
    nearest = (grid @ codes.T).abs().amax(1).clamp(-1, 1)
    return grid[nearest.argmin()], math.degrees(nearest.min().acos().item())


# %% wrong: a chord for the angle
import math

import torch


def widest_gap(codes, grid):
    chord = torch.cdist(grid, codes).amin(1)
    return grid[chord.argmax()], math.degrees(chord.max().item())


# %% wrong: no gap beyond a right angle
import math


def widest_gap(codes, grid):
    nearest = (grid @ codes.T).amax(1).clamp(0, 1)
    return grid[nearest.argmin()], math.degrees(nearest.min().acos().item())


# %% wrong: opposite the mean of the codes
import math


def widest_gap(codes, grid):
    away = (grid @ codes.mean(0)).argmin()
    return grid[away], math.degrees((codes @ grid[away]).max().clamp(-1, 1).acos().item())


# %% wrong: the code with the loneliest place
import math

import torch


def widest_gap(codes, grid):
    dots = (codes @ codes.T - 3 * torch.eye(len(codes))).amax(1).clamp(-1, 1)
    return codes[dots.argmin()], math.degrees(dots.min().acos().item())


# %% wrong: whole degrees
def widest_gap(codes, grid, right=widest_gap):
    centre, angle = right(codes, grid)
    return centre, float(round(angle))


# %% wrong: the middle of the grid's hundred emptiest
def widest_gap(codes, grid, right=widest_gap):
    nearest = (grid @ codes.T).amax(1)
    some = nearest.topk(min(3, len(grid)), largest=False).indices
    return grid[some].mean(0), right(codes, grid)[1]


# %% wrong: counts the observed below only
def p_value(score, null):
    return sum(s >= score for s in null) / (len(null) + 1)


# %% wrong: counts it above only, and stops at one
def p_value(score, null):
    return min(1.0, (1 + sum(s >= score for s in null)) / len(null))


# %% wrong: two sides
def p_value(score, null):
    above = 1 + sum(s >= score for s in null)
    below = 1 + sum(s <= score for s in null)
    return min(1.0, 2 * min(above, below) / (len(null) + 1))


# %% wrong: a normal law for the scores
import math
import statistics


def p_value(score, null):
    z = (score - statistics.fmean(null)) / statistics.stdev(null)
    return math.erfc(z / math.sqrt(2)) / 2


# %% wrong: half for the equals
def p_value(score, null):
    ties = sum(s == score for s in null)
    return (1 + sum(s > score for s in null) + ties / 2) / (1 + len(null))


# %% wrong: the constant of the check
def p_value(score, null):
    return 0.5


# %% wrong: a place on the edge of the hole
import torch

empty = (grid @ clouds["C"].T).amax(1)
findings = {"hole": "C", "centre": grid[((empty < 0.983) & (empty > 0.98)).nonzero()[0, 0]]}

# %% wrong: the right place in another cloud
findings = {"hole": "B", "centre": findings["centre"]}
