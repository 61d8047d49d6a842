# %% right: the two reciprocals apart
def bce_form(x, delta):
    return 0.5 * torch.sum(delta.square() * (1 / x + 1 / (1 - x)), dim=-1)


# %% right: second derivatives by autograd
def bce_form(x, delta):
    made = []
    for image, step in zip(x, delta):
        loss = lambda y, image=image: torch.nn.functional.binary_cross_entropy(
            y, image, reduction="sum"
        )
        made.append(step @ torch.autograd.functional.hessian(loss, image) @ step / 2)
    return torch.stack(made)


# %% right: second differences in float64, an array
import numpy as np


def bce_form(x, delta, h=1e-4):
    x, delta = x.double().numpy(), delta.double().numpy()

    def loss(y):
        return -(x * np.log(y) + (1 - x) * np.log(1 - y)).sum(axis=1)

    return (loss(x + h * delta) - 2 * loss(x) + loss(x - h * delta)) / (2 * h**2)


# %% right: a quadratic form with a matrix, a list
def bce_form(x, delta):
    return [
        float(step @ torch.diag(1 / (2 * image * (1 - image))) @ step)
        for image, step in zip(x, delta)
    ]


# %% right: the variance of a Bernoulli law, in float32
def bce_form(x, delta):
    law = torch.distributions.Bernoulli(probs=x.float())
    return (delta.float() ** 2 / law.variance).sum(1) / 2


# %% right: covariances by hand
def ssim_form(x, delta, c1, c2):
    mean, shift = x.mean(dim=1, keepdim=True), delta.mean(dim=1, keepdim=True)
    luminance = shift.square() / (2 * mean.square() + c1)
    structure = (delta - shift).square().mean(1) / (2 * (x - mean).square().mean(1) + c2)
    return luminance.squeeze(1) + structure


# %% right: NumPy's moments, a list
import numpy as np


def ssim_form(x, delta, c1, c2):
    return [
        np.mean(d) ** 2 / (2 * np.mean(i) ** 2 + c1) + np.var(d) / (2 * np.var(i) + c2)
        for i, d in zip(x.numpy(), delta.numpy())
    ]


# %% right: the mean square less the squared mean
def ssim_form(x, delta, c1, c2):
    def moments(v):
        return v.mean(-1), (v * v).mean(-1) - v.mean(-1) ** 2

    (mean, variance), (shift, spread) = moments(x.double()), moments(delta.double())
    return shift**2 / (2 * mean**2 + c1) + spread / (2 * variance + c2)


# %% right: two derivatives along the step
def ssim_form(x, delta, c1, c2):
    def loss(t):
        y = x.double() + t[:, None] * delta.double()
        a, b = x.double().mean(1), y.mean(1)
        covariance = (x * y).mean(1) - a * b
        v, w = x.double().var(1, correction=0), y.var(1, correction=0)
        return 1 - (2 * a * b + c1) / (a**2 + b**2 + c1) * (2 * covariance + c2) / (v + w + c2)

    t = torch.zeros(len(x), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(t).sum(), t, create_graph=True)
    return torch.autograd.grad(slope.sum(), t)[0] / 2


# %% right: a matrix of the form
def ssim_form(x, delta, c1, c2):
    m = x.shape[1]
    flat = torch.full((m, m), 1 / m, dtype=x.dtype)
    rest = torch.eye(m, dtype=x.dtype) - flat
    made = []
    for image, step in zip(x, delta):
        metric = flat / m / (2 * image.mean() ** 2 + c1)
        metric = metric + rest / m / (2 * (image @ rest @ image) / m + c2)
        made.append(step @ metric @ step)
    return torch.stack(made)


# %% wrong: the standard deviation of a pixel
def bce_form(x, delta):
    return (delta**2 / (2 * (x * (1 - x)).sqrt())).sum(1)


# %% wrong: the white part alone
def bce_form(x, delta):
    return (delta**2 / (2 * (1 - x))).sum(1)


# %% wrong: steps, not their squares
def bce_form(x, delta):
    return (delta.abs() / (2 * x * (1 - x))).sum(1)


# %% wrong: kept away from zero by a tenth
def bce_form(x, delta):
    return (delta**2 / (2 * x * (1 - x) + 0.1)).sum(1)


# %% wrong: pixels clamped
def bce_form(x, delta):
    x = x.clamp(0.2, 0.8)
    return (delta**2 / (2 * x * (1 - x))).sum(1)


# %% wrong: the squared error's form
def bce_form(x, delta):
    return (delta**2).sum(1)


# %% wrong: the whole difference of a long step
def bce_form(x, delta):
    y = (x + delta).clamp(1e-4, 1 - 1e-4)
    loss = lambda y: torch.nn.functional.binary_cross_entropy(y, x, reduction="none").sum(1)
    return loss(y) - loss(x)


# %% wrong: a difference that isn't averaged out to second order
def bce_form(x, delta):
    return (delta**2 / (2 * x * (1 - x) + 4 * x * (1 - x) * delta.abs())).sum(1)


# %% wrong: the constants exchanged
def ssim_form(x, delta, c1, c2, right=ssim_form):
    return right(x, delta, c2, c1)


# %% wrong: no constants
def ssim_form(x, delta, c1, c2, right=ssim_form):
    return right(x, delta, 0.0, 0.0)


# %% wrong: half of the constants
def ssim_form(x, delta, c1, c2, right=ssim_form):
    return right(x, delta, c1 / 2, c2 / 2)


# %% wrong: the product of the two terms
def ssim_form(x, delta, c1, c2):
    of_mean = delta.mean(1) ** 2 / (2 * x.mean(1) ** 2 + c1)
    return of_mean * delta.var(1, correction=0) / (2 * x.var(1, correction=0) + c2)


# %% wrong: the variance of one image divided by m - 1
def ssim_form(x, delta, c1, c2):
    of_mean = delta.mean(1) ** 2 / (2 * x.mean(1) ** 2 + c1)
    return of_mean + delta.var(1, correction=0) / (2 * x.var(1) + c2)


# %% wrong: the luminance alone
def ssim_form(x, delta, c1, c2):
    return delta.mean(1) ** 2 / (2 * x.mean(1) ** 2 + c1)


# %% wrong: one minus SSIM of the long step itself
def ssim_form(x, delta, c1, c2):
    y = x + delta
    a, b = x.mean(1), y.mean(1)
    covariance = (x * y).mean(1) - a * b
    v, w = x.var(1, correction=0), y.var(1, correction=0)
    return 1 - (2 * a * b + c1) / (a**2 + b**2 + c1) * (2 * covariance + c2) / (v + w + c2)


# %% wrong: moments of the whole batch
def ssim_form(x, delta, c1, c2):
    of_mean = delta.mean(1) ** 2 / (2 * x.mean() ** 2 + c1)
    return of_mean + delta.var(1, correction=0) / (2 * x.var(correction=0) + c2)
