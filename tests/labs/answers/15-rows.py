# %% right: slices and a vector's norm
def rows(f, x):
    together = f(x)
    alone = [f(x[i : i + 1]) for i in range(len(x))]
    difference = together - torch.cat(alone)
    return float(torch.linalg.vector_norm(difference) / torch.linalg.vector_norm(together))


# %% right: vmap over batches of one
def rows(f, x):
    together = f(x)
    alone = torch.vmap(lambda image: f(image[None])[0])(x)
    return ((together - alone).norm() / together.norm()).item()


# %% right: NumPy, a scalar of its own kind
import numpy as np


def rows(f, x):
    together = np.asarray(f(x), dtype=float)
    alone = np.concatenate([np.asarray(f(image), dtype=float) for image in x.split(1)])
    return np.sqrt(((together - alone) ** 2).sum() / (together**2).sum())


# %% right: sums of squares, image by image
def rows(f, x):
    off = total = 0.0
    for i, row in enumerate(f(x)):
        off += float((row - f(x[[i]])[0]).square().sum())
        total += float(row.square().sum())
    return math.sqrt(off / total)


# %% right: a tensor without dimensions
def repeats(f, x):
    first = f(x)
    second = f(x)
    return torch.dist(first, second) / torch.dist(first, torch.zeros_like(first))


# %% right: both calls at once
def repeats(f, x):
    a, b = (f(x).double().flatten() for _ in range(2))
    return math.sqrt(((a - b) @ (a - b)).item() / (a @ a).item())


# %% right: batch norm, told its statistics
def frozen(features, head, train):
    h = features(train)
    mean, variance = h.mean((0, 2, 3)), h.var((0, 2, 3), unbiased=False)

    def encoder(x):
        return head(torch.nn.functional.batch_norm(features(x), mean, variance, eps=0.0))

    return encoder


# %% right: a module in evaluation mode
def frozen(features, head, train):
    h = features(train)
    norm = torch.nn.BatchNorm2d(h.shape[1], eps=1e-30, momentum=None, affine=False).to(h.dtype)
    norm(h)  # running statistics are now this batch's
    norm.running_var *= 1 - 1 / (h.numel() / h.shape[1])  # without Bessel's correction
    norm.eval()
    return lambda x: head(norm(features(x)))


# %% right: moments gathered image by image, a class
class frozen:
    def __init__(self, features, head, train):
        self.features, self.head = features, head
        total = square = count = 0
        for image in train:
            h = features(image[None])[0].flatten(1)
            total, square = total + h.sum(1), square + h.square().sum(1)
            count += h.shape[1]
        self.mean = total / count
        self.scale = (square / count - self.mean**2).sqrt()

    def __call__(self, x):
        h = self.features(x)
        return self.head((h - self.mean[:, None, None]) / self.scale[:, None, None])


# %% right: a scale and a shift
def frozen(features, head, train):
    h = features(train).transpose(0, 1).flatten(1)
    slope = 1 / h.std(1, correction=0).reshape(1, -1, 1, 1)
    offset = -h.mean(1).reshape(1, -1, 1, 1) * slope
    return lambda x: head(torch.addcmul(offset, features(x), slope))


# %% wrong: compares with the first image's company only
def rows(f, x):
    together = f(x)
    alone = torch.cat([f(x[[0, i]])[1:] for i in range(len(x))])
    return ((together - alone).norm() / together.norm()).item()


# %% wrong: the squared distance
def rows(f, x, right=rows):
    return right(f, x) ** 2


# %% wrong: the largest number that differs
def rows(f, x):
    together = f(x)
    alone = torch.cat([f(image[None]) for image in x])
    return ((together - alone).abs().max() / together.abs().max()).item()


# %% wrong: the first image speaks for all
def rows(f, x):
    together = f(x)
    return ((together[0] - f(x[:1])[0]).norm() / together[0].norm()).item()


# %% wrong: repeats of one image
def repeats(f, x):
    return f(x).std().item() * 0 + float((f(x[:1]) - f(x[:1])).norm() / f(x[:1]).norm())


# %% wrong: divides by the mean of both
def repeats(f, x):
    first, second = f(x), f(x)
    return (2 * (first - second).norm() / (first + second).norm()).item()


# %% wrong: calls the same result twice
def repeats(f, x):
    first = f(x)
    return ((first - first).norm() / first.norm()).item()


# %% wrong: Bessel's correction, on few images
def frozen(features, head, train):
    h = features(train[:2])
    mean, deviation = h.mean((0, 2, 3), keepdim=True), h.std((0, 2, 3), keepdim=True)
    return lambda x: head((features(x) - mean) / deviation)


# %% wrong: statistics of the images
def frozen(features, head, train):
    mean, deviation = train.mean((0, 2, 3), keepdim=True), train.std((0, 2, 3), keepdim=True)
    return lambda x: head(features((x - mean) / deviation))


# %% wrong: takes the mean off and leaves the deviation
def frozen(features, head, train):
    mean = features(train).mean((0, 2, 3), keepdim=True)
    return lambda x: head(features(x) - mean)


# %% wrong: the mean of images' own deviations
def frozen(features, head, train):
    h = features(train)
    mean = h.mean((0, 2, 3), keepdim=True)
    deviation = h.std((2, 3), correction=0, keepdim=True).mean(0, keepdim=True)
    return lambda x: head((features(x) - mean) / deviation)


# %% wrong: statistics of every pixel
def frozen(features, head, train):
    h = features(train)
    mean, deviation = h.mean(0, keepdim=True), h.std(0, correction=0, keepdim=True)
    return lambda x: head((features(x) - mean) / (deviation + 1e-6))
