# %% right: rapidities add up
def push(u, r):
    return torch.tanh(torch.atanh(u.clamp(-1, 1)) + r)


def pull(t, r):
    return push(t, -r)


# %% right: hyperbolic functions, arrays
import numpy as np


def push(u, r):
    u = np.asarray(u)
    return (u * np.cosh(r) + np.sinh(r)) / (np.cosh(r) + u * np.sinh(r))


def pull(t, r):
    t = np.asarray(t)
    return (t * np.cosh(r) - np.sinh(r)) / (np.cosh(r) - t * np.sinh(r))


# %% right: lists of floats
def push(u, r):
    shift = math.tanh(r)
    return [(x + shift) / (1 + x * shift) for x in u.tolist()]


def pull(t, r):
    return push(t, -r)


# %% right: push in float32
def push(u, r):
    shift = torch.tensor(r).tanh()
    return (u.float() + shift) / (1 + u.float() * shift)


# %% right: the shrinking at the place before the move
def log_ratio(t, r, d):
    u = pull(t, r)
    return (d - 1) * (math.cosh(r) + u * math.sinh(r)).log()


# %% right: exponentials of both ends
def log_ratio(t, r, d):
    return (1 - d) * torch.logaddexp(r + torch.log1p(-t), torch.log1p(t) - r).sub(math.log(2))


# %% right: NumPy's logarithm, an array
import numpy as np


def log_ratio(t, r, d):
    return -(d - 1) * np.log(np.cosh(r) - np.asarray(t) * np.sinh(r))


# %% right: the change of variables on the line of cosines
def log_ratio(t, r, d):
    t = t.detach().clone().requires_grad_()
    u = pull(t, r)
    (slope,) = torch.autograd.grad(u.sum(), t)
    return ((d - 3) / 2 * torch.log((1 - u**2) / (1 - t**2)) + slope.log()).detach()


# %% right: a rate by expm1
def rate_3(r):
    if r < 0.02:
        return 2 * r**2 / 3 - 2 * r**4 / 45 + 4 * r**6 / 945
    return 2 * (r - 1) + (4 * r / math.expm1(2 * r) if r < 300 else 0)


# %% right: a rate with fifty digits
import mpmath


def rate_3(r):
    with mpmath.workdps(50):
        return float(2 * (r * mpmath.coth(mpmath.mpf(r)) - 1))


# %% right: a rate by quadrature over the heights
import numpy as np


def rate_3(r):
    if r > 30:
        return 2 * (r - 1)
    edges = -1 + np.geomspace(1e-14, 2, 60)
    edges[0] = -1
    x, w = np.polynomial.legendre.leggauss(20)
    half = np.diff(edges)[:, None] / 2
    u, w = edges[:-1, None] + half * (1 + x), w * half
    if r < 0.1:
        y = 2 * math.sinh(r / 2) ** 2 + u * math.sinh(r)
        even = np.log1p(y) - u * math.sinh(r) if r > 1e-4 else y - y**2 / 2 - u * math.sinh(r)
        return np.float64((w * even).sum())
    return np.float64((w * np.log(math.cosh(r) + u * math.sinh(r))).sum())


# %% right: a rate of torch, a tensor without dimensions
def rate_3(r):
    r = torch.tensor(r, dtype=torch.float64)
    series = 2 * r**2 / 3 * (1 - r**2 / 15 + 2 * r**4 / 315 - r**6 / 1575)
    return torch.where(r < 0.05, series, 2 * (r / r.tanh() - 1))


# %% right: inside by one's own pull in float32
def inside(degrees, r):
    t = torch.tensor([math.cos(math.radians(degrees))])
    return ((1 - pull(t, r)) / 2).item()


# %% right: inside with half angles
def inside(degrees, r):
    half = math.radians(degrees) / 2
    near, far = math.sin(half) ** 2, math.cos(half) ** 2
    return near / (near + far * math.exp(-2 * r))


# %% right: inside as an integral
import scipy.integrate


