# %% right: autograd
def kl_forces(mu, log_sigma):
    m, s = mu.clone().requires_grad_(), log_sigma.clone().requires_grad_()
    kl = 0.5 * (m**2 + torch.exp(2 * s) - 1 - 2 * s)
    (-kl.sum()).backward()
    return m.grad, s.grad


# %% right: arrays in a list
import numpy as np


def kl_forces(mu, log_sigma):
    mu, log_sigma = np.asarray(mu), np.asarray(log_sigma)
    return [np.negative(mu), -np.expm1(2 * log_sigma)]


# %% right: a stacked tensor
def kl_forces(mean, log_std):
    sigma = torch.exp(log_std)
    return torch.stack([0 - mean, (1 - sigma) * (1 + sigma)])


# %% right: torch.distributions and a gradient of its own
def kl_forces(mu, log_sigma):
    from torch.distributions import Normal, kl_divergence

    def bill(m, s):
        return kl_divergence(Normal(m, s.exp()), Normal(0.0, 1.0)).sum()

    by_mu, by_log_sigma = torch.func.grad(bill, argnums=(0, 1))(mu, log_sigma)
    return -by_mu, -by_log_sigma


# %% right: nested lists
def kl_forces(mu, log_sigma):
    def each(f, rows):
        return [each(f, row) for row in rows] if isinstance(rows, list) else f(rows)

    return each(lambda m: -m, mu.tolist()), each(lambda s: 1 - math.exp(2 * s), log_sigma.tolist())


# %% right: Bayes' rule
def rest(s, w, beta):
    precision = 1 + 2 * w * w / beta
    return [2 * w * s / beta / precision, precision**-0.5]


# %% right: NumPy scalars
import numpy as np


def rest(s, w, beta):
    a = np.array([w, np.sqrt(beta / 2)])
    return np.array([s * w, np.sqrt(beta / 2) * np.linalg.norm(a)]) / (a @ a)


# %% right: 0-d tensors
def rest(s, w, beta):
    s, w, beta = (torch.tensor(v, dtype=torch.float64) for v in (s, w, beta))
    return 2 * s * w / (2 * w**2 + beta), (beta / (2 * w**2 + beta)).sqrt()


# %% right: roots of the forces
from scipy import optimize


def rest(s, w, beta):
    mu = optimize.brentq(lambda m: 2 * w * (s - w * m) - beta * m, -1e3, 1e3, xtol=1e-12)
    log = optimize.brentq(
        lambda t: -2 * w * w * math.exp(2 * t) + beta * (1 - math.exp(2 * t)), -30, 5, xtol=1e-12
    )
    return mu, math.exp(log)


# %% right: fractions
from fractions import Fraction


def rest(s, w, beta):
    s, w, beta = map(Fraction, (s, w, beta))
    stiffness = w * w + beta / 2
    return s * w / stiffness, (beta / 2 / stiffness) ** 0.5


# %% right: descent to the minimum
def rest(s, w, beta):
    m, t = 0.0, 0.0
    for _ in range(20_000):
        m += 0.05 * (2 * w * (s - w * m) - beta * m)
        t += 0.05 * (beta - (2 * w * w + beta) * math.exp(2 * t))
    return m, math.exp(t)


# %% wrong: the reciprocal of sigma
def kl_forces(mu, log_sigma):
    return -mu, (-2 * log_sigma).exp() - 1


# %% wrong: one sign turned
def kl_forces(mu, log_sigma):
    return -mu, (2 * log_sigma).exp() - 1


# %% wrong: twice the force
def kl_forces(mu, log_sigma):
    return -2 * mu, 2 - 2 * (2 * log_sigma).exp()


# %% wrong: by the log variance
def kl_forces(mu, log_sigma):
    return -mu, 0.5 * (1 - log_sigma.exp())


# %% wrong: linear around rest
def kl_forces(mu, log_sigma):
    return -mu, -2 * log_sigma


# %% wrong: clipped forces
def kl_forces(mu, log_sigma):
    return (-mu).clamp(-3, 3), (1 - (2 * log_sigma).exp()).clamp(-3, 3)


# %% wrong: the pair exchanged
def kl_forces(mu, log_sigma):
    return 1 - (2 * log_sigma).exp(), -mu


# %% wrong: forces of the whole loss on a unit decoder
def kl_forces(mu, log_sigma):
    return -2 * mu, 1 - 3 * (2 * log_sigma).exp()


# %% wrong: the size of w
def rest(s, w, beta):
    stiffness = w * w + beta / 2
    return s * abs(w) / stiffness, math.sqrt(beta / 2 / stiffness)


# %% wrong: the reconstruction for the centre
def rest(s, w, beta):
    stiffness = w * w + beta / 2
    return s * w * w / stiffness, math.sqrt(beta / 2 / stiffness)


# %% wrong: the radius that the decoder paints
def rest(s, w, beta):
    stiffness = w * w + beta / 2
    return s * w / stiffness, abs(w) * math.sqrt(beta / 2 / stiffness)


# %% wrong: the radius without the prior's pull
def rest(s, w, beta):
    stiffness = w * w + beta / 2
    return s * w / stiffness, min(1.0, math.sqrt(beta / 2) / abs(w))


# %% wrong: the public check's answer
def rest(s, w, beta):
    return 2.0, 0.70711


# %% wrong: in the other order
def rest(s, w, beta):
    stiffness = w * w + beta / 2
    return math.sqrt(beta / 2 / stiffness), s * w / stiffness
