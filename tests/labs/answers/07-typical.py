# %% right: torch's normal law, a list
def code(y, cdf, pdf, beta):
    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0)
    y = y.to(torch.float64)
    mu = torch.special.ndtri(cdf(y))
    slope = normal.log_prob(mu).exp() / pdf(y)
    return [mu, torch.sqrt(1 / (1 + 2 / beta * slope.square()))]


# %% right: SciPy's normal law, arrays
import numpy as np
import scipy.stats


def code(y, cdf, pdf, beta):
    y = y.double()
    mu = scipy.stats.norm.ppf(cdf(y).numpy())
    slope = scipy.stats.norm.pdf(mu) / pdf(y).numpy()
    return mu, np.sqrt(beta / 2 / (slope**2 + beta / 2))


# %% right: the slope by autograd through the inverse
def code(y, cdf, pdf, beta):
    y = y.detach().double().requires_grad_()
    mu = torch.special.ndtri(cdf(y))
    (inverse,) = torch.autograd.grad(mu.sum(), y)
    return mu.detach(), (beta / (beta + 2 / inverse**2)).sqrt()


# %% right: the other tail where it is shorter, one tensor of two rows
def code(y, cdf, pdf, beta):
    y = y.double()
    below = cdf(y)
    mu = torch.where(below < 0.5, torch.special.ndtri(below), -torch.special.ndtri(1 - below))
    log_slope = -(mu**2) / 2 - math.log(2 * math.pi) / 2 - pdf(y).log()
    return torch.stack([mu, torch.rsqrt(1 + (2 * log_slope).exp() / (beta / 2))])


# %% right: the standard library's normal law, lists of floats
import statistics


def code(y, cdf, pdf, beta):
    normal = statistics.NormalDist()
    mu = [normal.inv_cdf(share) for share in cdf(y.double()).tolist()]
    slopes = [normal.pdf(z) / p for z, p in zip(mu, pdf(y.double()).tolist())]
    return mu, [(beta / 2 / (slope**2 + beta / 2)) ** 0.5 for slope in slopes]


# %% right: ranks by comparison, in whole numbers
def spearman(a, b):
    ra, rb = ((x[:, None] > x).sum(1) for x in (a, b))
    n = len(a)
    return 1 - 6 * int(((ra - rb) ** 2).sum()) / (n**3 - n)


# %% right: SciPy's
import scipy.stats


def spearman(a, b):
    return scipy.stats.spearmanr(a.numpy(), b.numpy()).statistic


# %% right: Pearson's of ranks by NumPy, ranks from one
import numpy as np
import scipy.stats


def spearman(a, b):
    return np.corrcoef(scipy.stats.rankdata(a), scipy.stats.rankdata(b))[0, 1]


# %% right: centred ranks in float32, a tensor
def spearman(a, b):
    ranks = [x.sort().indices.sort().indices.float() for x in (a, b)]
    u, v = (r - r.mean() for r in ranks)
    return torch.nn.functional.cosine_similarity(u, v, dim=0)


# %% right: a list of ranks
def spearman(a, b):
    def ranks(x):
        place = sorted(range(len(x)), key=x.tolist().__getitem__)
        return [place.index(i) for i in range(len(x))]

    return torch.corrcoef(torch.tensor([ranks(a), ranks(b)], dtype=torch.float32))[0][1].item()


# %% right: findings by NumPy, densities and no logarithms
import numpy as np
import scipy.stats

m, s = (v.numpy() for v in code(y, cdf, pdf, 1e-3))
p = np.exp(-(m**2) / 2) / np.sqrt(2 * np.pi)
true = pdf(y).numpy()
findings = {
    "typical": np.argmax(p),
    "rarest": np.argmin(p * s),
    "prior": scipy.stats.spearmanr(p, true).statistic,
    "volume": scipy.stats.spearmanr(p * s, true)[0],
}


# %% right: findings as tensors, by the distance to the origin
findings = {
    "typical": centre.abs().argmin(),
    "rarest": (prior.exp() * radius).argmin(),
    "prior": torch.tensor(spearman(-centre.abs(), pdf(y))),
    "volume": torch.tensor(spearman(prior.exp() * radius, pdf(y).log())),
}


