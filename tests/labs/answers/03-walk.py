# %% right: a step at a time
def walk(decode, classify, a, b, steps):
    return torch.stack([classify(decode(a + (b - a) * (t / steps))) for t in range(steps + 1)])


# %% right: linspace and lerp
def walk(decode, classify, a, b, steps):
    t = torch.linspace(0, 1, steps + 1, dtype=a.dtype)
    return torch.stack([classify(decode(torch.lerp(a, b, s.item()))) for s in t])


# %% right: pair by pair, then transposed
def walk(decode, classify, a, b, steps):
    t = torch.linspace(0, 1, steps + 1, dtype=a.dtype)[:, None]
    pairs = [classify(decode((1 - t) * u + t * v)) for u, v in zip(a, b)]
    return torch.stack(pairs).transpose(0, 1)


# %% right: NumPy's points, an array of probabilities
import numpy as np


def walk(decode, classify, a, b, steps):
    points = np.linspace(a.numpy(), b.numpy(), steps + 1)
    return np.stack([np.asarray(classify(decode(torch.from_numpy(z)))) for z in points])


# %% right: a list of tensors, in float32
def walk(decode, classify, start, end, n):
    return [classify(decode(torch.add(start, end - start, alpha=i / n))) for i in range(n + 1)]


# %% right: counted by hand
from fractions import Fraction


def purity(p, labels):
    hits = [
        max(range(p.shape[2]), key=lambda k: p[t, i, k]) == labels[i]
        for t in range(1, len(p) - 1)
        for i in range(p.shape[1])
    ]
    return Fraction(int(sum(hits)), len(hits))


# %% right: arrays
import numpy as np


def purity(p, labels):
    return np.mean(np.argmax(p.numpy()[1:-1], axis=2) == labels.numpy())


def change(p):
    step = np.abs(np.diff(p.numpy(), axis=0)).sum(axis=2) / 2
    return np.array([step.mean(), step.max(axis=0).mean()])


# %% right: what flows in
def change(p):
    step = (p[1:] - p[:-1]).clamp_min(0).sum(-1)
    return step.mean(), step.max(dim=0).values.mean()


# %% right: one less what is shared
def change(p):
    step = 1 - torch.minimum(p[1:], p[:-1]).sum(-1)
    return [float(torch.mean(step)), float(torch.mean(torch.max(step, 0)[0]))]


# %% right: cdist with the Manhattan norm
def change(p):
    q = p.transpose(0, 1)
    step = torch.cdist(q[:, 1:], q[:, :-1], p=1).diagonal(dim1=1, dim2=2) / 2
    return step.mean().item(), step.amax(1).mean().item()


# %% right: a 0-d tensor of the sorted probabilities
def purity(p, labels):
    inside = p[1:-1]
    return (inside.sort(-1).indices[..., -1] == labels[None]).float().mean()


# %% wrong: without the last point
def walk(decode, classify, a, b, steps):
    line = a + torch.arange(steps, dtype=a.dtype)[:, None, None] / steps * (b - a)
    p = classify(decode(line.flatten(0, 1))).unflatten(0, (steps, len(a)))
    return torch.cat([p, p[-1:]])


# %% wrong: pairs and points mixed
def walk(decode, classify, a, b, steps):
    t = torch.linspace(0, 1, steps + 1, dtype=a.dtype)[:, None, None]
    line = (a + t * (b - a)).transpose(0, 1)
    return classify(decode(line.flatten(0, 1))).unflatten(0, (steps + 1, len(a)))


# %% wrong: on the sphere
def walk(decode, classify, a, b, steps):
    t = torch.linspace(0, 1, steps + 1, dtype=a.dtype)[:, None, None] * math.pi / 2
    line = t.cos() * a + t.sin() * b
    return classify(decode(line.flatten(0, 1))).unflatten(0, (steps + 1, len(a)))


# %% wrong: mixes probabilities
def walk(decode, classify, a, b, steps):
    t = torch.linspace(0, 1, steps + 1, dtype=a.dtype)[:, None, None]
    p, q = classify(decode(a)), classify(decode(b))
    return p + t * (q - p)


# %% wrong: steps that shrink
def walk(decode, classify, a, b, steps):
    t = (torch.linspace(0, 1, steps + 1, dtype=a.dtype) ** 0.5)[:, None, None]
    line = a + t * (b - a)
    return classify(decode(line.flatten(0, 1))).unflatten(0, (steps + 1, len(a)))


# %% wrong: classifies codes
def walk(decode, classify, a, b, steps):
    t = torch.linspace(0, 1, steps + 1, dtype=a.dtype)[:, None, None]
    line = a + t * (b - a)
    return classify(line.flatten(0, 1)).unflatten(0, (steps + 1, len(a)))


# %% wrong: leaves out one end only
def purity(p, labels):
    return float((p[1:].argmax(-1) == labels).double().mean())


# %% wrong: pure pairs, all or nothing
def purity(p, labels):
    return float((p[1:-1].argmax(-1) == labels).all(0).double().mean())


# %% wrong: the label of the first point
def purity(p, labels):
    return float((p[1:-1].argmax(-1) == p[0].argmax(-1)).double().mean())


# %% wrong: more than one half
def purity(p, labels):
    inside = p[1:-1]
    mine = inside.gather(-1, labels.expand(inside.shape[:2])[..., None])
    return float((mine > 0.5).double().mean())


# %% wrong: the largest difference of one class
def change(p):
    step = (p[1:] - p[:-1]).abs().amax(-1)
    return float(step.mean()), float(step.amax(0).mean())


# %% wrong: the largest pair of each step
def change(p):
    step = 0.5 * (p[1:] - p[:-1]).abs().sum(-1)
    return float(step.mean()), float(step.amax(1).mean())


# %% wrong: from end to end
def change(p):
    step = 0.5 * (p[-1] - p[0]).abs().sum(-1)
    return float(step.mean() / (len(p) - 1)), float(step.max())


# %% wrong: the difference of the most probable class
def change(p):
    step = 0.5 * (p[1:].amax(-1) - p[:-1].amax(-1)).abs()
    return float(step.mean()), float(step.amax(0).mean())


# %% wrong: in the other order
def change(p):
    step = 0.5 * (p[1:] - p[:-1]).abs().sum(-1)
    return float(step.amax(0).mean()), float(step.mean())


# %% wrong: divided by the number of points
def change(p):
    step = 0.5 * (p[1:] - p[:-1]).abs().sum(-1)
    return float(step.sum(0).mean() / len(p)), float(step.amax(0).mean())
