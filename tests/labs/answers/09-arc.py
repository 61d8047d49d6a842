# %% right: in NumPy and double precision, an array
import numpy as np


def slerp(a, b, t):
    a, b, t = (np.asarray(x, dtype=float) for x in (a, b, t))
    theta = 2 * np.arctan2(np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1))
    w = b - (a * b).sum(1, keepdims=True) * a
    for i, row in enumerate(w):
        if np.linalg.norm(row) < 1e-6:
            w[i] = np.linalg.svd(a[i][None])[2][-1]
    w = w / np.linalg.norm(w, axis=1, keepdims=True)
    angle = t[:, None, None] * theta[:, None]
    return np.cos(angle) * a + np.sin(angle) * w


# %% right: an arc cosine of double precision, after normalising again
import torch


def slerp(a, b, t):
    a, b = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (a, b))
    cosine = (a * b).sum(1, keepdim=True).clamp(-1, 1)
    theta = cosine.acos()
    w = b - cosine * a
    flat = w.norm(dim=1, keepdim=True) < 1e-7
    other = torch.zeros_like(a)
    other[:, 0], other[:, 1] = -a[:, 1], a[:, 0]
    third = torch.zeros_like(a)
    third[:, 0], third[:, 2] = -a[:, 2], a[:, 0]
    other = torch.where(other.norm(dim=1, keepdim=True) > 0.1, other, third)
    fallback = torch.zeros_like(a)
    fallback[:, 1], fallback[:, 2] = -a[:, 2], a[:, 1]
    other = torch.where(other.norm(dim=1, keepdim=True) > 0.1, other, fallback)
    if a.shape[1] > 3:
        k = a.abs().argmin(1)
        axis = torch.eye(a.shape[1]).double()[k]
        other = axis - (axis * a).sum(1, keepdim=True) * a
    w = torch.where(flat, other, w)
    w = w / w.norm(dim=1, keepdim=True)
    t = t.double()[:, None, None]
    return ((t * theta).cos() * a + (t * theta).sin() * w).float()


# %% right: loops, a list of lists of lists
import math


def slerp(a, b, t):
    def one(p, q, s):
        theta = 2 * math.atan2(math.dist(p, q), math.hypot(*(x + y for x, y in zip(p, q))))
        dot = sum(x * y for x, y in zip(p, q))
        w = [y - dot * x for x, y in zip(p, q)]
        if math.hypot(*w) < 1e-6:
            k = min(range(len(p)), key=lambda i: abs(p[i]))
            w = [float(i == k) - p[k] * x for i, x in enumerate(p)]
        size = math.hypot(*w)
        return [math.cos(s * theta) * x + math.sin(s * theta) * y / size for x, y in zip(p, w)]

    pairs = list(zip(a.tolist(), b.tolist()))
    return [[one(p, q, s) for p, q in pairs] for s in t.tolist()]


# %% right: sines over the sine, straight where points are close, half circles apart
import torch


def slerp(a, b, t):
    gap = (a - b).norm(dim=1)
    theta = 2 * torch.asin((gap / 2).clamp(max=1))
    t = t[:, None, None]
    straight = torch.nn.functional.normalize(a + t * (b - a), dim=2)
    sine = theta.sin()[:, None]
    theta = theta[:, None]
    bent = (((1 - t) * theta).sin() * a + (t * theta).sin() * b) / sine
    out = torch.where((gap < 1e-2)[:, None], straight, bent)
    for i in range(len(a)):
        if (a[i] + b[i]).norm() < 1e-3:
            spare = torch.linalg.svd(a[i][None]).Vh[1]
            for j, s in enumerate(t.flatten()):
                out[j, i] = (s * torch.pi).cos() * a[i] + (s * torch.pi).sin() * spare
    return out


# %% right: a chord whose pace is corrected
import torch


def slerp(a, b, t):
    theta = 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))[:, None]
    t = t[:, None, None]
    to_a, to_b = ((1 - t) * theta).sin(), (t * theta).sin()
    share = torch.where(theta > 1e-3, to_b / (to_a + to_b), t)
    out = a + share * (b - a)
    out = out / out.norm(dim=2, keepdim=True)
    for i in (theta[:, 0] > 3.141).nonzero()[:, 0].tolist():
        w = torch.randn(a.shape[1], generator=torch.Generator().manual_seed(0))
        w = w - (w @ a[i]) * a[i]
        w = w / w.norm()
        angle = t[:, 0] * torch.pi
        out[:, i] = angle.cos() * a[i] + angle.sin() * w
    return out


# %% right: the exponential of a rotation's generator
import torch


def slerp(a, b, t):
    out = torch.empty(len(t), *a.shape)
    for i, (p, q) in enumerate(zip(a.double(), b.double())):
        w = q - (p @ q) * p
        if w.norm() < 1e-6:
            w = torch.linalg.svd(p[None]).Vh[-1]
        w = w / w.norm()
        theta = 2 * torch.atan2((p - q).norm(), (p + q).norm())
        turn = theta * (torch.outer(w, p) - torch.outer(p, w))
        for j, s in enumerate(t.double()):
            out[j, i] = torch.matrix_exp(s * turn) @ p
    return out


