# %% right: a row of the identity
def response(encode, decode, mu, j):
    push = torch.eye(mu[0].numel(), dtype=mu.dtype)[j].reshape(mu.shape[1:])
    answer = encode(decode(mu + push))[0] - encode(decode(mu))[0]
    return answer.flatten(1).mean(0)


# %% right: pushes in place, the code as a list
def response(encode, decode, mu, j):
    pushed = mu.clone()
    pushed.view(len(mu), -1)[:, j] += 1
    after, before = (encode(decode(z))[0].mean(0) for z in (pushed, mu))
    return (after - before).flatten().tolist()


# %% right: NumPy at the end
import numpy as np


def response(encode, decode, mu, j):
    index = np.unravel_index(j, mu.shape[1:])
    pushed = mu.clone()
    pushed[(slice(None), *map(int, index))] += 1
    both = torch.stack([encode(decode(pushed))[0], encode(decode(mu))[0]]).numpy()
    return (both[0] - both[1]).mean(axis=0).ravel()


# %% right: code by code
def response(encode, decode, mu, j):
    total = torch.zeros(mu[0].numel(), dtype=mu.dtype)
    for z in mu.split(1):
        flat = z.flatten(1)
        push = torch.nn.functional.one_hot(torch.tensor([j]), flat.shape[1])
        pushed = (flat + push).reshape(z.shape)
        total += (encode(decode(pushed))[0] - encode(decode(z))[0]).flatten()
    return total / len(mu)


# %% right: all pushes at once
def rewired(encode, decode, mu):
    shape = mu.shape[1:]
    d = mu[0].numel()
    pushes = torch.eye(d, dtype=mu.dtype).reshape(d, *shape)
    before = encode(decode(mu[:1]))[0]
    table = (encode(decode(mu[:1] + pushes))[0] - before).flatten(1).argmax(1)
    return lambda z: decode(z.flatten(1).index_select(1, table).reshape(-1, *shape))


# %% right: gathers from a table of every batch's size
def rewired(encode, decode, mu):
    d = mu[0].numel()
    table = torch.tensor(
        [torch.as_tensor(response(encode, decode, mu, j)).abs().argmax() for j in range(d)]
    )

    def decoder(z):
        flat = z.reshape(len(z), -1)
        return decode(flat.gather(1, table.expand(len(z), -1)).view_as(z))

    return decoder


# %% right: a matrix of zeros and ones
def rewired(encode, decode, mu):
    d = mu[0].numel()
    matrix = torch.zeros(d, d, dtype=mu.dtype)
    for j in range(d):
        matrix[torch.as_tensor(response(encode, decode, mu, j)).argmax(), j] = 1
    return lambda z: decode((z.flatten(1) @ matrix.to(z)).reshape(z.shape))


# %% right: all channels and all eight ways to turn a square, by the cycle
import itertools


def rewired(encode, decode, mu):
    ways = [
        lambda z, k=k, t=t: torch.rot90(z.mT if t else z, k, (2, 3))
        for k in range(4)
        for t in (False, True)
    ]

    def agreement(order):
        change = encode(decode(order(2 * mu)))[0] - encode(decode(order(mu)))[0]
        return float((change * mu).sum() / change.norm() / mu.norm())

    orders = [
        lambda z, way=way, channels=channels: way(z)[:, channels]
        for way in ways
        for channels in itertools.permutations(range(mu.shape[1]))
    ]
    best = max(orders, key=agreement)
    return lambda z: decode(best(z))


# %% right: puts each number where its reader is
def rewired(encode, decode, mu):
    d = mu[0].numel()
    table = [int(torch.tensor(response(encode, decode, mu, j).tolist()).argmax()) for j in range(d)]

    def decoder(z):
        flat = z.flatten(1)
        columns = [flat[:, k] for k in table]
        return decode(torch.stack(columns, 1).unflatten(1, z.shape[1:]))

    return decoder


# %% wrong: a push of two
def response(encode, decode, mu, j):
    push = torch.zeros_like(mu[0]).flatten()
    push[j] = 2
    push = push.reshape(mu.shape[1:])
    return (encode(decode(mu + push))[0] - encode(decode(mu))[0]).mean(0).flatten()


# %% wrong: at the origin instead of the codes
def response(encode, decode, mu, j, right=response):
    return right(encode, decode, 0 * mu[:1], j)


# %% wrong: the first code only
def response(encode, decode, mu, j, right=response):
    return right(encode, decode, mu[:1], j)


# %% wrong: sizes without signs
def response(encode, decode, mu, j, right=response):
    return right(encode, decode, mu, j).abs()


# %% wrong: a downward push
def response(encode, decode, mu, j):
    push = torch.zeros_like(mu[0]).flatten()
    push[j] = -1
    push = push.reshape(mu.shape[1:])
    return (encode(decode(mu + push))[0] - encode(decode(mu))[0]).mean(0).flatten()


# %% wrong: in the order of channels last
def response(encode, decode, mu, j, right=response):
    return right(encode, decode, mu, j).reshape(mu.shape[1:]).permute(1, 2, 0).flatten()


# %% wrong: the smallest answer
def rewired(encode, decode, mu):
    table = [int(response(encode, decode, mu, j).argmin()) for j in range(mu[0].numel())]
    return lambda z: decode(z.flatten(1)[:, table].reshape(z.shape))


# %% wrong: exchanges in pairs only
def rewired(encode, decode, mu):
    d = mu[0].numel()
    answers = [int(response(encode, decode, mu, j).argmax()) for j in range(d)]
    table = [k if answers[k] == j else j for j, k in enumerate(answers)]
    return lambda z: decode(z.flatten(1)[:, table].reshape(z.shape))


# %% wrong: always transposes
def rewired(encode, decode, mu):
    return lambda z: decode(z.mT)


# %% wrong: leaves it as it is
def rewired(encode, decode, mu):
    return decode


# %% wrong: a table made where nothing is pushed
def rewired(encode, decode, mu):
    answer = encode(decode(mu))[0].mean(0).flatten()
    table = answer.argsort()[mu.mean(0).flatten().argsort().argsort()]
    return lambda z: decode(z.flatten(1)[:, table].reshape(z.shape))
