"""What comes back: of μ, of draws around it, and of one channel changed at a time."""

import math

from vae_course.report.errors import first_order, ratio, squared
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.numerals import number
from vae_course.report.study import Study
from vae_course.report.tokens import DEAD

SHOWN = 8


def fit(study: Study) -> dict[str, Found | Unmeasured]:
    r"""How good are reconstructions?

    .. math:: R^2 = 1 - \frac{\sum_i \|x_i - g(\mu_i)\|^2}{\sum_i \|x_i - \bar x\|^2}
    """
    study.tables["shown"], study.tables["shown_mean"] = study.x[:SHOWN], study.at_mean[:SHOWN]
    if study.kind != "point" and study.kind != "codebook":
        study.tables["shown_draw"] = study.at_draw[:SHOWN]
    errors = squared(study.x, study.at_mean)
    lost, each = ratio(errors, study.power)
    value = 1 - lost.value
    kept = first_order(value, -each)
    low, high = study.value_range
    numbers = study.x[0].numel()
    peak = 20 * math.log10(high - low)
    mse = errors.mean().item() / numbers
    decibels = peak - 10 * math.log10(max(mse, 1e-30))
    change = -10 / math.log(10) * errors / errors.mean().clamp_min(1e-300)
    psnr = first_order(decibels, change)
    null = peak - 10 * math.log10(max(study.power.mean().item() / numbers, 1e-30))
    return {
        "fit": Found(
            kept[0], f"μ brings back {number(value)} of the images' variance", 0.0, kept[1]
        ),
        "psnr": Found(
            psnr[0],
            f"{number(decibels)} dB; the mean image would have {number(null)}",
            null,
            psnr[1],
        ),
    }


def contract(study: Study) -> dict[str, Found | Unmeasured]:
    """What more is lost at draws, one σ and two σ out."""
    x, at_mean = study.x, squared(study.x, study.at_mean)
    found: dict[str, Found | Unmeasured] = {}
    lost, each = ratio(squared(x, study.at_draw) - at_mean, study.power)
    null = None
    # β is in units of squared error there, and of nothing else.
    if study.kind == "gaussian" and study.declared.beta is not None and study.metric is None:
        free = (1 - study.sigma.square()).clamp_min(0).flatten(1).sum(1).mean().item()
        null = study.declared.beta / 2 * free / study.power.mean().item()
    kind = "the decoder understands its balls"
    if lost.value > 0.25:
        kind = "the decoder does not understand all of a ball: σ is too wide for it, or it was "
        kind += "trained at μ alone"
    found["contract"] = Found(
        lost, f"a draw costs {number(lost.value)} of the images' variance beside μ: {kind}", null,
        each,
    )  # fmt: skip
    if study.kind != "gaussian":
        return found | {"contract_twice": Unmeasured("a law on the sphere has no σ")}
    mu = study.mu[: len(x)]
    far = study.decoded(mu + 2 * (study.z[: len(x)] - mu))
    twice, each = ratio(squared(x, far) - at_mean, study.power)
    times = twice.value / lost.value if lost.value > 0 else math.inf
    found["contract_twice"] = Found(
        twice,
        f"two σ out {number(twice.value)} is lost, {number(times)} times as much as at one",
        4 * lost.value,
        each,
    )
    return found


def heard(study: Study) -> dict[str, Found | Unmeasured]:
    """How far the noise moves images."""
    moved, each = ratio(squared(study.at_draw, study.at_mean), study.power)
    kind = "it hears its noise, and is not drowned by it"
    if moved.value < 1e-3:
        kind = "it hardly hears its noise: σ is too small to matter, or the decoder is deaf"
    elif moved.value > 0.4:
        kind = "noise is as loud as what is said"
    said = f"a draw moves an image by {number(moved.value)} of the images' variance: {kind}"
    return {"heard": Found(moved, said, None, each)}


def spread(study: Study) -> dict[str, Found | Unmeasured]:
    """Do decoded images differ as images do?"""
    y = study.at_mean
    n = len(y)
    shown = squared(y, y.mean(0)) * (n / max(n - 1, 1))
    value, each = ratio(shown, study.power)
    kept = 1 - (squared(study.x, y).mean() / study.power.mean()).item()
    kind = ": the decoder shows one image" if value.value < 0.1 else ""
    said = f"decoded images vary by {number(value.value)} of what images do{kind}"
    return {"spread": Found(value, said, kept, each)}


def deaf(study: Study) -> dict[str, Found | Unmeasured]:
    """Is each channel that costs something heard, and is each that costs nothing not?"""
    k = min(study.sizes.swapped, study.n // 2, len(study.x))
    if k < 2:
        raise Unmeasured(f"{study.n} images: four are the least of which two can be swapped")
    z, donors = study.z[:k], study.z[study.n - k :]
    power, base = study.power[:k], study.at_draw[:k]
    found: dict[str, Found | Unmeasured] = {}
    live = study.tokens.live[: study.sizes.channels].tolist()
    moved = []
    for c in live:
        swapped = z.clone()
        swapped[:, c] = donors[:, c]
        moved.append(ratio(squared(study.decoded(swapped), base), power))
    if moved:
        at = min(range(len(live)), key=lambda i: moved[i][0].value)
        least, each = moved[at]
        unheard = [str(c) for c, m in zip(live, moved, strict=True) if m[0].value < 1e-3]
        said = f"the least heard live channel, {live[at]}, moves images by {number(least.value)} "
        said += "of their variance when another image's is put in"
        if unheard:
            said = f"the decoder does not hear channels {', '.join(unheard)}, which cost something"
        found["deaf"] = Found(least, said, 0.0, each)
    else:
        found["deaf"] = Unmeasured("no channel costs .05 nats a dimension")
    if study.kind != "gaussian":
        return found | {"dead_heard": Unmeasured("codes without noise have no dead channels")}
    silent = (study.tokens.channel_rates < DEAD).nonzero().flatten()
    if not len(silent):
        return found | {"dead_heard": Unmeasured("no channel is dead")}
    drawn = z.clone()
    drawn[:, silent] = study.noise("dead", z[:, silent])
    loud, each = ratio(squared(study.decoded(drawn), base), power)
    kind = "the decoder does not use them"
    if loud.value > 0.05:
        kind = "the decoder listens to what the encoder does not say"
    said = f"dead channels, drawn anew, move images by {number(loud.value)} of their variance"
    return found | {"dead_heard": Found(loud, f"{said}: {kind}", 0.0, each)}
