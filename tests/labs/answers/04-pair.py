# %% right: arrays
import numpy as np


def overlap(mu1, sigma1, mu2, sigma2):
    mu1, sigma1, mu2, sigma2 = (np.asarray(t, dtype=np.float64) for t in (mu1, sigma1, mu2, sigma2))
    v = sigma1**2 + sigma2**2
    return np.exp((np.log(2 * sigma1 * sigma2 / v) / 2 - (mu1 - mu2) ** 2 / (4 * v)).sum(axis=1))


# %% right: the Bhattacharyya distance of the textbook
def overlap(mu1, sigma1, mu2, sigma2):
    mean = (sigma1**2 + sigma2**2) / 2
    distance = ((mu1 - mu2) ** 2 / mean).sum(-1) / 8
    distance = distance + 0.5 * (mean.log() - sigma1.log() - sigma2.log()).sum(-1)
    return torch.exp(-distance)


# %% right: the ratio at the top of the geometric mean
def overlap(mu1, sigma1, mu2, sigma2):
    from torch.distributions import Normal

    p1, p2 = sigma1.double() ** -2, sigma2.double() ** -2
    top = (p1 * mu1 + p2 * mu2) / (p1 + p2)
    q1, q2 = Normal(mu1.double(), sigma1.double()), Normal(mu2.double(), sigma2.double())
    width = ((p1 + p2) / 2).rsqrt()
    log = (q1.log_prob(top) + q2.log_prob(top)) / 2 - Normal(top, width).log_prob(top)
    return log.sum(1).exp()


# %% right: row by row, a list
def overlap(mu1, sigma1, mu2, sigma2):
    result = []
    for rows in zip(mu1.tolist(), sigma1.tolist(), mu2.tolist(), sigma2.tolist()):
        log = 0.0
        for m, s, n, t in zip(*rows):
            log += math.log(2 * s * t / (s * s + t * t)) / 2 - (m - n) ** 2 / 4 / (s * s + t * t)
        result.append(math.exp(log))
    return result


# %% right: log1p of the squared difference of the widths
def overlap(m1, s1, m2, s2):
    v = s1**2 + s2**2
    return ((torch.log1p(-((s1 - s2) ** 2) / v) - (m1 - m2) ** 2 / (2 * v)) / 2).sum(dim=1).exp()


# %% right: the library
from vae_course import gaussian


def overlap(mu1, sigma1, mu2, sigma2):
    return gaussian.bhattacharyya(mu1.double(), sigma1.double(), mu2.double(), sigma2.double())


# %% right: each direction integrated
from scipy import integrate, stats


def overlap(mu1, sigma1, mu2, sigma2):
    def log_one(m, s, n, t):
        p, q = stats.norm(m, s), stats.norm(n, t)
        middle = (m / s**2 + n / t**2) / (1 / s**2 + 1 / t**2)
        f = lambda z: math.sqrt(p.pdf(z) * q.pdf(z))
        wide = 8 * max(s, t)
        return math.log(integrate.quad(f, middle - wide, middle + wide, points=[middle])[0])

    # 500 directions would take a minute: those have the closed form.
    if mu1.shape[1] > 10:
        v = sigma1**2 + sigma2**2
        return ((2 * sigma1 * sigma2 / v).log() / 2 - (mu1 - mu2) ** 2 / 4 / v).sum(1).exp()
    rows = zip(*(t.tolist() for t in (mu1, sigma1, mu2, sigma2)))
    return torch.tensor([math.exp(sum(log_one(*v) for v in zip(*row))) for row in rows])


# %% right: a NumPy scalar by one's own overlap
def touching_overlap(d):
    mu, one = torch.zeros(1, d, dtype=torch.float64), torch.ones(1, d, dtype=torch.float64)
    mu[0, 0] = 2 * math.sqrt(d)
    return overlap(0 * mu, one, mu, one).numpy()[0]


# %% right: a 0-d tensor
touching_overlap = lambda d: torch.exp(torch.tensor(-d, dtype=torch.float64) / 2)


# %% right: a power
def touching_overlap(d):
    return (1 / math.e) ** (d * 0.5)


# %% wrong: a product of densities that underflows
def overlap(mu1, sigma1, mu2, sigma2):
    v = sigma1**2 + sigma2**2
    width = (2 * sigma1 * sigma2).prod(1).sqrt() / v.prod(1).sqrt()
    return width * (-((mu1 - mu2) ** 2) / (4 * v)).sum(1).exp()


# %% wrong: the variances' geometric mean
def overlap(mu1, sigma1, mu2, sigma2):
    v = 2 * sigma1 * sigma2
    return (-((mu1 - mu2) ** 2) / (4 * v)).sum(1).exp()


# %% wrong: the square of the sum of the radii
def overlap(mu1, sigma1, mu2, sigma2):
    v = (sigma1 + sigma2) ** 2 / 2
    return (0.5 * (2 * sigma1 * sigma2 / v).log() - (mu1 - mu2) ** 2 / (4 * v)).sum(1).exp()


# %% wrong: one width for all directions
def overlap(mu1, sigma1, mu2, sigma2):
    a, c = sigma1.mean(1, keepdim=True), sigma2.mean(1, keepdim=True)
    v = (a**2 + c**2).expand_as(mu1)
    return (0.5 * (2 * a * c / v).log() - (mu1 - mu2) ** 2 / (4 * v)).sum(1).exp()


# %% wrong: the width without its root
def overlap(mu1, sigma1, mu2, sigma2):
    v = sigma1**2 + sigma2**2
    return ((2 * sigma1 * sigma2 / v).log() - (mu1 - mu2) ** 2 / (4 * v)).sum(1).exp()


# %% wrong: squared
def overlap(mu1, sigma1, mu2, sigma2):
    v = sigma1**2 + sigma2**2
    return ((2 * sigma1 * sigma2 / v).log() - (mu1 - mu2) ** 2 / (2 * v)).sum(1).exp()


# %% wrong: the logarithm's clamp
def overlap(mu1, sigma1, mu2, sigma2):
    v = sigma1**2 + sigma2**2
    log = 0.5 * (2 * sigma1 * sigma2 / v).log() - (mu1 - mu2) ** 2 / (4 * v)
    return log.sum(1).clamp_min(-30).exp()


# %% wrong: an epsilon in the variance
def overlap(mu1, sigma1, mu2, sigma2):
    v = sigma1**2 + sigma2**2 + 1e-2
    return (0.5 * (2 * sigma1 * sigma2 / v).log() - (mu1 - mu2) ** 2 / (4 * v)).sum(1).exp()


# %% wrong: the area under the smaller density
def overlap(mu1, sigma1, mu2, sigma2):
    distance = ((mu1 - mu2) / (sigma1 + sigma2)).norm(dim=1)
    return torch.erfc(distance / math.sqrt(2))


# %% wrong: touching at one radius each, with a root
def touching_overlap(d):
    return math.exp(-math.sqrt(d) / 2)


# %% wrong: touching in eight dimensions
def touching_overlap(d):
    return math.exp(-4)


# %% wrong: no less than a hundred millionth
def touching_overlap(d):
    return max(1e-8, math.exp(-d / 2))


# %% wrong: two radii of the squared distance
def touching_overlap(d):
    return math.exp(-d / 4)
