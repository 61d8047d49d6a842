# %% right: softplus for the cosh, a squared sine near zero
def log_cosh(r):
    far = r + torch.nn.functional.softplus(-2 * r) - math.log(2)
    small = r.clamp(max=0.5)
    near = torch.log1p(small.sinh() ** 2) / 2
    return torch.where(r < 0.5, near, far)


def rate(r, d):
    return (d - 1) * (log_cosh(r) - series(r, d) / 2)


# %% right: in float64 within
def rate(r, d):
    x = r.double()
    k = torch.arange(1, 301, dtype=torch.float64)
    ratio = torch.cumprod((k - 0.5) / (k - 1 + d / 2), 0)
    total = (ratio / k * x.tanh()[:, None] ** (2 * k)).sum(1)
    square = torch.sinh(x.clamp(max=1)).square()
    log_cosh = torch.where(
        x < 1, torch.log1p(square) / 2, x + torch.log1p((-2 * x).exp()) - math.log(2)
    )
    return ((d - 1) * (log_cosh - total / 2)).to(r.dtype)


# %% right: quadrature over latitudes
import numpy as np


def rate(r, d):
    x, w = np.polynomial.legendre.leggauss(400)
    half = torch.from_numpy(math.pi / 4 * (x + 1))
    weight = torch.from_numpy(w) * (2 * half).sin() ** (d - 2)
    weight = weight / weight.sum()
    near, far = half.cos() ** 2, half.sin() ** 2
    r = r.double()[:, None]
    # 1 added and subtracted: the logarithm of 1 + near 0 keeps its digits
    stretch = torch.log1p(far * torch.expm1(-2 * r))
    return (d - 1) * ((r + stretch) @ weight)


# %% right: a series of its own near zero
def rate(r, d):
    small = r.clamp(max=0.05)
    square = small**2
    # log cosh = r^2/2 - r^4/12, tanh^2 = r^2 - 2 r^4/3; the next terms are of order r^6
    near = (square / 2 - square**2 / 12) - (
        (square - 2 * square**2 / 3) / d + 1.5 / (d * (d / 2 + 1)) * square**2 / 2
    ) / 2
    large = r.clamp(min=0.05)
    far = large + torch.log1p((-2 * large).exp()) - math.log(2) - series(large, d) / 2
    return (d - 1) * torch.where(r < 0.05, near, far)


# %% right: a loop over a hundred terms, log-gammas for the factorials
def rate(r, d):
    total, squared = torch.zeros_like(r), r.tanh() ** 2
    for k in range(1, 101):
        log_ratio = math.lgamma(k + 0.5) - math.lgamma(0.5) - math.lgamma(k + d / 2)
        total = total + math.exp(log_ratio + math.lgamma(d / 2)) * squared**k / k
    return (d - 1) * (log_cosh(r) - total / 2)


# %% right: fifty terms
def series(r, d, terms=50):
    k = torch.arange(1.0, terms + 1)
    ratio = ((k - 0.5) / (k - 1 + d / 2)).cumprod(0)
    return torch.tanh(r).pow(2)[:, None].pow(k) @ (ratio / k)


def rate(r, d):
    return (d - 1) * (log_cosh(r) - series(r, d) / 2)


# %% right: logsumexp for the cosh of large radii, the integral of tanh
def log_cosh(r):
    both = torch.stack([r, -r]).logsumexp(0) - math.log(2)
    near = -torch.log1p(-(torch.tanh(r.clamp(max=2)) ** 2)) / 2
    return torch.where(r < 2, near, both)


def rate(r, d):
    return (d - 1) * (log_cosh(r) - series(r, d) / 2)


# %% right: derivatives by torch.func
def mean_cosine(r, d):
    slope = torch.func.vmap(torch.func.grad(lambda x: rate(x[None], d)[0]))(r.detach())
    return slope / (d - 1)


# %% right: backward, an array
def mean_cosine(r, d):
    leaf = r.detach().clone().requires_grad_(True)
    rate(leaf, d).backward(torch.ones_like(leaf))
    return leaf.grad.numpy() / (d - 1)


# %% right: the derivative of the series by hand, a list
def mean_cosine(r, d):
    made = []
    for x in r.tolist():
        t = math.tanh(x)
        total, ratio = 0.0, 1.0
        for k in range(1, 400):
            ratio *= (k - 0.5) / (k - 1 + d / 2)
            total += ratio * t ** (2 * k - 1)
        made.append(t - total * (1 - t * t))
    return made


