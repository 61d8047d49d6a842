# %% right: the cosine first
def ring_angle(rate, d):
    return math.degrees(math.acos(math.sqrt(-math.expm1(-2 * rate / (d - 1)))))


# %% right: NumPy's, a scalar of NumPy
import numpy as np


def ring_angle(rate, d):
    return np.rad2deg(np.arccos(np.sqrt(1 - np.exp(-2 * rate / (d - 1)))))


# %% right: torch, in float32
def ring_angle(rate, d):
    return torch.rad2deg(torch.asin(torch.exp(torch.tensor(-rate / (d - 1)))))


# %% right: a search for the latitude
import scipy.optimize


def ring_angle(rate, d):
    missing = lambda m: -(d - 1) / 2 * math.log(1 - m * m) - rate
    return math.acos(scipy.optimize.brentq(missing, 0, 1 - 1e-12)) * 180 / math.pi


# %% right: spherical Pythagoras
def apart(rate, d):
    return math.degrees(math.acos(math.cos(math.radians(ring_angle(rate, d))) ** 2))


# %% right: two vectors and their angle, by NumPy
import numpy as np


def apart(rate, d):
    m = math.sqrt(1 - math.exp(-2 * rate / (d - 1)))
    w = math.sqrt(1 - m * m)
    return np.degrees(np.arccos(np.array([m, w, 0]) @ np.array([m, 0, w])))


# %% right: by half the chord
def apart(rate, d):
    chord = math.sqrt(2) * math.exp(-rate / (d - 1))
    return 2 * math.degrees(math.asin(chord / 2))


# %% right: pairs, all but a draw with itself
def rate_from_draws(y):
    gram = y @ y.T
    n = len(y)
    squared = ((gram.sum() - gram.diagonal().sum()) / (n * (n - 1))).clamp(min=0)
    return -(y.size(1) - 1) / 2 * torch.log1p(-squared)


# %% right: NumPy's upper triangle
import numpy as np


def rate_from_draws(y):
    y = y.numpy()
    products = (y @ y.T)[np.triu_indices(len(y), k=1)]
    return -(y.shape[1] - 1) / 2 * np.log(1 - np.maximum(products.mean(), 0))


# %% right: the mean's square less a share of the variance
def rate_from_draws(y):
    n, d = y.shape
    squared = y.mean(0).square().sum() - y.var(0).sum() / n
    return 0 if squared <= 0 else -(d - 1) / 2 * math.log(1 - float(squared))


# %% right: in float32
def rate_from_draws(y):
    n, d = y.shape
    length = y.float().sum(0).norm() ** 2
    m_squared = torch.relu((length - n) / (n * n - n))
    return ((1 - d) / 2 * (1 - m_squared).log()).item()


# %% right: a chord's mean over pairs
def rate_from_draws(y):
    squares = torch.pdist(y.double()).square()
    return max(0.0, -(y.shape[1] - 1) / 2 * math.log(squares.mean().item() / 2))


# %% wrong: the rate for an exponent
def ring_angle(rate, d):
    return math.degrees(math.asin(math.exp(-rate)))


# %% wrong: d - 2
def ring_angle(rate, d):
    return math.degrees(math.asin(math.exp(-rate / (d - 2))))


# %% wrong: in bits
def ring_angle(rate, d):
    return math.degrees(math.asin(2 ** (-rate / (d - 1))))


# %% wrong: the tangent
def ring_angle(rate, d):
    return math.degrees(math.atan(math.exp(-rate / (d - 1))))


# %% wrong: right for 32 dimensions
def ring_angle(rate, d):
    return math.degrees(math.asin(math.exp(-rate / 31)))


# %% wrong: at most sixty degrees
def ring_angle(rate, d):
    return min(60.0, math.degrees(math.asin(math.exp(-rate / (d - 1)))))


# %% wrong: perpendicular, as in all high dimensions
def apart(rate, d):
    return 90.0


# %% wrong: the sine of the ring squared
def apart(rate, d):
    return math.degrees(math.acos(math.exp(-2 * rate / (d - 1))))


# %% wrong: the cosine, not its square
def apart(rate, d):
    return math.degrees(math.acos(math.sqrt(-math.expm1(-2 * rate / (d - 1)))))


# %% wrong: the chord in degrees
def apart(rate, d):
    return math.degrees(math.sqrt(2) * math.exp(-rate / (d - 1)))


# %% wrong: pairs with themselves
def rate_from_draws(y):
    squared = (y @ y.T).mean().item()
    return -(y.shape[1] - 1) / 2 * math.log1p(-squared)


# %% wrong: n for n - 1
def rate_from_draws(y):
    n, d = y.shape
    squared = (n * y.mean(0).square().sum().item() - 1) / n
    return -(d - 1) / 2 * math.log1p(-max(0.0, squared))


# %% wrong: the first two draws
def rate_from_draws(y):
    return -(y.shape[1] - 1) / 2 * math.log1p(-max(0.0, (y[0] @ y[1]).item()))


# %% wrong: the absolute value of what is negative
def rate_from_draws(y):
    n, d = y.shape
    squared = abs(n * y.mean(0).square().sum().item() - 1) / (n - 1)
    return -(d - 1) / 2 * math.log1p(-squared)


# %% wrong: a half of d
def rate_from_draws(y):
    n, d = y.shape
    squared = (n * y.mean(0).square().sum().item() - 1) / (n - 1)
    return -d / 2 * math.log1p(-max(0.0, squared))


# %% wrong: the whole of d - 1
def rate_from_draws(y):
    n, d = y.shape
    squared = (n * y.mean(0).square().sum().item() - 1) / (n - 1)
    return -(d - 1) * math.log1p(-max(0.0, squared))


# %% wrong: at least a nat
def rate_from_draws(y, right=rate_from_draws):
    return max(right(y), 1e-2) if len(y) > 3 else right(y)


# %% wrong: the cosine to the mean's direction
def rate_from_draws(y):
    d = y.shape[1]
    m = (y @ torch.nn.functional.normalize(y.mean(0), dim=0)).mean().item()
    return -(d - 1) / 2 * math.log1p(-(m**2))
