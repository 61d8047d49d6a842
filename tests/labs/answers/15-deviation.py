# %% right: NumPy's polynomial
import numpy as np


def slope(sigma, lengths):
    s, a = np.asarray(sigma, dtype=float), np.asarray(lengths, dtype=float)
    kept = (s > 0) & (s**2 < 0.5)
    if kept.sum() < 3:
        return np.nan
    return np.polyfit(np.log(a[kept]), np.log(s[kept] ** -2 - 1), 1)[0]


# %% right: SciPy's regression
import scipy.stats


def slope(sigma, lengths):
    pairs = [
        (math.log(a), math.log(1 / s**2 - 1))
        for s, a in zip(sigma.tolist(), lengths.tolist())
        if 0 < s < math.sqrt(0.5)
    ]
    return scipy.stats.linregress(*zip(*pairs)).slope if len(pairs) >= 3 else float("nan")


# %% right: covariance over variance
def slope(sigma, lengths):
    keep = torch.logical_and(sigma > 0, sigma**2 < 0.5)
    if int(keep.sum()) <= 2:
        return torch.tensor(float("nan"))
    pair = torch.stack([lengths[keep].log(), torch.log(sigma[keep] ** -2 - 1)])
    covariance = torch.cov(pair)
    return covariance[0, 1] / covariance[0, 0]


# %% right: least squares with a column of ones
def slope(sigma, lengths):
    keep = (sigma > 0) * (sigma.square() < 0.5)
    if keep.sum() < 3:
        return math.nan
    x = lengths[keep].double().log()
    y = (1 - sigma[keep].double().square()).log() - 2 * sigma[keep].double().log()
    design = torch.stack([x, torch.ones_like(x)], 1)
    return torch.linalg.lstsq(design, y[:, None]).solution[0].item()


# %% right: a loop over five tries, the ruler in logarithms
def in_sigma(encode, decode, images):
    mu, s = encode(images)
    base = decode(mu[:1])
    squares = []
    for j in range(mu.shape[1]):
        push = torch.zeros_like(mu[:1])
        push[0, j] = 1
        squares.append((decode(mu[:1] + push) - base).pow(2).sum())
    best, least = None, math.inf
    for undo in conventions.values():
        off = abs(slope(undo(s[0]), torch.stack(squares)) - 1)
        if off < least:  # never true of NaN
            best, least = undo, off
    return lambda x: (encode(x)[0], best(encode(x)[1]))


# %% right: Jacobians by autograd
def in_sigma(encode, decode, images):
    mu, s = encode(images[:1])
    jacobian = torch.func.jacrev(lambda z: decode(z[None]).flatten())(mu[0])
    lengths = jacobian.square().sum(0)
    off = {
        name: abs(torch.tensor(slope(undo(s[0]), lengths)).nan_to_num(9.0) - 1).item()
        for name, undo in conventions.items()
    }
    name = min(off, key=off.get)
    return lambda x: (lambda mu, s: (mu, conventions[name](s)))(*encode(x))


# %% right: powers of one logarithm
def in_sigma(encode, decode, images):
    mu, s = encode(images[:1])
    d = mu.shape[1]
    lengths = (decode(torch.eye(d, dtype=mu.dtype)) - decode(torch.zeros_like(mu))).flatten(1)
    lengths = lengths.square().sum(1)
    logarithm = bool((s < 0).any())
    log_s = s[0] if logarithm else s[0].log()
    powers = [p for p in (1, 2, -2) if not (logarithm and p == -2)]
    score = {}
    for p in powers:
        found = slope((log_s / p).exp(), lengths)
        score[p] = 99.0 if math.isnan(found) else abs(found - 1)
    power = min(powers, key=score.__getitem__)

    def encoder(x):
        mu, s = encode(x)
        return mu, ((s if logarithm else s.log()) / power).exp()

    return encoder


