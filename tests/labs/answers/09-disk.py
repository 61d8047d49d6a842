# %% right: in double precision, arrays
import numpy as np


def distance(mu1, r1, mu2, r2):
    mu1, r1, mu2, r2 = (np.asarray(x, dtype=float) for x in (mu1, r1, mu2, r2))
    half = np.sum((mu1 - mu2) ** 2, axis=1) / 4
    squared = np.sinh((r1 - r2) / 2) ** 2 + np.sinh(r1) * np.sinh(r2) * half
    return 2 * np.arcsinh(np.sqrt(squared))


def kl(mu1, r1, mu2, r2):
    far = distance(mu1, r1, mu2, r2)
    with np.errstate(all="ignore"):
        exact = far / np.tanh(far) - 1
    return 2 * np.where(far < 1e-2, far**2 / 3 - far**4 / 45, exact)


# %% right: row by row, lists
import math


def distance(mu1, r1, mu2, r2):
    rows = zip(mu1.tolist(), r1.tolist(), mu2.tolist(), r2.tolist())
    found = []
    for a, s, b, t in rows:
        squared = math.sinh((s - t) / 2) ** 2
        squared += math.sinh(s) * math.sinh(t) * math.dist(a, b) ** 2 / 4
        found.append(2 * math.asinh(squared**0.5))
    return found


def kl(mu1, r1, mu2, r2):
    def one(far):
        if far < 0.05:
            return 2 * far**2 / 3 - 2 * far**4 / 45
        return 2 * (far / math.tanh(far) - 1)

    return [one(far) for far in distance(mu1, r1, mu2, r2)]


# %% right: the angle from an arc tangent
import torch


def distance(mu1, r1, mu2, r2):
    theta = 2 * torch.atan2((mu1 - mu2).norm(dim=1), (mu1 + mu2).norm(dim=1))
    squared = torch.sinh((r1 - r2) / 2) ** 2
    squared = squared + torch.sinh(r1) * torch.sinh(r2) * torch.sin(theta / 2) ** 2
    root = squared.sqrt()
    return 2 * torch.log(root + (1 + squared).sqrt())


# %% right: in the half space, by an arc hyperbolic tangent
import torch


def distance(mu1, r1, mu2, r2):
    mu1, r1, mu2, r2 = (x.double() for x in (mu1, r1, mu2, r2))
    s = torch.sinh((r1 - r2) / 2) ** 2
    s = s + torch.sinh(r1) * torch.sinh(r2) * (mu1 - mu2).pow(2).sum(1) / 4
    return 2 * torch.atanh((s / (1 + s)).sqrt())


# %% right: rows of angles, a shape of its own on the way
import torch


def distance(mu1, r1, mu2, r2):
    sine = torch.linalg.vector_norm(mu1 - mu2, dim=-1) / 2
    return 2 * torch.asinh(
        torch.hypot(torch.sinh((r1 - r2) / 2), (r1.sinh() * r2.sinh()).sqrt() * sine)
    )


# %% right: a KL without a cancellation
import torch


def kl(mu1, r1, mu2, r2):
    # D coth D - 1 = D (coth D - 1 / D), the Langevin function by its continued fraction.
    far = distance(mu1, r1, mu2, r2).double()
    fraction = torch.zeros_like(far)
    for k in range(201, 1, -2):
        fraction = far**2 / (k + fraction)
    return 2 * fraction


# %% right: a KL by quadrature
import numpy as np
import torch


def kl(mu1, r1, mu2, r2):
    far = distance(mu1, r1, mu2, r2).double()
    x, w = np.polynomial.legendre.leggauss(400)
    u = torch.as_tensor((x + 1) / 2)
    # The derivative of D coth D is coth D - D / sinh^2 D, which is smooth.
    s = far[:, None] * u
    slope = torch.where(s > 1e-3, 1 / s.tanh() - s / s.sinh() ** 2, 2 * s / 3)
    return (2 * far * (slope @ torch.as_tensor(w / 2))).float()


# %% right: expm1 in place of tanh
import torch


def kl(mu1, r1, mu2, r2):
    far = distance(mu1, r1, mu2, r2).double()
    # D coth D - 1 = D - 1 + 2 D / (exp(2 D) - 1)
    found = far - 1 + 2 * far / torch.expm1(2 * far)
    return 2 * torch.where(far < 1e-3, far**2 / 3, found)


# %% right: the angle by a search over angles
import math

from scipy.optimize import brentq


def resolution(r, nats):
    def excess(theta):
        s = math.sinh(r) * math.sin(theta / 2)
        far = 2 * math.asinh(s)
        small = 2 * far**2 / 3
        return (2 * (far / math.tanh(far) - 1) if far > 1e-4 else small) - nats

    return math.pi if excess(math.pi) <= 0 else brentq(excess, 1e-12, math.pi, xtol=1e-14)


# %% right: Newton's steps and NumPy's float
import numpy as np


