# %% right: by scipy.stats.chi
from scipy import stats


def mean_radius(d, sigma):
    return stats.chi.mean(d) * sigma


def share_inside(radius, d, sigma):
    return stats.chi.cdf(radius / sigma, d)


# %% right: chi-squared and a loop for the core
from scipy import stats


def share_inside(radius, d, sigma):
    return stats.chi2(df=d).cdf((radius / sigma) ** 2)


empty_core = 1
while share_inside(math.sqrt(empty_core) / 2, empty_core, 1) >= 1e-6:
    empty_core += 1


# %% right: 0-d tensors
def mean_radius(d, sigma):
    d = torch.tensor(d, dtype=torch.float64)
    return sigma * math.sqrt(2) * (torch.lgamma((d + 1) / 2) - torch.lgamma(d / 2)).exp()


def share_inside(radius, d, sigma):
    s = torch.tensor(radius / sigma, dtype=torch.float64) ** 2
    return torch.special.gammainc(torch.tensor(d, dtype=torch.float64) / 2, s / 2)


empty_core = torch.tensor(37)


# %% right: a product of ratios by recursion
def mean_radius(d, sigma):
    # Gamma((d + 1)/2) / Gamma(d/2) climbs from d = 1 or 2 in steps of two.
    start = 1 if d % 2 else 2
    log = math.log(1 / math.sqrt(math.pi)) if d % 2 else math.log(math.sqrt(math.pi) / 2)
    for n in range(start, d, 2):
        log += math.log1p(1 / n)
    return sigma * math.sqrt(2) * math.exp(log)


# %% right: the density integrated
from scipy import integrate


def share_inside(radius, d, sigma):
    top = (radius / sigma) ** 2

    def density(s):
        return math.exp(
            (d / 2 - 1) * math.log(s) - s / 2 - d / 2 * math.log(2) - math.lgamma(d / 2)
        )

    if d == 1:  # the density has a pole at 0
        return math.erf(math.sqrt(top / 2))
    return integrate.quad(density, 0, top, epsabs=0, epsrel=1e-10)[0]


# %% right: the series of the incomplete gamma function
def share_inside(radius, d, sigma):
    a, x = d / 2, (radius / sigma) ** 2 / 2
    term = total = math.exp(a * math.log(x) - x - math.lgamma(a + 1))
    n = 0
    while term > 1e-18 * total:
        n += 1
        term *= x / (a + n)
        total += term
    return total


# %% right: NumPy scalars
import numpy as np
from scipy import special


def mean_radius(d, sigma):
    return (
        np.float64(sigma)
        * np.sqrt(2.0)
        * np.exp(special.gammaln(d / 2 + 0.5) - special.gammaln(d / 2))
    )


def share_inside(radius, d, sigma):
    return special.gammainc(d / 2, radius**2 / (2 * sigma**2))


empty_core = np.int64(37)


# %% right: the mean radius by the beta function
from scipy import special


def mean_radius(d, sigma):
    return sigma * math.sqrt(2 * math.pi) * math.exp(-special.betaln(d / 2, 0.5))


# %% right: one less the upper share, and the core a float
from scipy import special

share_inside = lambda radius, d, sigma: float(
    1 - special.gammaincc(d / 2, (radius / sigma) ** 2 / 2)
)
empty_core = 37.0


# %% right: an array for the search of the core
import numpy as np
from scipy import stats

dims = np.arange(1, 200)
empty_core = dims[stats.chi2.cdf(dims / 4, dims) < 1e-6].min()


# %% wrong: the mean radius of a large d for all
def mean_radius(d, sigma):
    return sigma * math.sqrt(d - 0.5)


# %% wrong: two terms of the expansion
def mean_radius(d, sigma):
    return sigma * math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (32 * d * d))


# %% wrong: lgamma in float32
def mean_radius(d, sigma):
    d = torch.tensor(float(d))
    return (sigma * math.sqrt(2) * (torch.lgamma((d + 1) / 2) - torch.lgamma(d / 2)).exp()).item()


# %% wrong: falls back to the root for large d
def mean_radius(d, sigma):
    if d > 30:
        return sigma * math.sqrt(d)
    return sigma * math.sqrt(2) * math.gamma((d + 1) / 2) / math.gamma(d / 2)


# %% wrong: a simulation
def mean_radius(d, sigma):
    if d > 1000:
        return sigma * math.sqrt(d)
    g = torch.Generator().manual_seed(0)
    return sigma * torch.randn(100_000, d, generator=g).norm(dim=1).mean().item()


# %% wrong: the share in float32, one less the upper one
def share_inside(radius, d, sigma):
    a, x = torch.tensor(d / 2), torch.tensor((radius / sigma) ** 2 / 2)
    return 1 - torch.special.gammaincc(a, x).item()


# %% wrong: the normal approximation
def share_inside(radius, d, sigma):
    s = (radius / sigma) ** 2
    return 0.5 * (1 + math.erf((s - d) / math.sqrt(2 * d) / math.sqrt(2)))


# %% wrong: the mass outside
def share_inside(radius, d, sigma):
    x = torch.tensor((radius / sigma) ** 2 / 2, dtype=torch.float64)
    return torch.special.gammaincc(torch.tensor(d / 2, dtype=torch.float64), x).item()


# %% wrong: the radius against sigma sqrt(d)
def share_inside(radius, d, sigma):
    x = torch.tensor((radius / (sigma * d**0.5)) ** 2 * 4, dtype=torch.float64)
    return torch.special.gammainc(torch.tensor(d / 2, dtype=torch.float64), x).item()


# %% wrong: sigma for a variance
def share_inside(radius, d, sigma):
    x = torch.tensor(radius**2 / sigma / 2, dtype=torch.float64)
    return torch.special.gammainc(torch.tensor(d / 2, dtype=torch.float64), x).item()


# %% wrong: the last core that is not yet empty
empty_core = 36


# %% wrong: one draw in a hundred thousand
empty_core = next(d for d in range(1, 999) if share_inside(0.5 * d**0.5, d, 1.0) < 1e-5)


# %% wrong: half of the mean radius as the squared one
empty_core = next(d for d in range(1, 999) if share_inside((0.5 * d) ** 0.5, d, 1.0) < 1e-6)
