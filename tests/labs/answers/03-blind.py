# %% right: by the singular values
def linear_vae(train, x, beta):
    mean = train.mean(0)
    _, s, Vh = torch.linalg.svd(train - mean, full_matrices=False)
    lam, axes = s[:8] ** 2 / (len(train) - 1), settle(Vh[:8].T)
    mu = (x - mean) @ axes * torch.relu(lam - beta / 2).sqrt() / lam
    return mu, torch.minimum(torch.ones_like(lam), beta / 2 / lam).sqrt().repeat(len(x), 1)


# %% right: numpy's eigenvectors
import numpy as np


def linear_vae(train, x, beta):
    train, x = np.asarray(train), np.asarray(x)
    values, vectors = np.linalg.eigh(np.cov(train, rowvar=False))
    keep = np.argsort(-values)[:8]
    values, vectors = values[keep], vectors[:, keep]
    vectors = np.where(vectors.sum(0) < 0, -vectors, vectors)
    mu = (x - train.mean(0)) @ vectors * np.sqrt(np.clip(values - beta / 2, 0, None)) / values
    return mu, np.tile(np.sqrt(np.minimum(1, beta / 2 / values)), (len(x), 1))


# %% right: scikit-learn's PCA, and signs of its own
def linear_vae(train, x, beta):
    from sklearn.decomposition import PCA

    pca = PCA(8, svd_solver="full").fit(train.numpy())
    lam = torch.from_numpy(pca.explained_variance_)
    mu = torch.from_numpy(pca.transform(x.numpy())) * (lam - beta / 2).clamp(min=0) ** 0.5 / lam
    return [mu, (beta / 2 / lam).clamp(max=1).sqrt() + torch.zeros_like(mu)]


def findings_of():
    pairs = {}
    for beta in betas:
        (mu, sigma), (test_mu, test_sigma) = (linear_vae(train, t, beta) for t in (train, test))
        a = knn_accuracy(mu, labels, test_mu, test_labels, 5)
        drawn, test_drawn = mu + sigma * noise, test_mu + test_sigma * test_noise
        pairs[beta] = a, knn_accuracy(drawn, labels, test_drawn, test_labels, 5)
    beta = max(pairs, key=lambda b: pairs[b][0] - pairs[b][1])
    return {"beta": beta, "centres": pairs[beta][0], "draws": pairs[beta][1]}


findings = findings_of()


# %% right: all axes turned, in float32
import numpy as np


def linear_vae(train, x, beta):
    train, x = train.float(), x.float()
    lam, axes = torch.linalg.eigh(torch.cov(train.T))
    lam, axes = lam.flip(0)[:8], -settle(axes.flip(1)[:, :8])
    mu = (x - train.mean(0)) @ axes * (lam - beta / 2).clamp_min(0).sqrt() / lam
    return mu, (beta / 2 / lam).clamp_max(1).sqrt().expand_as(mu)


pairs = {beta: compare(beta) for beta in betas}
worst = max(pairs, key=lambda beta: pairs[beta][0] - pairs[beta][1])
findings = {k: np.float32(v) for k, v in zip(("beta", "centres", "draws"), (worst, *pairs[worst]))}


# %% right: by Bayes' rule for matrices
def linear_vae(train, x, beta):
    lam, axes = torch.linalg.eigh(torch.cov(train.T))
    W = settle(axes.flip(1)[:, :8]) * (lam.flip(0)[:8] - beta / 2).clamp_min(0).sqrt()
    covariance = torch.linalg.inv(torch.eye(8, dtype=W.dtype) + 2 / beta * W.T @ W)
    mu = 2 / beta * (x - train.mean(0)) @ W @ covariance
    return mu, covariance.diagonal().sqrt().expand_as(mu)


# %% right: scikit-learn's classifier
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(k).fit(codes, labels).score(test_codes, test_labels)


# %% right: a k-d tree and scipy's mode
import numpy as np
from scipy import spatial, stats