# %% right: quadrature of the mean cosine, by SciPy
import numpy as np
import scipy.integrate


def mean_cosine(r, d):
    def one(x):
        def weighed(angle, power):
            u, t = math.cos(angle), math.tanh(x)
            return math.sin(angle) ** (d - 2) * ((u + t) / (1 + u * t)) ** power

        ends = (0, math.pi)
        top = scipy.integrate.quad(weighed, *ends, args=(1,), limit=200, points=[3.1, 1.57])[0]
        return top / scipy.integrate.quad(weighed, *ends, args=(0,), limit=200, points=[1.57])[0]

    return np.array([1.0 if x > 15 else one(x) for x in r.tolist()])


# %% wrong: four terms
def series(r, d):
    k = torch.arange(1, 5)
    ratio = ((k - 0.5) / (k - 1 + d / 2)).cumprod(0)
    return (ratio / k * r.tanh()[:, None] ** (2 * k)).sum(1)


def rate(r, d):
    return (d - 1) * (log_cosh(r) - series(r, d) / 2)


# %% wrong: a radius of at least a hundredth
def rate(r, d, right=rate):
    return right(r.clamp(min=0.01), d)


# %% wrong: a radius of at most a hundred
def rate(r, d, right=rate):
    return right(r.clamp(max=100.0), d)


# %% wrong: no gradient beyond
def rate(r, d, right=rate):
    return right(torch.where(r > 20, r.detach(), r), d)


# %% wrong: half precision
def rate(r, d, right=rate):
    return right(r.half().float(), d).bfloat16().float()


# %% wrong: a root whose gradient at zero is not a number
def rate(r, d, right=rate):
    return right(r.square().sqrt(), d)


# %% wrong: the dimensions of the check
def rate(r, d, right=rate):
    return right(r, 16) * (d - 1) / 15


# %% wrong: large dimensions
def rate(r, d):
    return (d - 1) * (log_cosh(r) - r.tanh() ** 2 / (2 * d))


# %% wrong: the sum over odd powers
def rate(r, d):
    k = torch.arange(1, 101)
    ratio = ((k - 0.5) / (k - 1 + d / 2)).cumprod(0)
    return (d - 1) * (log_cosh(r) - (ratio / k * r.tanh()[:, None] ** (2 * k - 1)).sum(1) / 2)


# %% wrong: the division by k forgotten
def rate(r, d):
    k = torch.arange(1, 101)
    ratio = ((k - 0.5) / (k - 1 + d / 2)).cumprod(0)
    return (d - 1) * (log_cosh(r) - (ratio * r.tanh()[:, None] ** (2 * k)).sum(1) / 2)


# %% wrong: factorials that begin one late
def rate(r, d):
    k = torch.arange(1, 101)
    ratio = ((k - 0.5) / (k + d / 2)).cumprod(0)
    return (d - 1) * (log_cosh(r) - (ratio / k * r.tanh()[:, None] ** (2 * k)).sum(1) / 2)


# %% wrong: in bits
def rate(r, d, right=rate):
    return right(r, d) / math.log(2)


# %% wrong: a difference in float32
def mean_cosine(r, d, h=1e-4):
    return (rate(r + h, d) - rate(r, d)) / h / (d - 1)


# %% wrong: over d
def mean_cosine(r, d):
    r = r.detach().requires_grad_()
    return torch.autograd.grad(rate(r, d).sum(), r)[0] / d


# %% wrong: the mean over the batch
def mean_cosine(r, d):
    r = r.detach().requires_grad_()
    return torch.autograd.grad(rate(r, d).mean(), r)[0] / (d - 1)


# %% wrong: the rate over the radius
def mean_cosine(r, d):
    return torch.where(r > 0, rate(r, d) / r.clamp(min=1e-9) / (d - 1), 0.0)


# %% wrong: two of expm1, whose digits cancel near zero
def log_cosh(r):
    far = r + torch.nn.functional.softplus(-2 * r) - math.log(2)
    small = r.clamp(max=0.5)
    near = torch.log1p((torch.expm1(small) + torch.expm1(-small)) / 2)
    return torch.where(r < 0.5, near, far)


def rate(r, d):
    return (d - 1) * (log_cosh(r) - series(r, d) / 2)