def inside(degrees, r):
    density = lambda t: (math.cosh(r) - t * math.sinh(r)) ** -2 / 2
    return scipy.integrate.quad(density, math.cos(math.radians(degrees)), 1)[0]


# %% right: inside by NumPy
import numpy as np


def inside(degrees, r):
    edge = np.cos(np.deg2rad(degrees))
    return (1 - np.tanh(np.arctanh(edge) - r)) / 2


# %% wrong: a stretch that is clamped
def push(u, r):
    return (u + math.tanh(r)).clamp(-1, 1)


# %% wrong: the radius itself
def push(u, r):
    return (u + min(r, 0.999)) / (1 + u * min(r, 0.999))


# %% wrong: nothing moves
def push(u, r):
    return u


def pull(t, r):
    return t


# %% wrong: only the numerator turned
def pull(t, r):
    return (t - math.tanh(r)) / (1 + t * math.tanh(r))


# %% wrong: the radius of the check
def pull(t, r):
    return (t - math.tanh(0.8)) / (1 - t * math.tanh(0.8))


# %% wrong: one direction
def log_ratio(t, r, d):
    return -torch.log(math.cosh(r) - t * math.sinh(r))


# %% wrong: d - 2 directions
def log_ratio(t, r, d):
    return -(d - 2) * torch.log(math.cosh(r) - t * math.sinh(r))


# %% wrong: a density of the cosine, with the latitude's length
def log_ratio(t, r, d, right=log_ratio):
    return right(t, r, d) + (d - 3) / 2 * torch.log(1 - t**2)


# %% wrong: clamped below a tenth
def log_ratio(t, r, d):
    return -(d - 1) * torch.log((math.cosh(r) - t * math.sinh(r)).clamp(min=1.0))


# %% wrong: a density, not its logarithm
def log_ratio(t, r, d):
    return (math.cosh(r) - t * math.sinh(r)) ** (1 - d)


# %% wrong: a leading term up to a tenth
def rate_3(r):
    return 2 * r**2 / 3 if r < 0.1 else 2 * (r / math.tanh(r) - 1)


# %% wrong: digits cancel up to where the series begins
def rate_3(r):
    return 2 * r**2 / 3 if r < 1e-7 else 2 * (r / math.tanh(r) - 1)


# %% wrong: far out two too many
def rate_3(r):
    return 2 * (r**2 / 3 - r**4 / 45) if r < 1e-3 else 2 * r / math.tanh(min(r, 10.0))


# %% wrong: at most a hundred
def rate_3(r, right=rate_3):
    return right(min(r, 100.0))


# %% wrong: in float32
def rate_3(r):
    r = torch.tensor(r)
    return torch.where(r < 1e-3, 2 * r**2 / 3, 2 * (r / r.tanh() - 1)).item()


# %% wrong: the density at the edge
def inside(degrees, r):
    return 1 / (2 * (math.cosh(r) - math.cos(math.radians(degrees)) * math.sinh(r)) ** 2)


# %% wrong: an angle in radians
def inside(degrees, r):
    t = math.cos(degrees)
    return (1 - (t - math.tanh(r)) / (1 - t * math.tanh(r))) / 2


# %% wrong: on the circle
def inside(degrees, r):
    near = math.atan(math.tan(math.radians(degrees) / 2) * math.exp(r))
    return 2 * near / math.pi


# %% wrong: half the cap
def inside(degrees, r):
    t = math.cos(math.radians(degrees) / 2)
    return (1 - (t - math.tanh(r)) / (1 - t * math.tanh(r))) / 2


# %% wrong: a cap of the whole height
def inside(degrees, r):
    t = math.cos(math.radians(degrees))
    return 1 - (t - math.tanh(r)) / (1 - t * math.tanh(r))


# %% wrong: by rho, half of the way
def inside(degrees, r):
    t, shift = math.cos(math.radians(degrees)), math.tanh(r / 2)
    return (1 - (t - shift) / (1 - t * shift)) / 2
