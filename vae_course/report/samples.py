"""What a decoder makes of codes that no image has: of laws' draws, and of midpoints."""

import torch
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.errors import ratio
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.study import Study

FEWEST = 16
SHOWN = 8
WIDE = 2**14
"""Numbers an image, from which on distances are taken in float32."""
LIVE = 0.01
"""Nats, under which a latent says nothing."""
EXACT = 1e-10
SEEN = 0.05
"""Of the images' spread: what is less needs no explanation."""
LAWS = {
    "prior": "decoded draws of N(0, I)",
    "token": "decoded draws of a Gaussian for tokens, place by place,",
    "full": "decoded draws of a Gaussian for whole codes",
    "aggregate": "decoded codes of other images",
}


def samples(study: Study) -> dict[str, Found | Unmeasured]:
    r"""Are decoded draws of four laws like images? The energy distance over the images' own spread.

    .. math:: R = \frac{2\,E\|X - Y\| - E\|X - X'\| - E\|Y - Y'\|}{E\|X - X'\|}

    The laws: N(0, I); places independent, a Gaussian each of the tokens' moments; a Gaussian of the
    moments of whole codes; other images' own codes. Laws are fitted to images that they are not
    compared with. Flat codes have no tokens; codes without noise have no prior.

    Raises ``Unmeasured`` for fewer than 16 images. Source: Székely, Rizzo 2013.
    """
    n = study.n
    if n < FEWEST:
        raise Unmeasured(f"{n} images: two halves of 8 are the least that show how images differ")
    m = min(study.sizes.samples, study.sizes.decoded, n // 2)
    fitted, images = study.z[: n - m], study.images[n - m : n]
    own_codes = study.at_draw if study.kind == "gaussian" else study.at_mean
    drawn = {"aggregate": own_codes[:m]}
    if study.kind == "gaussian":
        drawn["prior"] = study.decoded(study.noise("prior", study.z[:m]))
    if study.places:
        drawn["token"] = study.decoded(of_tokens(fitted, study.noise("token", study.z[:m])))
    weights = torch.randn(m, len(fitted), generator=study.generator("full"), device="cpu")
    drawn["full"] = study.decoded(of_codes(fitted, weights))
    study.tables |= {f"sample_{law}": x[:SHOWN] for law, x in drawn.items()}
    own = distances(images)
    if not own.any():
        raise Unmeasured("the images are all alike")
    null = energy(images, study.images[:m], own)[0].value
    measured = {law: energy(images, x, own) for law, x in drawn.items()}
    values = {law: of_law.value for law, (of_law, _) in measured.items()}
    few, d = len(fitted), study.z[0].numel()
    also = {
        "prior": _why(values, bool(study.places)),
        "full": f"; {few} codes span no more than {few - 1} of {d} dimensions" if few <= d else "",
        "aggregate": ": what the decoder itself loses",
    }
    found: dict[str, Found | Unmeasured] = {
        "samples_prior": Unmeasured("codes without noise were trained towards no prior"),
        "samples_token": Unmeasured("codes are flat: one token is a whole code"),
    }
    for law, (estimate, each) in measured.items():
        reading = f"{LAWS[law]} lie {values[law]:.3f} of the images' own spread away from images"
        # What a fit to few codes costs is no matter of chance: no interval would hold it.
        value = estimate if law != "full" else estimate.value
        found[f"samples_{law}"] = Found(value, reading + also.get(law, ""), null, each)
    return found


def _why(values: dict[str, float], has_places: bool) -> str:
    """What other laws' samples say about a prior that fails."""
    prior = values.get("prior", 0)
    if prior <= SEEN:
        return ""
    if values["aggregate"] > prior / 2:
        return "; other images' codes are no better: it is the decoder, not the prior"
    if values.get("token", prior) <= prior / 2:
        return "; the tokens' own Gaussian does better: codes are not of the prior's size"
    if values["full"] > prior / 2:
        return "; no Gaussian does better: codes need a closer law, such as a flow's"
    why = "places are dependent" if has_places else "codes have other moments than N(0, I)"
    return f"; the prior fails because {why}, not because balls leave gaps"


def of_tokens(codes: Tensor, noise: Tensor) -> Tensor:
    """Codes whose places are independent, each N(m, Σ) of all tokens of ``codes``."""
    tokens = codes.double().flatten(2).mT.reshape(-1, codes.shape[1])
    mean = tokens.mean(0)
    away = tokens - mean
    values, axes = torch.linalg.eigh(away.mT @ away / (len(tokens) - 1))
    root = axes * values.clamp_min(0).sqrt()
    drawn = torch.einsum("cd,nd...->nc...", root, noise.double())
    return (drawn + mean.view(-1, *[1] * (codes.ndim - 2))).to(codes.dtype)


def of_codes(codes: Tensor, weights: Tensor) -> Tensor:
    r"""Draws from N(m, S) of the moments of whole codes, for weights ~ N(0, 1), (draws, codes).

    .. math:: z = m + \frac1{\sqrt{n - 1}} \sum_i w_i\, (z_i - m)

    No matrix of size d² is made, and none has to be invertible.
    """
    flat = codes.flatten(1)
    mean = flat.mean(0)
    drawn = mean + weights.to(flat) @ (flat - mean) / (len(flat) - 1) ** 0.5
    return drawn.unflatten(1, codes.shape[1:])


def distances(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Euclidean, of all pairs, (n, m), float64; within one sample if there is one."""
    other = a if b is None else b
    kind = torch.float64 if a[0].numel() <= WIDE else torch.float32
    a, other = a.to(kind).flatten(1), other.to(kind).flatten(1)
    middle = other.mean(0)
    away = torch.cdist(a - middle, other - middle).double()
    return away.fill_diagonal_(0) if b is None else away  # rounding else


def energy(x: Tensor, y: Tensor, within: Tensor) -> tuple[Estimate, Tensor]:
    r"""Energy distance of two samples of one size, over the spread of the first; and what each
    pair of samples brings to it. ``within``: the distances of x.

    U-statistics, so 0 on average for equal laws. The terms of first order in a sample,

    .. math:: \psi_i = \frac{2 (a_{i\cdot} - a) - 2 (1 + R) (b_{i\cdot} - b)}{b}, \qquad
              \psi_j = \frac{2 (a_{\cdot j} - a) - 2 (c_{j\cdot} - c)}{b}

    with row means :math:`a_{i\cdot}`, have the variance of the first order and twice the second's,
    which alone is left where laws are equal; it is taken off once.
    """
    n = len(x)
    across, beside = distances(x, y), distances(y)
    a, b, c = across.mean(), within.sum() / (n * (n - 1)), beside.sum() / (n * (n - 1))
    value = (2 * a - c) / b - 1
    of_x = 2 * (across.mean(1) - a) - 2 * (1 + value) * (within.sum(1) / (n - 1) - b)
    of_y = 2 * (across.mean(0) - a) - 2 * (beside.sum(1) / (n - 1) - c)
    rest = across - across.mean(0) - across.mean(1, keepdim=True) + a
    second = 4 * rest.square().sum() + 2 * (1 + value) ** 2 * _unseen(within) + 2 * _unseen(beside)
    second = second / (n * (n - 1)) ** 2
    first = (of_x.var() + of_y.var()) / n
    variance = torch.maximum(first - second, second) / b**2
    return Estimate.t(value.item(), variance.sqrt().item(), n), value + (of_x + of_y) / b


def _unseen(t: Tensor) -> Tensor:
    """Sum of squares of what row means do not explain, off the diagonal."""
    n = len(t)
    rows, all_of = t.sum(1), t.sum()
    rest = t - (rows[:, None] + rows) / (n - 2) + all_of / ((n - 1) * (n - 2))
    return rest.fill_diagonal_(0).square().sum()


def holes(study: Study) -> dict[str, Found]:
    r"""Does the decoder know what lies between codes? How far midpoints come back from themselves.

    .. math:: \frac{\langle \|\mu(g(m)) - m\|^2 \rangle}{\langle \|\mu(g(z)) - z\|^2 \rangle},
              \qquad m = \tfrac12 (z + z')

    over the latents that carry more than .01 nats. In a linear model :math:`z - \mu(g(z)) =
    (I - K) z`, and midpoints of independent codes have half their variance: ½. Neighbours may be
    more alike: their null is computed, :math:`\sum_j \sigma_j^4 m_j^2 / \sum_j \sigma_j^4 z_j^2`.

    Raises ``Unmeasured`` where no latent is in use, or for fewer than 4 images.
    """
    count = min(study.sizes.holes, study.n // 2)
    if count < 2:
        raise Unmeasured(f"{study.n} images: midpoints of two pairs are the least")
    z = study.z
    live, weight = torch.ones_like(z[0]), torch.ones_like(z[0])
    if study.kind == "gaussian":
        mu, sigma = study.mu.double(), study.sigma.double()
        rate = (mu.square() + sigma.square() - 1) / 2 - sigma.log()
        live = (rate.mean(0) > LIVE).to(z)
        weight = sigma.square().mean(0).square().to(z)
    if not live.any():
        raise Unmeasured("no latent carries more than .01 nats")
    weight = weight * live
    own = z[:count]
    others = z[count:]
    partner = _neighbours((own * live).flatten(1), (others * live).flatten(1))
    middles = {"far": (own + others[:count]) / 2, "near": (own + others[partner]) / 2}

    def missed(codes: Tensor) -> Tensor:
        back = study.mean_code(study.decoded(codes))
        return ((back - codes) * live).flatten(1).square().sum(1)

    # Codes that come back exactly have no holes between them if midpoints do too.
    at_codes = missed(own) + EXACT * own.flatten(1).square().sum(1).mean()
    # Pairs are independent, so the null of the far ones needs no sample.
    near = (weight * middles["near"].square()).sum() / (weight * own.square()).sum()
    nulls = {"far": 0.5, "near": near.item()}
    found = {}
    for name, m in middles.items():
        estimate, each = ratio(missed(m), at_codes)
        which = "nearest codes" if name == "near" else "any two codes"
        found[f"holes_{name}"] = Found(
            estimate,
            f"halfway between {which} what comes back is {estimate.value:.2f} times as far off as "
            f"at codes; {nulls[name]:.2f} in a linear model",
            nulls[name],
            each,
        )
    return found


def _neighbours(codes: Tensor, others: Tensor) -> Tensor:
    """Of each code the nearest other one that no code before it has: pairs are independent."""
    away, chosen = torch.cdist(codes, others), []
    for row in away:
        chosen.append(int(row.argmin()))
        away[:, chosen[-1]] = torch.inf
    return torch.tensor(chosen, device="cpu")