def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = spatial.KDTree(np.asarray(codes)).query(np.asarray(test_codes), k=[*range(1, k + 1)])[1]
    named = stats.mode(np.asarray(labels)[near], axis=1).mode
    return (named == np.asarray(test_labels)).mean()


# %% right: counts of a sorted matrix
import numpy as np
from scipy.spatial.distance import cdist


def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = np.argsort(cdist(test_codes, codes), axis=1, kind="stable")[:, :k]
    named = [np.bincount(row).argmax() for row in labels.numpy()[near]]
    return np.float32(np.equal(named, test_labels.numpy()).mean())


# %% right: torch.mode, a 0-d tensor
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    d = (test_codes[:, None] - codes[None]).square().sum(-1)
    votes = labels[d.argsort(1)[:, :k]]
    return (votes.mode(1).values == test_labels).float().mean()


# %% right: findings as tensors
findings = {key: torch.tensor(value) for key, value in findings.items()}


# %% right: findings rounded to two digits
findings = {"beta": 0.7, "centres": 0.85, "draws": 0.28}


# %% wrong: divided by N
def linear_vae(train, x, beta):
    lam, axes = torch.linalg.eigh(torch.cov(train.T, correction=0))
    lam, axes = lam.flip(0)[:8], settle(axes.flip(1)[:, :8])
    mu = (x - train.mean(0)) @ axes * (lam - beta / 2).clamp_min(0).sqrt() / lam
    return mu, (beta / 2 / lam).clamp_max(1).sqrt().expand_as(mu)


# %% wrong: whitened, without the pull
def linear_vae(train, x, beta):
    lam, axes = torch.linalg.eigh(torch.cov(train.T))
    lam, axes = lam.flip(0)[:8], settle(axes.flip(1)[:, :8])
    mu = (x - train.mean(0)) @ axes / lam.sqrt()
    return mu, (beta / 2 / lam).clamp_max(1).sqrt().expand_as(mu)


# %% wrong: beta for beta/2
def linear_vae(train, x, beta):
    lam, axes = torch.linalg.eigh(torch.cov(train.T))
    lam, axes = lam.flip(0)[:8], settle(axes.flip(1)[:, :8])
    mu = (x - train.mean(0)) @ axes * (lam - beta).clamp_min(0).sqrt() / lam
    return mu, (beta / lam).clamp_max(1).sqrt().expand_as(mu)


# %% wrong: sigma not bounded by the prior's
def linear_vae(train, x, beta):
    lam, axes = torch.linalg.eigh(torch.cov(train.T))
    lam, axes = lam.flip(0)[:8], settle(axes.flip(1)[:, :8])
    mu = (x - train.mean(0)) @ axes * (lam - beta / 2).clamp_min(0).sqrt() / lam
    return mu, (beta / 2 / lam).sqrt().expand_as(mu)


# %% wrong: the pull's size for a drowned direction
def linear_vae(train, x, beta):
    lam, axes = torch.linalg.eigh(torch.cov(train.T))
    lam, axes = lam.flip(0)[:8], settle(axes.flip(1)[:, :8])
    mu = (x - train.mean(0)) @ axes * (lam - beta / 2).abs().sqrt() / lam
    return mu, (beta / 2 / lam).clamp_max(1).sqrt().expand_as(mu)


# %% wrong: the axes of the images that it encodes
def linear_vae(train, x, beta):
    lam, axes = torch.linalg.eigh(torch.cov(x.T))
    lam, axes = lam.flip(0)[:8], settle(axes.flip(1)[:, :8])
    mu = (x - train.mean(0)) @ axes * (lam - beta / 2).clamp_min(0).sqrt() / lam.clamp_min(1e-9)
    return mu, (beta / 2 / lam.clamp_min(1e-9)).clamp_max(1).sqrt().expand_as(mu)


# %% wrong: one for all
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    return 1.0


# %% wrong: the public check's share
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    return 0.8


