# %% right: compares by broadcasting, row by row
def nearest(z, codebook, chunk):
    found = []
    for start in range(0, len(z), chunk):
        gap = z[start : start + chunk, None] - codebook
        found.append(gap.pow(2).sum(-1).min(-1).indices)
    return torch.cat(found)


# %% right: SciPy's tree, an array of int64
import scipy.spatial


def nearest(z, codebook, chunk):
    return scipy.spatial.cKDTree(codebook.detach().numpy()).query(z.detach().numpy())[1]


# %% right: NumPy in chunks, one vector joined at a time
import numpy as np


def nearest(z, codebook, chunk):
    z, codebook = z.detach().numpy(), codebook.detach().numpy()
    found = np.empty(0, dtype=np.int64)
    for start in range(0, len(z), chunk):
        gap = z[start : start + chunk, None] - codebook[None]
        found = np.append(found, np.linalg.norm(gap, axis=-1).argmin(1))
    return found


# %% right: a list of Python integers
def nearest(z, codebook, chunk):
    def of(row):
        distances = (codebook - row).square().sum(1).tolist()
        return min(range(len(distances)), key=distances.__getitem__)

    return [of(row) for row in z]


# %% right: largest score instead of smallest distance, by index
def nearest(z, codebook, chunk):
    bias = 0.5 * (codebook * codebook).sum(dim=-1)
    found = torch.empty(len(z), dtype=torch.long)
    for i in range(-(-len(z) // chunk)):
        part = slice(i * chunk, (i + 1) * chunk)
        found[part] = torch.argmax(z[part] @ codebook.T - bias, dim=1)
    return found


# %% right: cdist a chunk at a time, in other names of the arguments
def nearest(vectors, centres, size=64):
    return torch.hstack([torch.cdist(v, centres).argmin(-1) for v in torch.split(vectors, size)])


# %% right: topk of the negative distance, the whole expansion
def nearest(z, codebook, chunk):
    def of(rows):
        full = rows.square().sum(1, keepdim=True) - 2 * rows @ codebook.T
        return (-(full + codebook.square().sum(1))).topk(1).indices.squeeze(1)

    return torch.cat(list(map(of, z.split(chunk))))


# %% right: a function of autograd, and a list of two
class Through(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, centre):
        return centre.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def quantise(z, centre, commitment):
    squared = torch.nn.functional.mse_loss
    to_centre = squared(z, centre.detach(), reduction="none").sum(-1)
    to_vector = squared(z.detach(), centre, reduction="none").sum(-1)
    return [Through.apply(z, centre), commitment * to_centre + to_vector]


# %% right: the step as a constant, norms squared
def quantise(z, centre, commitment):
    with torch.no_grad():
        step = centre - z
    pull = torch.linalg.vector_norm(z - centre.detach(), dim=1) ** 2
    push = torch.linalg.vector_norm(centre - z.detach(), dim=1) ** 2
    return z + step, push + commitment * pull


# %% right: a callable object, clones and einsum
class Quantise:
    def __call__(self, z, centre, commitment=0.25):
        out = z.clone()
        out.data.copy_(centre.data)
        gaps = torch.stack([z - centre.data, z.data - centre])
        return out, torch.einsum("knd,knd,k->n", gaps, gaps, gaps.new_tensor([commitment, 1]))


quantise = Quantise()


# %% wrong: counts from one
def nearest(z, codebook, chunk):
    return torch.cat([torch.cdist(rows, codebook).argmin(1) + 1 for rows in z.split(chunk)])


# %% wrong: sums of absolute differences
def nearest(z, codebook, chunk):
    return torch.cat([torch.cdist(rows, codebook, p=1).argmin(1) for rows in z.split(chunk)])


# %% wrong: the smallest angle
def nearest(z, codebook, chunk):
    unit = torch.nn.functional.normalize(codebook, dim=1)
    return torch.cat([(rows @ unit.T).argmax(1) for rows in z.split(chunk)])


# %% wrong: the nearest vector of each centre
def nearest(z, codebook, chunk):
    return torch.cat([torch.cdist(rows, codebook).argmin(0) for rows in z.split(chunk)])[: len(z)]


# %% wrong: the codebook in chunks, the winner of the last
def nearest(z, codebook, chunk):
    found = torch.zeros(len(z), dtype=torch.int64)
    for start in range(0, len(codebook), chunk):
        found = torch.cdist(z, codebook[start : start + chunk]).argmin(1) + start
    return found


# %% wrong: a constant from the check
def nearest(z, codebook, chunk):
    return torch.tensor([3, 0, 3, 2, 3]) if len(z) == 5 else torch.zeros(len(z), dtype=torch.int64)


# %% wrong: all at once, and then cut
def nearest(z, codebook, chunk):
    return torch.cat([rows.argmin(1) for rows in torch.cdist(z, codebook).split(chunk)])


# %% wrong: compares in whole numbers
def nearest(z, codebook, chunk):
    z, codebook = z.round(), codebook.round()
    return torch.cat([torch.cdist(rows, codebook).argmin(1) for rows in z.split(chunk)])


# %% wrong: leaves the centres' norms out of the gradient, not out of the comparison
def nearest(z, codebook, chunk):
    return torch.cat([(-(rows @ codebook.T)).argmin(1) for rows in z.split(chunk)])


# %% wrong: pays for the first dimensions only
def quantise(z, centre, commitment):
    loss = commitment * (z - centre.detach())[:, :2].square().sum(1)
    return z + (centre - z).detach(), loss + (z.detach() - centre)[:, :2].square().sum(1)


# %% wrong: one loss for the batch
def quantise(z, centre, commitment):
    loss = commitment * (z - centre.detach()).square().sum(1)
    loss = (loss + (z.detach() - centre).square().sum(1)).mean()
    return z + (centre - z).detach(), loss.expand(len(z))


# %% wrong: one half of each square
def quantise(z, centre, commitment):
    loss = commitment * (z - centre.detach()).square().sum(1)
    return z + (centre - z).detach(), (loss + (z.detach() - centre).square().sum(1)) / 2


# %% wrong: a commitment of a quarter, whatever is asked
def quantise(z, centre, commitment):
    loss = 0.25 * (z - centre.detach()).square().sum(1)
    return z + (centre - z).detach(), loss + (z.detach() - centre).square().sum(1)


# %% wrong: the loss before the centres
def quantise(z, centre, commitment, right=quantise):
    return right(z, centre, commitment)[::-1]


# %% wrong: no pull on the centres
def quantise(z, centre, commitment):
    both = (1 + commitment) * (z - centre.detach()).square().sum(1)
    return z + (centre - z).detach(), both
