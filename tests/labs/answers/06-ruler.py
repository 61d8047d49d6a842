# %% right: einsum
def isometricity(jacobian, sigma, beta, metric):
    form = torch.einsum("bmi,mn,bni->bi", jacobian, metric, jacobian)
    return 2 * sigma.square() * form / beta


# %% right: the metric's root, for a semidefinite one
def isometricity(jacobian, sigma, beta, metric):
    values, vectors = torch.linalg.eigh(metric)
    root = vectors * values.clamp(min=0).sqrt()
    step = sigma.unsqueeze(1) * (root.T @ jacobian)
    return (step**2).sum(dim=1) / (beta / 2)


# %% right: image by image, the diagonal of a product
def isometricity(jacobian, sigma, beta, metric):
    rows = []
    for j, s in zip(jacobian, sigma):
        step = j @ torch.diag(s)
        rows.append((step.T @ metric @ step).diagonal() * 2 / beta)
    return torch.stack(rows)


# %% right: NumPy, an array
import numpy as np


def isometricity(jacobian, sigma, beta, metric):
    j, s, g = jacobian.numpy(), sigma.numpy(), metric.numpy()
    return 2 / beta * s**2 * np.sum(j * np.einsum("mn,bnd->bmd", g, j), axis=1)


# %% right: nested lists
def isometricity(jacobian, sigma, beta, metric):
    def one(column, s):
        return float(2 / beta * s**2 * (column @ metric @ column))

    return [[one(*pair) for pair in zip(j.T, s)] for j, s in zip(jacobian, sigma)]


# %% right: in float32, as a bilinear form
def isometricity(jacobian, sigma, beta, metric):
    columns = jacobian.transpose(1, 2).float()
    form = torch.nn.functional.bilinear(columns, columns, metric.float()[None])
    return (2.0 / beta) * sigma.float() ** 2 * form[..., 0]


# %% right: the library's
from vae_course import isometry


def isometricity(jacobian, sigma, beta, metric):
    made = [
        isometry.isometricity(lambda z, j=j: z @ j.T, 0 * s[None], s[None], beta, metric)
        for j, s in zip(jacobian, sigma)
    ]
    return torch.cat(made)


# %% right: the inverse of a length
def best_sigma(jacobian, beta):
    return torch.rsqrt(1 + 2 / beta * torch.linalg.vector_norm(jacobian, dim=1) ** 2)


# %% right: NumPy's norm and hypot
import numpy as np


def best_sigma(jacobian, beta):
    half = np.sqrt(beta / 2)
    return half / np.hypot(np.linalg.norm(jacobian.numpy(), axis=1), half)


# %% right: Newton's steps on the logarithm
def best_sigma(jacobian, beta):
    length = torch.einsum("bmd,bmd->bd", jacobian, jacobian).double()
    log_variance = torch.zeros_like(length)
    for _ in range(100):
        pull = (length + beta / 2) * log_variance.exp()
        log_variance = log_variance - (pull - beta / 2) / pull
    return (log_variance / 2).exp()


# %% right: a search by SciPy for each unit
import scipy.optimize


def best_sigma(jacobian, beta):
    def best(length):
        loss = lambda v: v * length + beta / 2 * (v - math.log(v))
        found = scipy.optimize.minimize_scalar(
            loss, bounds=(1e-9, 1.5), method="bounded", options={"xatol": 1e-10}
        )
        return math.sqrt(found.x)

    return [[best(c) for c in row] for row in jacobian.square().sum(1).tolist()]


# %% wrong: the length in units of beta
def isometricity(jacobian, sigma, beta, metric):
    return 4 / beta * sigma**2 * (jacobian * (metric @ jacobian)).sum(1)


# %% wrong: ignores the metric
def isometricity(jacobian, sigma, beta, metric):
    return 2 / beta * sigma**2 * jacobian.square().sum(1)


# %% wrong: the inverse metric
def isometricity(jacobian, sigma, beta, metric):
    return 2 / beta * sigma**2 * (jacobian * torch.linalg.solve(metric, jacobian)).sum(1)


# %% wrong: averages over the pixels
def isometricity(jacobian, sigma, beta, metric):
    return 2 / beta * sigma**2 * (jacobian * (metric @ jacobian)).mean(1)


# %% wrong: the first image's Jacobian for all
def isometricity(jacobian, sigma, beta, metric):
    jacobian = jacobian[:1]
    return 2 / beta * sigma**2 * (jacobian * (metric @ jacobian)).sum(1)


# %% wrong: one sigma for the whole batch
def isometricity(jacobian, sigma, beta, metric):
    return 2 / beta * sigma[:1] ** 2 * (jacobian * (metric @ jacobian)).sum(1)


# %% wrong: the upper triangle of the metric
def isometricity(jacobian, sigma, beta, metric):
    return 2 / beta * sigma**2 * (jacobian * (metric.triu() @ jacobian)).sum(1)


# %% wrong: beta of the check
def isometricity(jacobian, sigma, beta, metric):
    return 4 * sigma**2 * (jacobian * (metric @ jacobian)).sum(1)


# %% wrong: half precision
def isometricity(jacobian, sigma, beta, metric):
    j, s, g = jacobian.bfloat16(), sigma.bfloat16(), metric.bfloat16()
    return 2 / beta * s**2 * (j * (g @ j)).sum(1)


# %% wrong: the length itself beside a half beta
def best_sigma(jacobian, beta):
    return (beta / 2 / (jacobian.norm(dim=1) + beta / 2)).sqrt()


# %% wrong: balls cut off at one
def best_sigma(jacobian, beta):
    return (beta / 2 / jacobian.square().sum(1)).sqrt().clamp(max=1)


# %% wrong: averages over the pixels before it compares
def best_sigma(jacobian, beta):
    return (beta / 2 / (jacobian.square().mean(1) + beta / 2)).sqrt()


# %% wrong: the longest radius is .99
def best_sigma(jacobian, beta):
    return (beta / 2 / (jacobian.square().sum(1) + beta / 2)).sqrt().clamp(max=0.99)


# %% wrong: one radius for all images
def best_sigma(jacobian, beta):
    squares = jacobian.square().sum(1).mean(0, keepdim=True)
    return (beta / 2 / (squares + beta / 2)).sqrt().expand(len(jacobian), -1)


# %% wrong: the root of one side only
def best_sigma(jacobian, beta):
    return (beta / 2) / (jacobian.square().sum(1) + beta / 2).sqrt()