# %% right: asks for one price instead of a slope
def in_sigma(encode, decode, images):
    mu, s = encode(images[:1])
    zero = torch.zeros_like(mu)
    lengths = torch.cat(
        [
            (decode(zero + row) - decode(zero)).square().sum().reshape(1)
            for row in torch.eye(mu.shape[1], dtype=mu.dtype)
        ]
    )

    def unequal(undo):
        sigma = undo(s[0])
        if not ((sigma > 0) & (sigma < 1)).all():
            return math.inf
        price = lengths / (1 / sigma.square() - 1)
        return (price.std() / price.mean()).item()

    undo = min(conventions.values(), key=unequal)

    class Adapter:
        def __call__(self, x):
            mu, s = encode(x)
            return mu, undo(s)

    return Adapter()


# %% wrong: weighs latents by their length
def slope(sigma, lengths):
    awake = (sigma > 0) & (sigma.square() < 0.5)
    if awake.sum() < 3:
        return math.nan
    x, y, w = lengths[awake].log(), (1 / sigma[awake].square() - 1).log(), lengths[awake]
    x, y = x - (w * x).sum() / w.sum(), y - (w * y).sum() / w.sum()
    return ((w * x * y).sum() / (w * x * x).sum()).item()


# %% wrong: two latents make a line
def slope(sigma, lengths):
    awake = (sigma > 0) & (sigma.square() < 0.5)
    x, y = lengths[awake].log(), (1 / sigma[awake].square() - 1).log()
    x = x - x.mean()
    return (x @ y / (x @ x)).item()


# %% wrong: zero for too few
def slope(sigma, lengths, right=slope):
    found = right(sigma, lengths)
    return 0.0 if math.isnan(found) else found


# %% wrong: from end to end
def slope(sigma, lengths):
    awake = (sigma > 0) & (sigma.square() < 0.5)
    if awake.sum() < 3:
        return math.nan
    x, y = lengths[awake].log(), (1 / sigma[awake].square() - 1).log()
    low, high = x.argmin(), x.argmax()
    return ((y[high] - y[low]) / (x[high] - x[low])).item()


# %% wrong: the square of the lengths
def slope(sigma, lengths, right=slope):
    return right(sigma, lengths.square())


# %% wrong: awake up to one
def slope(sigma, lengths):
    awake = (sigma > 0) & (sigma < 1)
    x, y = lengths[awake].log(), (1 / sigma[awake].square() - 1).log()
    x = x - x.mean()
    return (x @ y / (x @ x)).item() if awake.sum() > 2 else math.nan


# %% wrong: the steepest ruler
def in_sigma(encode, decode, images):
    mu, s = encode(images[:1])
    eye = torch.eye(mu.shape[1], dtype=mu.dtype)
    lengths = (decode(mu + eye) - decode(mu)).flatten(1).square().sum(1)
    slopes = {n: slope(undo(s[0]), lengths) for n, undo in conventions.items()}
    slopes = {n: v for n, v in slopes.items() if not math.isnan(v)}
    undo = conventions[max(slopes, key=slopes.get)]
    return lambda x: (encode(x)[0], undo(encode(x)[1]))


# %% wrong: lengths that are not squared
def in_sigma(encode, decode, images):
    mu, s = encode(images[:1])
    eye = torch.eye(mu.shape[1], dtype=mu.dtype)
    lengths = (decode(mu + eye) - decode(mu)).flatten(1).norm(dim=1)
    slopes = {n: slope(undo(s[0]), lengths) for n, undo in conventions.items()}
    slopes = {n: abs(v - 1) for n, v in slopes.items() if not math.isnan(v)}
    undo = conventions[min(slopes, key=slopes.get)]
    return lambda x: (encode(x)[0], undo(encode(x)[1]))


# %% wrong: the median radius decides
def in_sigma(encode, decode, images):
    s = encode(images[:1])[1]
    medians = {n: undo(s).median() for n, undo in conventions.items()}
    fitting = {n: abs(m - 0.3) for n, m in medians.items() if 0 < m < 1}
    undo = conventions[min(fitting, key=fitting.get)]
    return lambda x: (encode(x)[0], undo(encode(x)[1]))


# %% wrong: sigma of the given images for all
def in_sigma(encode, decode, images, right=in_sigma):
    sigma = right(encode, decode, images)(images)[1]
    return lambda x: (encode(x)[0] * 0, sigma)
