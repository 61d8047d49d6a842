# %% right: scipy's distances
from scipy.spatial.distance import cdist


def energy_distance(a, b):
    return 2 * cdist(a, b).mean() - cdist(a, a).mean() - cdist(b, b).mean()


# %% right: loops over pairs
def energy_distance(a, b):
    def mean(p, q):
        return sum(math.dist(u, v) for u in p.tolist() for v in q.tolist()) / (len(p) * len(q))

    return 2 * mean(a, b) - mean(a, a) - mean(b, b)


# %% right: a 0-d tensor by broadcasting
def energy_distance(first, second):
    def mean(p, q):
        return (p[:, None, :] - q[None, :, :]).square().sum(-1).sqrt().mean()

    return 2 * mean(first, second) - mean(first, first) - mean(second, second)


# %% right: sorted distances of a NumPy array
import numpy as np
from scipy.spatial.distance import cdist


def precision_recall(generated, reference, k):
    def share(points, centres):
        radii = np.sort(cdist(centres, centres), axis=1)[:, k]
        return np.mean(np.any(cdist(points, centres) <= radii, axis=1))

    return share(generated, reference), share(reference, generated)


# %% right: a k-d tree
import numpy as np
from scipy.spatial import KDTree


def precision_recall(generated, reference, k):
    def share(points, centres):
        points, centres = points.numpy(), centres.numpy()
        radii = KDTree(centres).query(centres, k=k + 1)[0][:, k]
        return np.array(
            [(np.linalg.norm(centres - p, axis=1) <= radii).any() for p in points]
        ).mean()

    return [share(generated, reference), share(reference, generated)]


# %% right: scikit-learn's neighbours without the point itself
import numpy as np
from scipy.spatial.distance import cdist


def precision_recall(generated, reference, k):
    from sklearn.neighbors import NearestNeighbors

    def share(points, centres):
        points, centres = points.numpy(), centres.numpy()
        radii = NearestNeighbors(n_neighbors=k).fit(centres).kneighbors()[0][:, -1]
        return np.float32((cdist(points, centres) <= radii[None]).any(1).mean())

    return np.array([share(generated, reference), share(reference, generated)])


# %% right: the point itself at an infinite distance
def precision_recall(generated, reference, k):
    def share(points, centres):
        among = torch.cdist(centres, centres).fill_diagonal_(math.inf)
        radii = among.topk(k, largest=False).values[:, -1]
        return (torch.cdist(points, centres) - radii <= 0).any(1).float().mean()

    return share(generated, reference), share(reference, generated)


# %% right: fractions that were counted
from fractions import Fraction


def precision_recall(generated, reference, k):
    def share(points, centres):
        points, centres = points.tolist(), centres.tolist()
        radii = [sorted(math.dist(c, o) for o in centres)[k] for c in centres]
        inside = [any(math.dist(p, c) <= r for c, r in zip(centres, radii)) for p in points]
        return Fraction(sum(inside), len(inside))

    return share(generated, reference), share(reference, generated)


# %% right: names by the library
from vae_course import evaluation

scores = {m: evaluation.precision_recall(s, reference, k=3) for m, s in models.items()}
fools_precision = sorted(scores, key=lambda m: -scores[m][0])[0]
fools_recall = sorted(scores, key=lambda m: -scores[m][1])[0]


# %% right: names in a NumPy array
import numpy as np

fools_precision, fools_recall = np.array(["C", "A"])


# %% wrong: squared distances for the energy, with a root at the end
def energy_distance(a, b):
    mean = lambda p, q: torch.cdist(p, q).square().mean()
    return (2 * mean(a, b) - mean(a, a) - mean(b, b)).sqrt().item()


# %% wrong: never negative, without the pairs within a
def energy_distance(a, b):
    mean = lambda p, q: torch.cdist(p, q).mean()
    return max(0.0, (2 * mean(a, b) - 2 * mean(b, b)).item())


# %% wrong: the root of the energy distance
def energy_distance(a, b):
    mean = lambda p, q: torch.cdist(p, q).mean()
    return (2 * mean(a, b) - mean(a, a) - mean(b, b)).clamp_min(0).sqrt().item()


# %% wrong: Manhattan distances
def energy_distance(a, b):
    mean = lambda p, q: torch.cdist(p, q, p=1).mean()
    return (2 * mean(a, b) - mean(a, a) - mean(b, b)).item()


# %% wrong: a median in place of a mean
def energy_distance(a, b):
    mean = lambda p, q: torch.cdist(p, q).median()
    return (2 * mean(a, b) - mean(a, a) - mean(b, b)).item()


# %% wrong: pairs of equal rows only
def energy_distance(a, b):
    n = min(len(a), len(b))
    return (
        2 * (a[:n] - b[:n]).norm(dim=1).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()
    ).item()


# %% wrong: always the third neighbour
def precision_recall(generated, reference, k):
    def covered(points, centres):
        radius = torch.cdist(centres, centres).kthvalue(min(4, len(centres))).values
        return (torch.cdist(points, centres) <= radius).any(1).double().mean().item()

    return covered(generated, reference), covered(reference, generated)


# %% wrong: one radius, the mean, for all spheres
def precision_recall(generated, reference, k):
    def covered(points, centres):
        radius = torch.cdist(centres, centres).kthvalue(k + 1).values.mean()
        return (torch.cdist(points, centres) <= radius).any(1).double().mean().item()

    return covered(generated, reference), covered(reference, generated)


# %% wrong: the sphere of the nearest reference point only
def precision_recall(generated, reference, k):
    def covered(points, centres):
        radius = torch.cdist(centres, centres).kthvalue(k + 1).values
        near = torch.cdist(points, centres).min(1)
        return (near.values <= radius[near.indices]).double().mean().item()

    return covered(generated, reference), covered(reference, generated)


# %% wrong: all spheres in place of any
def precision_recall(generated, reference, k):
    def covered(points, centres):
        radius = torch.cdist(centres, centres).kthvalue(k + 1).values
        return (torch.cdist(points, centres) <= radius).all(1).double().mean().item()

    return covered(generated, reference), covered(reference, generated)


# %% wrong: a mean over pairs
def precision_recall(generated, reference, k):
    def covered(points, centres):
        radius = torch.cdist(centres, centres).kthvalue(k + 1).values
        return (torch.cdist(points, centres) <= radius).double().mean().item()

    return covered(generated, reference), covered(reference, generated)


# %% wrong: one neighbour too far
def precision_recall(generated, reference, k):
    def covered(points, centres):
        radius = torch.cdist(centres, centres).kthvalue(min(k + 2, len(centres))).values
        return (torch.cdist(points, centres) <= radius).any(1).double().mean().item()

    return covered(generated, reference), covered(reference, generated)


# %% wrong: neighbours in the other sample
def precision_recall(generated, reference, k):
    def covered(points, centres):
        distances = torch.cdist(points, centres)
        return (distances <= distances.T.kthvalue(k).values).any(1).double().mean().item()

    return covered(generated, reference), covered(reference, generated)


# %% wrong: the collapsed one wins both
fools_precision = fools_recall = "C"


# %% wrong: the decent one on recall
fools_precision, fools_recall = "C", "B"


# %% wrong: points of equal place are no neighbours
def precision_recall(generated, reference, k):
    def covered(points, centres):
        among = torch.cdist(centres, centres)
        among[among == 0] = math.inf
        radius = among.kthvalue(k).values
        return (torch.cdist(points, centres) <= radius).any(1).double().mean().item()

    return covered(generated, reference), covered(reference, generated)