def resolution(r, nats):
    x = 1.0 + nats / 2
    for _ in range(200):
        value = 2 * (x / np.tanh(x) - 1) - nats
        slope = 2 * (1 / np.tanh(x) - x / np.sinh(x) ** 2)
        x = x - value / slope
    sine = np.sinh(x / 2) / np.sinh(r)
    return np.pi if sine >= 1 else np.float64(2 * np.arcsin(sine))


# %% right: a tensor without dimensions, from the student's own KL
import math

import torch


def resolution(r, nats):
    low, high = 0.0, math.pi
    for _ in range(60):
        middle = (low + high) / 2
        mu = torch.tensor([[1.0, 0.0, 0.0]])
        nu = torch.tensor([[math.cos(middle), math.sin(middle), 0.0]])
        radius = torch.tensor([float(r)])
        if kl(mu, radius, nu, radius).item() < nats:
            low = middle
        else:
            high = middle
    return torch.tensor(high)


# %% wrong: half the cosine's complement in single precision
import torch


def distance(mu1, r1, mu2, r2):
    sine = (1 - (mu1 * mu2).sum(1)).clamp(min=0) / 2
    squared = torch.sinh((r1 - r2) / 2) ** 2 + r1.sinh() * r2.sinh() * sine
    return 2 * torch.asinh(squared.sqrt())


# %% wrong: one radius for both
import torch


def distance(mu1, r1, mu2, r2):
    r = (r1 + r2) / 2
    squared = torch.sinh((r1 - r2) / 2) ** 2 + r.sinh() ** 2 * (mu1 - mu2).square().sum(1) / 4
    return 2 * torch.asinh(squared.sqrt())


# %% wrong: does not halve the radii's difference
import torch


def distance(mu1, r1, mu2, r2):
    squared = torch.sinh(r1 - r2) ** 2 + r1.sinh() * r2.sinh() * (mu1 - mu2).square().sum(1) / 4
    return 2 * torch.asinh(squared.sqrt())


# %% wrong: forgets the root
import torch


def distance(mu1, r1, mu2, r2):
    squared = torch.sinh((r1 - r2) / 2) ** 2
    return 2 * torch.asinh(squared + r1.sinh() * r2.sinh() * (mu1 - mu2).square().sum(1) / 4)


# %% wrong: keeps codes an epsilon apart
def distance(mu1, r1, mu2, r2, right=distance):
    return right(mu1, r1, mu2, r2).clamp(min=0.01)


# %% wrong: caps the radius at ten
def distance(mu1, r1, mu2, r2, right=distance):
    return right(mu1, r1.clamp(max=10), mu2, r2.clamp(max=10))


# %% wrong: a KL that is not symmetric
def kl(mu1, r1, mu2, r2, right=kl):
    return right(mu1, r1, mu2, r2) + (r1 - r2) * 1e-2


# %% wrong: a KL that vanishes below a thousandth
def kl(mu1, r1, mu2, r2, right=kl):
    found = right(mu1, r1, mu2, r2)
    return found * (found > 1e-3)


# %% wrong: a series far beyond its range
def kl(mu1, r1, mu2, r2):
    far = distance(mu1, r1, mu2, r2)
    return 2 * (far**2 / 3 - far**4 / 45 + 2 * far**6 / 945)


# %% wrong: the hyperbolic tangent for its inverse
import torch


def kl(mu1, r1, mu2, r2):
    far = distance(mu1, r1, mu2, r2)
    return 2 * (1 - far * far.tanh()).abs()


# %% wrong: an angle in degrees
import math


def resolution(r, nats, right=resolution):
    return math.degrees(right(r, nats))


# %% wrong: an angle from small distances only
import math


def resolution(r, nats):
    far = math.sqrt(1.5 * nats)
    return 2 * math.asin(min(1.0, math.sinh(far / 2) / math.sinh(r)))


# %% wrong: bisects angles above a thousandth
def resolution(r, nats, right=resolution):
    return max(right(r, nats), 1e-3)


# %% wrong: no more than a right angle
import math


def resolution(r, nats, right=resolution):
    return min(right(r, nats), math.pi / 2)


# %% wrong: a bound of ten for the distance
import math


def resolution(r, nats):
    low, high = 0.0, 10.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if 2 * (middle / math.tanh(middle) - 1) < nats else (low, middle)
    return 2 * math.asin(min(1.0, math.sinh(low / 2) / math.sinh(r)))


# %% wrong: an angle from a grid of 4096
def resolution(r, nats, right=resolution):
    return round(right(r, nats) / 3.14159265 * 4096) / 4096 * 3.14159265


# %% wrong: measures a nat along the radius
import math


def resolution(r, nats):
    low, high = 0.0, nats / 2 + 1
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if 2 * (middle / math.tanh(middle) - 1) < nats else (low, middle)
    return min(math.pi, low / math.sinh(r))
