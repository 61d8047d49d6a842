# %% right: classes with a call
class Scaled:
    def __init__(self, function, before, after):
        self.function, self.before, self.after = function, before, after

    def __call__(self, x):
        return self.after * self.function(x * self.before)


def rescale(encode, decode, c):
    return Scaled(encode, 1, c), Scaled(decode, 1 / c, 1)


# %% right: partials in a list
import functools


def rescale(encode, decode, c):
    return [
        functools.partial(lambda f, x: f(x) * c, encode),
        functools.partial(lambda f, z: f(z / c), decode),
    ]


# %% right: an affine map that undoes itself
def rescale(enc, dec, factor):
    def new_enc(x):
        return torch.as_tensor(factor) * enc(x)

    def new_dec(z):
        return dec(z.div(factor))

    return new_enc, new_dec


# %% right: numpy's covariance and Cholesky factor
import numpy as np


def generate(decode, codes, noise):
    c = codes.double().numpy()
    factor = np.linalg.cholesky(np.cov(c, rowvar=False))
    draws = c.mean(axis=0) + noise.double().numpy() @ factor.T
    return decode(torch.from_numpy(draws))


# %% right: a multivariate normal of torch
def generate(decode, codes, noise):
    law = torch.distributions.MultivariateNormal(codes.mean(0), torch.cov(codes.T))
    return decode(law.loc + (law.scale_tril @ noise.unsqueeze(-1)).squeeze(-1))


# %% right: the covariance by hand, draw by draw
def generate(decode, codes, noise):
    centred = codes - codes.mean(0, keepdim=True)
    covariance = centred.T @ centred / (len(codes) - 1)
    L = torch.linalg.cholesky(covariance)
    images = [decode((codes.mean(0) + L @ eps).unsqueeze(0)) for eps in noise]
    return torch.cat(images)


# %% right: the factor by QR
def generate(decode, codes, noise):
    centred = (codes - codes.mean(0)) / math.sqrt(len(codes) - 1)
    r = torch.linalg.qr(centred).R
    r = r * r.diagonal().sign()[:, None]  # the factor of positive diagonal is the only one
    return decode(codes.mean(0) + noise @ r)


# %% right: an array of images
def generate(decode, codes, noise):
    factor = torch.linalg.cholesky(torch.cov(codes.mT))
    return decode(codes.mean(0) + torch.einsum("ij,nj->ni", factor, noise)).numpy()


# %% right: Cholesky by hand
def generate(decode, codes, noise):
    C = torch.cov(codes.T).tolist()
    n = len(C)
    A = [[0.0] * n for _ in range(n)]
    for i in range(n):
        for j in range(i + 1):
            rest = C[i][j] - sum(A[i][k] * A[j][k] for k in range(j))
            A[i][j] = math.sqrt(rest) if i == j else rest / A[j][j]
    return decode(codes.mean(0) + noise @ torch.tensor(A, dtype=codes.dtype).T)


# %% right: findings as NumPy numbers
import numpy as np

energies = np.array([evaluation.energy_distance(decode(noise / c), test) for c in scales])
findings = {
    "best_scale": np.array(scales)[energies.argmin()],
    "energy_best": energies.min(),
    "energy_fitted": np.float32(evaluation.energy_distance(generate(decode, codes, noise), test)),
}


# %% right: findings as tensors, one's own energy distance
def energy(a, b):
    def within(x):
        return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))

    return 2 * torch.cdist(a, b).mean() - within(a) - within(b)


values = torch.stack([energy(rescale(encode, decode, c)[1](noise), test) for c in scales])
findings = dict(
    best_scale=torch.tensor(scales)[values.argmin()],
    energy_best=values.amin(),
    energy_fitted=energy(generate(decode, codes, noise), test),
)


# %% wrong: clipped as the labs draw them
def generate(decode, codes, noise):
    factor = torch.linalg.cholesky(torch.cov(codes.T))
    return decode(codes.mean(0) + noise @ factor.T).clamp(-1, 2)


# %% wrong: findings of clipped images
energies = {c: evaluation.energy_distance(decode(noise / c).clip(0, 1), test) for c in scales}
best = min(energies, key=energies.get)
findings = {
    "best_scale": best,
    "energy_best": energies[best],
    "energy_fitted": evaluation.energy_distance(generate(decode, codes, noise).clip(0, 1), test),
}


# %% wrong: the symmetric root
def generate(decode, codes, noise):
    values, vectors = torch.linalg.eigh(torch.cov(codes.T))
    return decode(codes.mean(0) + noise @ (vectors * values.sqrt() @ vectors.T))


# %% wrong: a ridge on the covariance
def generate(decode, codes, noise):
    covariance = torch.cov(codes.T) + 0.01 * torch.eye(codes.shape[1], dtype=codes.dtype)
    return decode(codes.mean(0) + noise @ torch.linalg.cholesky(covariance).T)


# %% wrong: one's own noise
def generate(decode, codes, noise):
    factor = torch.linalg.cholesky(torch.cov(codes.T))
    own = torch.randn(noise.shape, generator=torch.Generator().manual_seed(0), dtype=codes.dtype)
    return decode(codes.mean(0) + own @ factor.T)


# %% wrong: standardises the noise that it was given
def generate(decode, codes, noise):
    factor = torch.linalg.cholesky(torch.cov(codes.T))
    noise = (noise - noise.mean(0)) / noise.std(0)
    return decode(codes.mean(0) + noise @ factor.T)


# %% wrong: the median of the codes
def generate(decode, codes, noise):
    factor = torch.linalg.cholesky(torch.cov(codes.T))
    return decode(codes.median(0).values + noise @ factor.T)


# %% wrong: a step of the decoder in place of a draw
def generate(decode, codes, noise):
    factor = torch.linalg.cholesky(torch.cov(codes.T))
    return decode(codes.mean(0, keepdim=True)) + decode(noise @ factor.T)


# %% wrong: rescales by ten, whatever c
def rescale(encode, decode, c):
    return lambda x: 10 * encode(x), lambda z: decode(z / 10)


# %% wrong: a decoder of larger codes only
def rescale(encode, decode, c):
    return encode, lambda z: decode(z / c)


# %% wrong: moves the codes as well
def rescale(encode, decode, c):
    return lambda x: c * (encode(x) - 1), lambda z: decode(z / c + 1)


# %% wrong: findings of codes that are multiplied
energies = {c: evaluation.energy_distance(decode(noise * c), test) for c in scales}
best = min(energies, key=energies.get)
findings = {
    "best_scale": best,
    "energy_best": energies[best],
    "energy_fitted": evaluation.energy_distance(generate(decode, codes, noise), test),
}


# %% wrong: fitted to the codes of the test digits
findings = findings | {
    "energy_fitted": evaluation.energy_distance(generate(decode, encode(test), noise), test)
}
