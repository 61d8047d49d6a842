# %% right: lists of NumPy scalars
import numpy as np

report = {}
for name, (mu, sigma, decode) in models.items():
    error = lambda z: ((x.numpy() - decode(z).numpy()) ** 2).sum(-1).mean()
    report[name] = [error(mu + sigma * eps) / error(mu), np.std(mu.numpy(), axis=0, ddof=1).mean()]
verdict = {"A": "sampling without the pull", "B": "KL without sampling", "C": "VAE"}


# %% right: pairs as tensors
def pair(mu, sigma, decode):
    drawn = (x - decode(mu + sigma * eps)).square().mean()
    return torch.stack([drawn / (x - decode(mu)).square().mean(), mu.std(0).mean()])


report = {name: pair(*model) for name, model in models.items()}


# %% right: pairs as arrays, float32
import numpy as np

report = {name: np.array(pair, dtype=np.float32) for name, pair in report.items()}


# %% right: deviations with N
report = {
    name: (ratios[name], sum(column.std(correction=0) for column in models[name][0].T) / d)
    for name in models
}


# %% right: the deviation by hand
def deviation(numbers):
    mean = sum(numbers) / len(numbers)
    return (sum((n - mean) ** 2 for n in numbers) / (len(numbers) - 1)) ** 0.5


report = {
    name: (ratios[name], sum(map(deviation, models[name][0].T.tolist())) / 8) for name in models
}


# %% right: the verdict found by sorting
by_spread = sorted(models, key=lambda name: report[name][1])
verdict = dict(zip(by_spread, ["KL without sampling", "VAE", "sampling without the pull"]))


# %% right: the reach by a root finder
from scipy import optimize

reach = optimize.brentq(lambda t: errors("C", t) - 2 * errors("C", 0), 0.5, 20)


# %% right: the reach from a parabola through three stretches
import numpy as np

curve = np.polyfit([0, 1, 2], [errors("C", t) for t in (0, 1, 2)], 2)
curve[-1] -= 2 * errors("C", 0)
reach = np.roots(curve).max()


# %% right: the reach without the noise's own mean
mu, sigma, decode = models["C"]
fine = (decode(mu + sigma * eps) - decode(mu)).square().sum(-1).mean()
reach = torch.sqrt((x - decode(mu)).square().sum(-1).mean() / fine)


# %% right: the reach from a fine grid
reach = next(t / 200 for t in range(360, 400) if errors("C", t / 200) >= 2 * errors("C", 0))


# %% wrong: one deviation of all numbers
report = {name: (ratios[name], models[name][0].std().item()) for name in models}


# %% wrong: the root of the mean variance
report = {name: (ratios[name], models[name][0].var(0).mean().sqrt().item()) for name in models}


# %% wrong: variances
report = {name: (ratios[name], models[name][0].var(0).mean().item()) for name in models}


# %% wrong: the root of the total variance
report = {name: (ratios[name], models[name][0].var(0).sum().sqrt().item()) for name in models}


# %% wrong: the median over the dimensions
report = {name: (ratios[name], models[name][0].std(0).median().item()) for name in models}


# %% wrong: the spread of the draws
report = {
    name: (ratios[name], (mu + sigma * eps).std(1).mean().item())
    for name, (mu, sigma, _) in models.items()
}


# %% wrong: the pair exchanged
report = {name: (spreads[name], ratios[name]) for name in models}


# %% wrong: the mean of the images' ratios
report = {
    name: (
        (
            (x - decode(mu + sigma * eps)).square().sum(-1).mean(0)
            / (x - decode(mu)).square().sum(-1)
        )
        .mean()
        .item(),
        spreads[name],
    )
    for name, (mu, sigma, decode) in models.items()
}


# %% wrong: the excess over the error at the centres
report = {name: (ratios[name] - 1, spreads[name]) for name in models}


# %% wrong: the fine adds with t, not with its square
fine = errors("C", 1) - errors("C", 0)
reach = errors("C", 0) / fine


# %% wrong: three times the error
reach = reach * 2**0.5


# %% wrong: the reach of A's balls
low, high = 1.0, 100.0
while high - low > 1e-2:
    middle = (low + high) / 2
    low, high = (middle, high) if errors("A", middle) < 2 * errors("A", 0) else (low, middle)
reach = low


# %% wrong: a rounded reach
reach = 2


# %% wrong: the verdict by the error at the centres
by_error = sorted(models, key=lambda name: errors(name, 0))
verdict = dict(zip(by_error, ["VAE", "KL without sampling", "sampling without the pull"]))