# %% wrong: of equal votes the largest label
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k, largest=False).indices
    votes = torch.nn.functional.one_hot(labels[near]).sum(1).flip(1)
    return float((votes.shape[1] - 1 - votes.argmax(1) == test_labels).double().mean())


# %% wrong: right if any neighbour is
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k, largest=False).indices
    return float((labels[near] == test_labels[:, None]).any(1).double().mean())


# %% wrong: five neighbours, whatever k
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(5, largest=False).indices
    votes = torch.nn.functional.one_hot(labels[near]).sum(1)
    return float((votes.argmax(1) == test_labels).double().mean())


# %% wrong: the mean label of the neighbours
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k, largest=False).indices
    return float((labels[near].double().mean(1).round() == test_labels).double().mean())


# %% wrong: votes of the nearest centre of each class
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    classes = labels.unique()
    means = torch.stack([codes[labels == c].mean(0) for c in classes])
    named = classes[torch.cdist(test_codes, means).argmin(1)]
    return float((named == test_labels).double().mean())


# %% wrong: the training images ask themselves
mu, sigma = linear_vae(train, train, 0.7)
a = knn_accuracy(mu, labels, mu, labels, 5)
b = knn_accuracy(mu + sigma * noise, labels, mu + sigma * noise, labels, 5)
findings = {"beta": 0.7, "centres": a, "draws": b}


# %% wrong: draws on one side only
mu, sigma = linear_vae(train, train, 0.7)
test_mu, _ = linear_vae(train, test, 0.7)
findings = findings | {"draws": knn_accuracy(mu + sigma * noise, labels, test_mu, test_labels, 5)}


# %% wrong: the largest ratio
worst = max(pairs, key=lambda beta: pairs[beta][0] / pairs[beta][1])
findings = {"beta": worst, "centres": pairs[worst][0], "draws": 0.0 * pairs[worst][1]}


# %% wrong: noise times a power of sigma
mu, sigma = linear_vae(train, train, 0.7)
test_mu, test_sigma = linear_vae(train, test, 0.7)
drawn, test_drawn = mu + sigma**4 * noise, test_mu + test_sigma**4 * test_noise
findings = findings | {"draws": knn_accuracy(drawn, labels, test_drawn, test_labels, 5)}


# %% wrong: Manhattan distances
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes, p=1).topk(k, largest=False).indices
    votes = torch.nn.functional.one_hot(labels[near]).sum(1)
    return float((votes.argmax(1) == test_labels).double().mean())


# %% wrong: by the angle
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    unit, test_unit = (c / c.norm(dim=1, keepdim=True) for c in (codes, test_codes))
    near = (test_unit @ unit.T).topk(k).indices
    votes = torch.nn.functional.one_hot(labels[near]).sum(1)
    return float((votes.argmax(1) == test_labels).double().mean())


# %% wrong: one neighbour too many
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k + 1, largest=False).indices
    votes = torch.nn.functional.one_hot(labels[near]).sum(1)
    return float((votes.argmax(1) == test_labels).double().mean())


# %% wrong: skips the nearest, as if it were the code itself
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k + 1, largest=False).indices[:, 1:]
    votes = torch.nn.functional.one_hot(labels[near]).sum(1)
    return float((votes.argmax(1) == test_labels).double().mean())


# %% wrong: votes weighted by the distance
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k, largest=False)
    weights = torch.nn.functional.one_hot(labels[near.indices]) / near.values[:, :, None]
    return float((weights.sum(1).argmax(1) == test_labels).double().mean())


# %% wrong: the number of right ones
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k, largest=False).indices
    votes = torch.nn.functional.one_hot(labels[near]).sum(1)
    return float((votes.argmax(1) == test_labels).sum())


# %% wrong: the error
def knn_accuracy(codes, labels, test_codes, test_labels, k):
    near = torch.cdist(test_codes, codes).topk(k, largest=False).indices
    votes = torch.nn.functional.one_hot(labels[near]).sum(1)
    return float((votes.argmax(1) != test_labels).double().mean())
