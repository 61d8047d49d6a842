# %% right: columns and their inner product
def cosine(eigenvalues, beta, angle):
    w = torch.diag(torch.tensor([v - beta / 2 for v in eigenvalues], dtype=torch.float64).sqrt())
    first = math.cos(angle) * w[:, 0] + math.sin(angle) * w[:, 1]
    second = math.cos(angle) * w[:, 1] - math.sin(angle) * w[:, 0]
    return torch.cosine_similarity(first, second, dim=0)


# %% right: NumPy's matrices
import numpy as np


def cosine(eigenvalues, beta, angle):
    root = np.diag(np.sqrt(np.asarray(eigenvalues) - beta / 2))
    c, s = np.cos(angle), np.sin(angle)
    a, b = (root @ np.array([[c, -s], [s, c]])).T
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


# %% right: double angles
def cosine(eigenvalues, beta, angle):
    a, b = eigenvalues[0] - beta / 2, eigenvalues[1] - beta / 2
    mean, half = (a + b) / 2, (b - a) / 2
    top = half * math.sin(2 * angle)
    return top / math.sqrt(mean**2 - (half * math.cos(2 * angle)) ** 2)


# %% right: the angle between two directions of the plane
import cmath


def cosine(eigenvalues, beta, angle):
    p, q = (math.sqrt(v - beta / 2) for v in eigenvalues)
    first = complex(p * math.cos(angle), q * math.sin(angle))
    second = complex(-p * math.sin(angle), q * math.cos(angle))
    return math.cos(cmath.phase(second / first))


# %% right: the loss after and before, with the best radii
def extra_loss(eigenvalues, beta, angle):
    def loss(lengths):
        total = 0.0
        for length in lengths:
            variance = beta / 2 / (length + beta / 2)
            total += variance * length + beta / 2 * (variance - 1 - math.log(variance))
        return total

    a, b = (v - beta / 2 for v in eigenvalues)
    c, s = math.cos(angle) ** 2, math.sin(angle) ** 2
    return loss([a * c + b * s, a * s + b * c]) - loss([a, b])


# %% right: a search by SciPy
import scipy.optimize


def extra_loss(eigenvalues, beta, angle):
    def best(length):
        return scipy.optimize.minimize_scalar(
            lambda t: math.exp(t) * (length + beta / 2) - beta / 2 * (t + 1), (-3, 0), tol=1e-12
        ).fun

    a, b = (v - beta / 2 for v in eigenvalues)
    c, s = math.cos(angle) ** 2, math.sin(angle) ** 2
    return best(a * c + b * s) + best(a * s + b * c) - best(a) - best(b)


# %% right: Hadamard's inequality, a log determinant of NumPy
import numpy as np


def extra_loss(eigenvalues, beta, angle):
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    full = turn.T @ np.diag(eigenvalues) @ turn
    return beta / 2 * (np.log(np.diag(full)).sum() - np.linalg.slogdet(full)[1])


# %% right: in terms of the sine of the double angle
def extra_loss(eigenvalues, beta, angle):
    a, b = eigenvalues
    return beta / 2 * math.log1p((a - b) ** 2 * math.sin(2 * angle) ** 2 / (4 * a * b))


# %% right: in float32
def extra_loss(eigenvalues, beta, angle):
    a, b = torch.tensor(eigenvalues)
    c, s = torch.tensor(angle).cos() ** 2, torch.tensor(angle).sin() ** 2
    return (beta / 2 * ((a * c + b * s).log() + (a * s + b * c).log() - a.log() - b.log())).item()


# %% wrong: an angle in degrees
def cosine(eigenvalues, beta, angle, right=cosine):
    return right(eigenvalues, beta, math.radians(angle))


# %% wrong: the other way round
def cosine(eigenvalues, beta, angle, right=cosine):
    return right(eigenvalues, beta, -angle)


# %% wrong: the sine
def cosine(eigenvalues, beta, angle, right=cosine):
    return math.sqrt(1 - right(eigenvalues, beta, angle) ** 2)


# %% wrong: the eigenvalues for lengths, unsquared
def cosine(eigenvalues, beta, angle):
    a, b = ((v - beta / 2) ** 2 for v in eigenvalues)
    c, s = math.cos(angle), math.sin(angle)
    return (b - a) * s * c / math.sqrt((a * c * c + b * s * s) * (a * s * s + b * c * c))


# %% wrong: the whole beta off
def cosine(eigenvalues, beta, angle, right=cosine):
    return right(eigenvalues, 2 * beta, angle)


# %% wrong: the old lengths below
def cosine(eigenvalues, beta, angle):
    a, b = (v - beta / 2 for v in eigenvalues)
    return (b - a) * math.sin(angle) * math.cos(angle) / math.sqrt(a * b)


# %% wrong: the larger eigenvalue first
def cosine(eigenvalues, beta, angle, right=cosine):
    return right(sorted(eigenvalues, reverse=True), beta, angle)


# %% wrong: small angles
def extra_loss(eigenvalues, beta, angle):
    a, b = eigenvalues
    return beta / 2 * (a - b) ** 2 * angle**2 / (a * b)


# %% wrong: a turn never pays
def extra_loss(eigenvalues, beta, angle, right=extra_loss):
    return -right(eigenvalues, beta, angle)


# %% wrong: the distortion alone
def extra_loss(eigenvalues, beta, angle):
    def error(length):
        return length * beta / 2 / (length + beta / 2)

    a, b = (v - beta / 2 for v in eigenvalues)
    c, s = math.cos(angle) ** 2, math.sin(angle) ** 2
    return error(a * c + b * s) + error(a * s + b * c) - error(a) - error(b)


# %% wrong: the first unit alone
def extra_loss(eigenvalues, beta, angle):
    a, b = eigenvalues
    c, s = math.cos(angle) ** 2, math.sin(angle) ** 2
    return beta / 2 * math.log((a * c + b * s) / a)


# %% wrong: in bits
def extra_loss(eigenvalues, beta, angle, right=extra_loss):
    return right(eigenvalues, beta, angle) / math.log(2)


# %% wrong: at least a hundredth
def extra_loss(eigenvalues, beta, angle, right=extra_loss):
    return max(0.01, right(eigenvalues, beta, angle))


# %% wrong: folded at an eighth of a turn
def extra_loss(eigenvalues, beta, angle, right=extra_loss):
    return right(eigenvalues, beta, min(abs(angle), math.pi / 4))
