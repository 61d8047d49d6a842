"""Every public function on tensors, once, with arguments that it takes: one list for two tables.

``tests/test_bad_input.py`` spoils the arguments one after the other; ``tests/test_transforms.py``
sends the calls through PyTorch's transforms. A new public name belongs here: a test counts them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vae_course import distortion, evaluation, gaussian, isometry, quantization, spd, sphere
from vae_course.evaluation import nulls

PACKAGES = {
    "distortion": distortion,
    "evaluation": evaluation,
    "gaussian": gaussian,
    "isometry": isometry,
    "nulls": nulls,
    "quantization": quantization,
    "spd": spd,
    "sphere": sphere,
}


@dataclass(frozen=True)
class Entry:
    """A public name, a call of it and good arguments for the call."""

    name: str
    call: Callable[..., Any]
    tensors: dict[str, Tensor]
    takes: frozenset[str] = frozenset()
    """``argument: spoiling`` that are no mistakes here, with a finite result."""
    passes: frozenset[str] = frozenset()
    """``argument: spoiling`` whose NaN or infinity comes out, as the docstring says."""
    refuses: dict[str, str] = field(default_factory=dict)
    """Transforms that can't be, each with the words of the docstring that say so."""

    def __call__(self, **changed: Any) -> Any:
        return self.call(**(self.tensors | changed))

    @property
    def public(self) -> Any:
        """The function or class itself: its docstring is what users read."""
        package, name, *method = self.name.split(".")
        found = getattr(PACKAGES[package], name)
        return getattr(found, method[0]) if method else found


def words(*listed: str) -> frozenset[str]:
    """``"mu sigma: scalar, more rows"`` as one word an argument and spoiling."""
    return frozenset(
        f"{name}: {spoiling}"
        for line in listed
        for name in line.partition(": ")[0].split()
        for spoiling in line.partition(": ")[2].split(", ")
    )


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def positive(*shape: int, seed: int = 0) -> Tensor:
    return 0.5 + torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return sphere.normalise(normal(*shape, seed=seed))


def definite(*shape: int, seed: int = 0) -> Tensor:
    root = normal(*shape, shape[-1], seed=seed)
    return root @ root.mT + torch.eye(shape[-1])


