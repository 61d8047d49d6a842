# %% right: NumPy
import numpy as np


def factor(z):
    z = np.asarray(z, dtype=float)
    left = np.array([1 / np.delete(z, np.s_[g::10], axis=0).std() for g in range(10)])
    return 1 / z.std(), np.sqrt(9 / 10 * np.sum((left - left.mean()) ** 2))


# %% right: from sums, unbiased deviations
def factor(z):
    rows = z.double().flatten(1)
    total, square, m = rows.sum(1), rows.square().sum(1), rows.shape[1]

    def one(keep):
        n = m * int(keep.sum())
        mean = total[keep].sum() / n
        return float((square[keep].sum() / n - mean**2).rsqrt())

    number = torch.arange(len(z))
    left = [one(number % 10 != g) for g in range(10)]
    mean = sum(left) / 10
    return one(number >= 0), math.sqrt(0.9 * sum((f - mean) ** 2 for f in left))


# %% right: a list of tensors
def factor(z):
    parts = [torch.cat([z[h::10] for h in range(10) if h != g]) for g in range(10)]
    left = torch.stack([1 / p.std(unbiased=False) for p in parts])
    return [1 / z.std(unbiased=False), 3 * left.std(unbiased=False)]


# %% right: ternary search
def gain(decode, mu, x):
    low, high = 0.02, 50.0
    while high / low > 1.001:
        a, b = low ** (2 / 3) * high ** (1 / 3), low ** (1 / 3) * high ** (2 / 3)
        if (decode(a * mu) - x).norm() < (decode(b * mu) - x).norm():
            high = b
        else:
            low = a
    return low


# %% right: a grid of a thousand and its best
def gain(decode, mu, x):
    grid = torch.logspace(math.log10(0.02), math.log10(50), 1601, dtype=torch.float64)
    errors = torch.stack([(x - decode(a * mu)).square().mean() for a in grid])
    return grid[errors.argmin()]


# %% right: SciPy
import scipy.optimize


def gain(decode, mu, x):
    found = scipy.optimize.minimize_scalar(
        lambda t: float((x - decode(math.exp(t) * mu)).square().sum()),
        bounds=(math.log(0.02), math.log(50)),
        method="bounded",
        options={"xatol": 1e-5},
    )
    return math.exp(found.x)


# %% right: a fine grid around the best of a coarse one
def gain(decode, mu, x):
    def best(low, high):
        grid = [low * (high / low) ** (i / 40) for i in range(41)]
        return min(grid, key=lambda a: float(torch.dist(x, decode(a * mu))))

    a = best(0.02, 50)
    for width in (1.3, 1.02):
        a = best(a / width, a * width)
    return a


# %% right: tries both sides and keeps the one of size one
def rescaled(encode, decode, images):
    mu, sigma = encode(images)
    a = gain(decode, mu, images)

    def first(x):
        m, s = encode(x)
        return m * a, s * a

    def size(pair):
        m, s = pair
        return math.sqrt(float(m.var(correction=0) + s.square().mean()))

    pairs = [(first, decode), (encode, lambda z: decode(z * a))]
    return min(pairs, key=lambda pair: abs(math.log(size(pair[0](images)))))


# %% right: by many draws
def rescaled(encode, decode, images):
    mu, sigma = encode(images)
    a = float(gain(decode, mu, images))
    dice = torch.Generator().manual_seed(0)
    noise = torch.randn((200, *mu.shape), generator=dice, dtype=mu.dtype)
    deviation = float((mu + sigma * noise).std())
    if max(a * deviation, 1 / (a * deviation)) < max(deviation, 1 / deviation):
        return (lambda x: [a * part for part in encode(x)]), decode
    return encode, (lambda z: decode(a * z))


# %% wrong: shares with nine for ten
def factor(z):
    part = torch.arange(len(z)) % 10
    left = torch.stack([1 / z[part != g].std(correction=0) for g in range(10)])
    return (1 / z.std()).item(), (left.var(correction=0).sqrt()).item()


# %% wrong: the factor of each tenth by itself
def factor(z, right=factor):
    alone = torch.stack([1 / z[g::10].std(correction=0) for g in range(10)])
    return right(z)[0], (alone.std() / 10**0.5 * 1.2).item()


# %% wrong: the mean of the ten
def factor(z, right=factor):
    left = torch.stack([1 / z[g::10].std(correction=0) for g in range(10)])
    return left.mean().item() * 1.05, right(z)[1]


# %% wrong: the median of magnitudes
def factor(z, right=factor):
    return (0.6745 / (z - z.mean()).abs().median()).item(), right(z)[1]


# %% wrong: the mean of every image off
def factor(z, right=factor):
    return right(z - z.flatten(1).mean(1).reshape(-1, *[1] * (z.ndim - 1)))


# %% wrong: whole numbers only
def gain(decode, mu, x):
    return min(range(1, 51), key=lambda a: (x - decode(a * mu)).square().sum().item())


# %% wrong: stops at a tenth
def gain(decode, mu, x):
    grid = [0.02 * 1.2**i for i in range(43)]
    return min(grid, key=lambda a: (x - decode(a * mu)).square().sum().item())


# %% wrong: one gradient step
def gain(decode, mu, x):
    a = torch.ones((), dtype=mu.dtype, requires_grad=True)
    (x - decode(a * mu)).square().sum().backward()
    return (a - 0.1 * a.grad).item()


# %% wrong: the ratio of two spreads
def gain(decode, mu, x):
    return (x.std() / decode(mu).std()).item()


# %% wrong: the encoder where a is below one
def rescaled(encode, decode, images):
    a = gain(decode, encode(images)[0], images)
    if a < 1:
        return (lambda x: tuple(a * part for part in encode(x))), decode
    return encode, (lambda z: decode(a * z))


# %% wrong: makes every code's deviation one
def rescaled(encode, decode, images):
    mu, sigma = encode(images)
    f = 1 / (mu.var(correction=0) + sigma.square().mean()).sqrt()
    return (lambda x: tuple(f * part for part in encode(x))), (lambda z: decode(z / f))


# %% wrong: half of it on each side
def rescaled(encode, decode, images):
    a = math.sqrt(gain(decode, encode(images)[0], images))
    return (lambda x: tuple(a * part for part in encode(x))), (lambda z: decode(a * z))


# %% wrong: the radii alone
def rescaled(encode, decode, images, right=rescaled):
    first, second = right(encode, decode, images)
    return (lambda x: (encode(x)[0], first(x)[1])), second