# %% right: a class that is called, keywords of other names
class Way:
    def __init__(self, right):
        self.right = right

    def __call__(self, start, end, fractions):
        return self.right(start, end, fractions).double()


slerp = Way(slerp)

# %% right: the time from a tangent
import math


def chord_time(theta, fraction):
    slope = math.tan(fraction * theta)
    return slope / (math.sin(theta) + slope * (1 - math.cos(theta)))


# %% right: the time by a search, NumPy's float
import numpy as np
from scipy.optimize import brentq


def chord_time(angle, share):
    def off(t):
        return np.arctan2(t * np.sin(angle), 1 - t + t * np.cos(angle)) - share * angle

    return np.float64(brentq(off, 0, 1, xtol=1e-12))


# %% right: the time as a tensor without dimensions
import torch


def chord_time(theta, fraction):
    theta = torch.tensor(theta, dtype=torch.float64)
    to_b, to_a = torch.sin(fraction * theta), torch.sin((1 - fraction) * theta)
    return to_b / (to_a + to_b)


# %% right: the time from two equations
import numpy as np


def chord_time(theta, fraction):
    # (1 - t) a + t b is a multiple m of p; the unknowns are t and m.
    p = np.array([np.cos(fraction * theta), np.sin(fraction * theta)])
    b = np.array([np.cos(theta), np.sin(theta)])
    a = np.array([1.0, 0.0])
    return np.linalg.solve(np.stack([b - a, -p], 1), -a)[0]


# %% wrong: points 0.001 apart are one
def slerp(a, b, t, right=slerp):
    close = (a - b).norm(dim=1, keepdim=True) < 1e-3
    return right(a, b, t).where(~close, a)


# %% wrong: a clamp that keeps off one
import torch


def slerp(a, b, t):
    theta = (a * b).sum(1).clamp(-1 + 1e-6, 1 - 1e-6).acos()[:, None]
    t = t[:, None, None]
    return (((1 - t) * theta).sin() * a + (t * theta).sin() * b) / theta.sin()


# %% wrong: stays at a where there is no direction
import torch


def slerp(a, b, t):
    theta = 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))[:, None]
    w = b - (a * b).sum(1, keepdim=True) * a
    w = w / w.norm(dim=1, keepdim=True).clamp(min=1e-6)
    turn = t[:, None, None] * theta
    p = turn.cos() * a + turn.sin() * w
    return p / p.norm(dim=2, keepdim=True).clamp(min=1e-6)


# %% wrong: the same spare axis for every antipode
import torch


def slerp(a, b, t):
    theta = 2 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))[:, None]
    w = b - (a * b).sum(1, keepdim=True) * a
    axis = torch.zeros_like(a)
    axis[:, 2] = 1
    axis = axis - (axis * a).sum(1, keepdim=True) * a
    w = torch.where(w.norm(dim=1, keepdim=True) > 1e-6, w, axis)
    turn = t[:, None, None] * theta
    return turn.cos() * a + turn.sin() * torch.nn.functional.normalize(w, dim=1)


# %% wrong: another half circle at every fraction
import torch


def slerp(a, b, t, right=slerp):
    out = right(a, b, t)
    for i in ((a + b).norm(dim=1) < 1e-4).nonzero()[:, 0].tolist():
        for j, s in enumerate(t.tolist()):
            w = torch.randn(a.shape[1], generator=torch.Generator().manual_seed(j))
            w = torch.nn.functional.normalize(w - (w @ a[i]) * a[i], dim=0)
            s = torch.tensor(s * torch.pi)
            out[j, i] = s.cos() * a[i] + s.sin() * w
    return out


# %% wrong: eases in and out
def slerp(a, b, t, right=slerp):
    return right(a, b, 3 * t**2 - 2 * t**3)


# %% wrong: the first pair's angle for all
def slerp(a, b, t):
    theta = 2 * torch.atan2((a[0] - b[0]).norm(), (a[0] + b[0]).norm())
    w = b - (a * b).sum(1, keepdim=True) * a
    w = w / w.norm(dim=1, keepdim=True)
    turn = t[:, None, None] * theta
    return turn.cos() * a + turn.sin() * w


# %% wrong: half precision
def slerp(a, b, t, right=slerp):
    return right(a, b, t).half().float()


# %% wrong: the time of the public check
def chord_time(theta, fraction):
    return 0.324612


# %% wrong: the time to three digits
def chord_time(theta, fraction, right=chord_time):
    return round(right(theta, fraction), 3)


# %% wrong: the time of the chord's height
import math


def chord_time(theta, fraction):
    return (1 - math.cos(fraction * theta)) / (1 - math.cos(theta))


# %% wrong: corrects with the tangent of half the angle
import math


def chord_time(theta, fraction):
    return 0.5 + math.tan((fraction - 0.5) * theta) / (2 * math.tan(theta / 2) + 1e-3)


# %% wrong: a series for small angles
def chord_time(theta, fraction):
    f = fraction
    return f + theta**2 * f * (1 - f) * (1 - 2 * f) / 6