class Decoder(nn.Module):
    """Smooth, small, from codes of 3 numbers to images of 1 x 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 64))
        self.requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.layers(z)).unflatten(-1, (1, 8, 8))


DECODER = Decoder()
BALLS = {"mu": normal(6, 3), "sigma": positive(6, 3)}
PAIR = {
    "mu1": normal(6, 3),
    "sigma1": positive(6, 3),
    "mu2": normal(6, 3, seed=1),
    "sigma2": positive(6, 3, seed=1),
}
IMAGES = {"x": DECODER(normal(6, 3)), "x_hat": DECODER(normal(6, 3, seed=1))}
ROWS = "no rows, one row, fewer axes"  # what functions of whole batches may well get


def laws() -> Iterator[Entry]:
    """The spherical laws, and what a law does with tensors."""
    for law, name in (
        (sphere.SphericalCauchy, "r"),
        (sphere.VonMisesFisher, "concentration"),
        (sphere.PowerSpherical, "concentration"),
    ):
        kind, good = f"sphere.{law.__name__}", {"loc": unit(6, 3), name: positive(6)}

        def rate(law=law, name=name, **given: Any) -> Tensor:
            return law(given["loc"], given[name]).kl_to_uniform()

        def log_prob(law=law, name=name, **given: Any) -> Tensor:
            return law(given["loc"], given[name]).log_prob(given["value"])

        def transport(law=law, name=name, **given: Any) -> Tensor:
            return law(given["loc"], given[name]).transport(given["eps"])

        noise = normal(6, law(**good).noise_dim)
        takes = words(f"loc: {ROWS}", f"{name}: number, scalar, one row")
        yield Entry(f"{kind}.kl_to_uniform", rate, good, takes)
        takes |= words(f"value: {ROWS}")
        yield Entry(f"{kind}.log_prob", log_prob, good | {"value": unit(6, 3, seed=1)}, takes)
        yield Entry(f"{kind}.transport", transport, good | {"eps": noise}, takes)


def entries() -> Iterator[Entry]:
    """Every public function on tensors."""
    # ---- gaussian
    for name in ("kl", "bhattacharyya", "bhattacharyya_distance"):
        takes = words(f"mu1 sigma1 mu2 sigma2: {ROWS}")
        yield Entry(f"gaussian.{name}", getattr(gaussian, name), PAIR, takes)
    takes = words(f"mu sigma: {ROWS}")
    yield Entry("gaussian.kl_to_standard_normal", gaussian.kl_to_standard_normal, BALLS, takes)
    for name in ("coverage", "information", "nearest_overlap"):
        yield Entry(f"gaussian.{name}", getattr(gaussian, name), BALLS)
    spatial = {"mu": normal(6, 3, 4), "sigma": positive(6, 3, 4)}
    yield Entry("gaussian.token_gap", gaussian.token_gap, spatial)

    # ---- sphere
    yield from laws()
    radii = {"r": positive(6)}
    takes = words(f"r: {ROWS}, scalar, number, narrower, wider")
    yield Entry("sphere.cauchy_kl", lambda r: sphere.cauchy_kl(r, 4), radii, takes)
    yield Entry(
        "sphere.cauchy_mean_cosine", lambda r: sphere.cauchy_mean_cosine(r, 4), radii, takes
    )
    yield Entry("sphere.coverage", sphere.coverage, {"codes": unit(40, 3)})
    two = {"a": unit(6, 3), "b": unit(6, 3, seed=1)}
    takes = words(f"a b: {ROWS}")
    yield Entry("sphere.angle", sphere.angle, two, takes)
    takes |= words("t: number, scalar, one row")
    yield Entry("sphere.slerp", sphere.slerp, two | {"t": positive(6) / 2}, takes)
    discs = {"loc1": unit(6, 3), "r1": positive(6), "loc2": unit(6, 3, seed=1), "r2": positive(6)}
    takes = words(f"loc1 loc2: {ROWS}", "r1 r2: number, scalar, one row")
    yield Entry("sphere.hyperbolic_distance", sphere.hyperbolic_distance, discs, takes)
    takes = words(f"x loc: {ROWS}", "r: number, scalar, one row")
    moved = {"x": unit(6, 3), "loc": unit(6, 3, seed=1), "r": positive(6)}
    yield Entry("sphere.moebius", sphere.moebius, moved, takes)
    takes = words(f"x: {ROWS}, narrower, wider")
    yield Entry(
        "sphere.normalise", sphere.normalise, {"x": normal(6, 3)}, takes, words("x: nan, inf")
    )
    yield Entry("sphere.check_loc", sphere.check_loc, {"loc": unit(6, 3)}, words(f"loc: {ROWS}"))
    for family in sphere.FAMILIES:

        def matched(family=family, **given: Tensor) -> Tensor:
            return sphere.matched(family, given["loc"], rate=given["rate"]).kl_to_uniform()

        def stretched(family=family, **given: Tensor) -> Tensor:
            return sphere.from_stretch(family, given["loc"], given["u"]).kl_to_uniform()

        takes = words(f"loc: {ROWS}", "rate u: number, scalar, one row")
        yield Entry("sphere.matched", matched, {"loc": unit(6, 3), "rate": positive(6)}, takes)
        yield Entry("sphere.from_stretch", stretched, {"loc": unit(6, 3), "u": positive(6)}, takes)

    # ---- distortion
    takes, passes = words("x x_hat: no rows"), words("x x_hat: nan, inf")
    for name in ("squared_error", "ssim", "edge"):
        yield Entry(f"distortion.{name}", getattr(distortion, name), IMAGES, takes, passes)
    flat = {"x": IMAGES["x"], "logits": IMAGES["x_hat"]}
    yield Entry(
        "distortion.bernoulli", distortion.bernoulli, flat, words("x logits: no rows"),
        words("x logits: nan, inf"),
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
    look = distortion.feature(network, ["1"])
    yield Entry("distortion.Feature.forward", look, IMAGES, takes, passes)

    def twin(images: Tensor) -> tuple[Tensor, ...]:
        return tuple(distortion.untrained_features(images).parameters())

    patches, fine = {"images": normal(8, 1, 16, 16)}, words("images: narrower, wider, one row")
    yield Entry("distortion.untrained_features", twin, patches, fine)
    mixed = distortion.combine(distortion.edge, 0.5, "null", constant=1.0)
    yield Entry("distortion.Combined.forward", mixed, IMAGES, takes, passes)
    critic = distortion.Adversarial(distortion.patch_discriminator(width=4), start=0).eval()
    critic.calls += 1  # it has woken up
    yield Entry("distortion.Adversarial.forward", critic, IMAGES, takes, passes)
    scores = {"real": normal(6, 4), "fake": normal(6, 4, seed=1)}
    takes = words("real fake: scalar, one row, narrower, wider, fewer axes", "real: inf")
    yield Entry(
        "distortion.hinge", distortion.hinge, scores, takes, words("real fake: nan", "fake: inf")
    )
    spectrum = {"eigenvalues": positive(5)}
    takes = words("eigenvalues: narrower, wider, one row")
    for name, number in (
        ("rate_at_beta", 0.1),
        ("beta_at_rate", 2.0),
        ("reverse_water_filling", 0.1),
        ("realistic_water_filling", 0.1),
        ("realistic_beta_at_rate", 2.0),
    ):

        def at(eigenvalues: Tensor, name: str = name, number: float = number) -> Any:
            return getattr(distortion, name)(eigenvalues, number)

        yield Entry(f"distortion.{name}", at, spectrum, takes)
    yield Entry("distortion.participation_ratio", distortion.participation_ratio, spectrum, takes)
    takes = words("sigma: narrower, wider, one row, fewer axes")
    yield Entry(
        "distortion.posterior_anisotropy", distortion.posterior_anisotropy,
        {"sigma": positive(6, 3)}, takes,
    )  # fmt: skip
    source = {"p": torch.full((3,), 1 / 3), "distortion_matrix": 1 - torch.eye(3)}
    yield Entry(
        "distortion.blahut_arimoto", lambda **given: distortion.blahut_arimoto(**given, beta=0.5),
        source, words("distortion_matrix: wider, narrower"),
    )  # fmt: skip
    images = {"data": normal(9, 4)}
    takes = words("data: narrower, wider")
    for name in ("lipschitz_squared", "null_scale"):

        def measure(data: Tensor, name: str = name) -> Any:
            return getattr(distortion, name)(distortion.squared_error, data)

        yield Entry(f"distortion.{name}", measure, images, takes)
    yield Entry(
        "distortion.metric_spectrum",
        lambda data: distortion.metric_spectrum(data, distortion.squared_error), images, takes,
    )  # fmt: skip
    yield Entry(
        "distortion.mean_metric",
        lambda data: distortion.mean_metric(data, distortion.squared_error), images, takes,
    )  # fmt: skip

    # ---- evaluation
    sets = {"a": normal(9, 2), "b": normal(8, 2, seed=1)}
    yield Entry(
        "evaluation.energy_distance", evaluation.energy_distance, sets, words("a b: whole, bool")
    )
    sets = {"generated": normal(9, 2), "reference": normal(8, 2, seed=1)}
    takes = words("generated reference: whole, bool")
    yield Entry("evaluation.precision_recall", evaluation.precision_recall, sets, takes)
    given = {"x": normal(9), "y": normal(9, seed=1), "given": normal(9, 2, seed=2)}
    yield Entry(
        "evaluation.partial_rank_correlation", evaluation.partial_rank_correlation, given,
        words("given: narrower, wider"),
    )  # fmt: skip
    takes = words("a: narrower, wider, one row")
    yield Entry("evaluation.max_t", evaluation.max_t, {"a": normal(3, 5)}, takes)
    groups = {"a": normal(3, 5), "b": normal(3, 4, seed=1)}
    takes = words("a b: narrower, wider", "b: none")
    yield Entry("evaluation.max_t", evaluation.max_t, groups, takes)
    found = {"inside": normal(9), "outside": normal(8, seed=1)}
    takes = words("inside outside: narrower, wider")
    yield Entry("evaluation.auroc", evaluation.auroc, found, takes)
    before = {"inside_before": normal(9, seed=2), "outside_before": normal(8, seed=3)}
    yield Entry("evaluation.auroc_gain", evaluation.auroc_gain, found | before)

    # ---- nulls
    yield Entry(
        "nulls.linear_code",
        lambda eigenvalues: nulls.linear_code(eigenvalues, 9, 0.5, draws=2),
        {"eigenvalues": positive(3)}, words("eigenvalues: narrower, wider, one row"),
    )  # fmt: skip
    unseen = {"mu_test": normal(4, 3, seed=1), "sigma_test": positive(4, 3, seed=1)}
    yield Entry("nulls.held_out_gap", nulls.held_out_gap, BALLS | unseen)
    yield Entry(
        "nulls.precision_recall", lambda real: nulls.precision_recall(real, 9, 8, draws=2),
        {"real": normal(20, 2)}, words("real: narrower, wider"),
    )  # fmt: skip

    # ---- quantization
    search = {"z": normal(9, 2), "codebook": normal(4, 2, seed=1)}
    yield Entry(
        "quantization.nearest",
        quantization.nearest,
        search,
        words("z: no rows, one row", "codebook: one row"),
    )
    takes = words(f"z: {ROWS}, another rank, fewer axes")
    for quantizer in (
        quantization.VectorQuantizer(4, 2).eval(),
        quantization.FiniteScalarQuantizer([5, 5]),
    ):
        kind = f"quantization.{type(quantizer).__name__}"
        yield Entry(f"{kind}.forward", quantizer, {"z": normal(9, 2)}, takes)

    # ---- spd
    pair = {"a": definite(6, 3), "b": definite(6, 3, seed=1)}
    takes = words("a b: no rows, one row, fewer axes")
    for name in (
        "affine_invariant_distance",
        "bures_distance",
        "log_euclidean_distance",
        "projection_distance",
    ):
        yield Entry(f"spd.{name}", getattr(spd, name), pair, takes)
    for metric in ("log_euclidean", "affine_invariant", "bures"):

        def path(metric: str = metric, **given: Tensor) -> Tensor:
            return spd.geodesic(given["a"], given["b"], given["t"], metric)

        yield Entry(
            "spd.geodesic", path, pair | {"t": torch.tensor(0.3)},
            takes | words("t: number, list"),
        )  # fmt: skip
    takes = words("s: no rows, one row, fewer axes")
    for name in (
        "log_euclidean_embedding",
        "matrix_exp",
        "matrix_log",
        "matrix_sqrt",
        "range_projector",
    ):
        yield Entry(f"spd.{name}", getattr(spd, name), {"s": definite(6, 3)}, takes)
    yield Entry("spd.regularised", lambda s: spd.regularised(s, 0.1), {"s": definite(6, 3)}, takes)
    for metric in ("log_euclidean", "affine_invariant", "bures"):

        def middle(metric: str = metric, **given: Tensor) -> Tensor:
            return spd.mean(**given, metric=metric, iterations=40)

        yield Entry(
            "spd.mean", middle, {"s": definite(2, 4, 3), "weights": positive(4)},
            words("s: one row, another rank, fewer axes", "weights: none"),
        )  # fmt: skip
    basis = {"a": normal(6, 5, 2), "b": normal(6, 5, 3, seed=1)}
    takes = words("a b: no rows, one row, narrower, fewer axes")
    yield Entry("spd.principal_angles", spd.principal_angles, basis, takes)
    takes = words("x: no rows, one row, narrower, wider, fewer axes")
    yield Entry(
        "spd.principal_subspace",
        lambda x: spd.principal_subspace(x, 1),
        {"x": normal(6, 5, 2)},
        takes,
    )
    gram = {"gram": definite(5)}
    for name in ("centred_gram", "gram_report", "hilbert_coordinates", "hilbert_dimension"):
        yield Entry(f"spd.{name}", getattr(spd, name), gram)
    apart = {"distances": torch.cdist(normal(5, 2), normal(5, 2))}
    yield Entry("spd.distance_gram", spd.distance_gram, apart)
    takes = words("distances: no rows, one row, narrower, wider, fewer axes, scalar")
    yield Entry(
        "spd.gaussian_kernel", lambda distances: spd.gaussian_kernel(distances, 1.0), apart, takes
    )
    yield Entry(
        "spd.pairwise_distances",
        lambda points: spd.pairwise_distances(spd.log_euclidean_distance, points),
        {"points": definite(5, 2)}, words("points: one row"),
    )  # fmt: skip
    codes = {"z": normal(6, 4, 3, 2)}
    takes = words("z: no rows, one row, narrower, wider, fewer axes")
    yield Entry("spd.channels_last", spd.channels_last, codes, takes, words("z: nan, inf"))
    yield Entry("spd.mode_covariances", spd.mode_covariances, codes, takes)
    for name in ("mode_singular_values", "numerical_rank", "unfold"):

        def mode(z: Tensor, name: str = name) -> Tensor:
            return getattr(spd, name)(z, 1)

        passes = words("z: nan, inf") if name == "unfold" else frozenset()
        yield Entry(f"spd.{name}", mode, codes, takes, passes)

    # ---- isometry
    z = {"z": normal(4, 3)}
    takes = words("z: one row")
    yield Entry("isometry.jacobian", lambda z: isometry.jacobian(DECODER, z), z, takes)
    yield Entry(
        "isometry.pullback_metric", lambda z: isometry.pullback_metric(DECODER, z), z, takes
    )
    yield Entry(
        "isometry.tangent_log_det", lambda z: isometry.tangent_log_det(DECODER, z, None), z, takes
    )
    for steps in (48, 1):  # all eigenvalues, and a quadrature

        def roots(z: Tensor, steps: int = steps) -> Tensor:
            found = isometry.spectrum(DECODER, z, probes=1, steps=steps)
            return found.per_code(torch.sqrt)

        yield Entry("isometry.spectrum", roots, z, takes)
    yield Entry("isometry.largest", lambda z: isometry.largest(DECODER, z, 2), z, takes)
    yield Entry("isometry.trace", lambda z: isometry.trace(DECODER, z), z, takes)
    yield Entry("isometry.diagonal", lambda z: isometry.diagonal(DECODER, z), z, takes)
    ball = {"z": normal(4, 3), "sigma": positive(4, 3)}
    yield Entry("isometry.bend", lambda **given: isometry.bend(DECODER, **given), ball)
    along = {"z": normal(4, 3), "v": normal(4, 3, seed=1)}
    yield Entry("isometry.curvature", lambda **given: isometry.curvature(DECODER, **given), along)
    ends = {"z0": normal(2, 3), "z1": normal(2, 3, seed=1)}
    yield Entry(
        "isometry.geodesic",
        lambda **given: isometry.geodesic(DECODER, **given, segments=4, iterations=100), ends,
    )  # fmt: skip
    takes = words("x: no rows", "v: no rows")
    tangent = {"x": IMAGES["x"], "v": normal(2, 6, 1, 8, 8)}
    for name in ("metric_bce", "metric_logits", "metric_ssim"):
        yield Entry(
            f"isometry.{name}",
            getattr(isometry, name),
            tangent,
            words("v: one row, fewer axes", "x: fewer axes"),
        )
    yield Entry(
        "isometry.ssim_distortion",
        isometry.ssim_distortion,
        IMAGES,
        words("x x_hat: no rows"),
        words("x x_hat: nan, inf"),
    )
    yield Entry("isometry.active_units", isometry.active_units, BALLS)
    yield Entry(
        "isometry.importance",
        lambda sigma: isometry.importance(sigma, 0.5),
        {"sigma": BALLS["sigma"] / 2},
        words("sigma: one row, narrower, wider"),
    )
    yield Entry(
        "isometry.isometric_coordinates",
        lambda **given: isometry.isometric_coordinates(**given, beta=0.5),
        BALLS,
    )
    yield Entry(
        "isometry.log_density",
        lambda **given: isometry.log_density(**given, beta=0.5),
        {"mu": BALLS["mu"], "sigma": BALLS["sigma"] / 3},
    )
    yield Entry(
        "isometry.isometricity",
        lambda **given: isometry.isometricity(DECODER, **given, beta=0.5),
        BALLS,
    )
    yield Entry(
        "isometry.effective_price",
        lambda **given: isometry.effective_price(DECODER, **given),
        {"mu": BALLS["mu"], "sigma": BALLS["sigma"] / 2},
    )
    yield Entry(
        "isometry.precision_spectrum",
        lambda **given: isometry.precision_spectrum(DECODER, **given, beta=0.5),
        {"z": normal(6, 3)},
        words("z: one row"),
    )
    yield Entry(
        "isometry.price_isometricity",
        lambda **given: isometry.price_isometricity(DECODER, **given, beta=0.5, draws=2),
        {"x": IMAGES["x"], "mu": normal(6, 3), "sigma": positive(6, 3)},
    )  # fmt: skip


ENTRIES = list(entries())
# Public names that take no tensor, or that are made of those above.
OTHERS = {
    "distortion": "Adversarial Combined Distortion NAMED RateDistortion SpectralConv2d "
    "WaterFilling combine feature named patch_discriminator Feature "
    "imagenet_features perceptual",
    "evaluation": "Estimate Interval MaxT PrecisionRecall bootstrap importance_bound wilson",
    "gaussian": "Information Shell TokenGap convert_beta shell shell_mass",
    "isometry": "Decoder Eigen Geodesic Importance Metric Price Pullback Spectrum metric_scaled",
    "nulls": "ChancePrecisionRecall LinearCode matched_correlation neighbour_accuracy "
    "principal_angles",
    "quantization": "FiniteScalarQuantizer Quantized VectorQuantizer perplexity usage",
    "spd": "GramReport rank_ceiling stratum_dimension",
    "sphere": "Coverage FAMILIES PowerSpherical SphericalCauchy SphericalLaw SphericalUniform "
    "VonMisesFisher check_family log_area unit_sphere",
}