# %% right: findings in float32
centre, radius = (v.float() for v in code(y, cdf, pdf, 0.001))
score = torch.exp(-(centre**2) / 2)
findings = dict(
    typical=int(score.argmax()),
    rarest=int((score * radius).argmin()),
    prior=spearman(-(centre**2), pdf(y)),
    volume=spearman(score * radius, pdf(y)),
)


# %% wrong: no shrinking of the radius
def code(y, cdf, pdf, beta):
    mu = torch.special.ndtri(cdf(y.double()))
    slope = log_normal(mu).exp() / pdf(y.double())
    return mu, math.sqrt(beta / 2) / slope


# %% wrong: the normal density without its root of two pi
def code(y, cdf, pdf, beta):
    mu = torch.special.ndtri(cdf(y.double()))
    slope = (-(mu**2) / 2).exp() / pdf(y.double())
    return mu, (beta / 2 / (slope**2 + beta / 2)).sqrt()


# %% wrong: counted from the right
def code(y, cdf, pdf, beta):
    mu = torch.special.ndtri(1 - cdf(y.double()))
    slope = log_normal(mu).exp() / pdf(y.double())
    return mu, (beta / 2 / (slope**2 + beta / 2)).sqrt()


# %% wrong: the inverse error function as it stands
def code(y, cdf, pdf, beta):
    mu = torch.erfinv(2 * cdf(y.double()) - 1)
    slope = log_normal(mu).exp() / pdf(y.double())
    return mu, (beta / 2 / (slope**2 + beta / 2)).sqrt()


# %% wrong: shares cut off at a hundredth
def code(y, cdf, pdf, beta):
    mu = torch.special.ndtri(cdf(y.double()).clamp(0.01, 0.99))
    slope = log_normal(mu).exp() / pdf(y.double())
    return mu, (beta / 2 / (slope**2 + beta / 2)).sqrt()


# %% wrong: float64 in name only
def code(y, cdf, pdf, beta, right=code):
    mu = torch.special.ndtri(cdf(y.float()))
    slope = log_normal(mu).exp() / pdf(y.float())
    return mu.double(), (beta / 2 / (slope**2 + beta / 2)).sqrt().double()


# %% wrong: ranks by share of the images
def code(y, cdf, pdf, beta):
    share = (y.argsort().argsort().double() + 0.5) / len(y)
    mu = torch.special.ndtri(share)
    slope = log_normal(mu).exp() / pdf(y.double())
    return mu, (beta / 2 / (slope**2 + beta / 2)).sqrt()


# %% wrong: Kendall's pairs
import scipy.stats


def spearman(a, b):
    return float(scipy.stats.kendalltau(a.numpy(), b.numpy()).statistic)


# %% wrong: without its sign
def spearman(a, b, right=spearman):
    return abs(right(a, b))


# %% wrong: the rank of one only
def spearman(a, b):
    return torch.corrcoef(torch.stack([a.argsort().argsort().to(b), b]))[0, 1].item()


# %% wrong: N for N - 1 in the formula for ranks
def spearman(a, b):
    d = a.argsort().argsort() - b.argsort().argsort()
    return 1 - 6 * d.square().sum().item() / len(a) ** 3


# %% wrong: the rarest by the truth of another price
findings = {**findings, "rarest": int(radius.argmax())}


# %% wrong: the volume in the place of the prior
findings = {**findings, "prior": findings["volume"]}


# %% wrong: the prior ranked against the volume
findings = {**findings, "prior": spearman(centre.square().neg(), volume)}


# %% wrong: the sign of the prior lost
findings = {**findings, "prior": abs(findings["prior"])}


# %% wrong: rounded to two digits
findings = {**findings, "prior": round(findings["prior"], 2)}


# %% wrong: the distance to the origin for its density
findings = {**findings, "typical": int(centre.abs().argmax())}


# %% wrong: values for ranks
findings = {**findings, "volume": torch.corrcoef(torch.stack([volume, pdf(y)]))[0, 1].item()}


# %% wrong: counted from one
findings = {**findings, "typical": findings["typical"] + 1, "rarest": findings["rarest"] + 1}
