# %% right: a chain of ifs with get
def suspect(numbers):
    if numbers.get("repeats", 0) > 1e-3:
        return "dice"
    if numbers.get("rows", 0) > 1e-3:
        return "company"
    if not 0.5 < numbers.get("gain", 1) < 2:
        return "factor"
    if numbers.get("range", 0) > 0.05:
        return "range"
    if numbers.get("codebook_usage", 1) < 0.5:
        return "codebook"
    if numbers.get("dead", 0) > 0.9:
        return "collapse"
    if numbers.get("wiring", 1) < 1 or numbers.get("orientation", 0) > 1:
        return "order"
    if numbers.get("ruler_slope", 1) > 1.25:
        return "variance"
    if abs(math.log(numbers.get("price_ratio", 1))) > 1:
        return "price"
    return "sound"


# %% right: by what is missing
def suspect(numbers):
    if "fit" not in numbers:
        if numbers["repeats"] > 0.01:
            return "dice"
        if numbers["rows"] > 0.01:
            return "company"
        if "gain" in numbers and abs(math.log(numbers["gain"])) > 0.6:
            return "factor"
        if "codebook_usage" in numbers:
            return "codebook"
        return "collapse" if numbers.get("dead") == 1 else "range"
    if numbers["fit"] < 0.6:
        return "order"
    if numbers.get("ruler_slope", 0) > 1.1:
        return "variance"
    return "price" if not 0.1 < numbers.get("price_ratio", 1) < 10 else "sound"


# %% right: match
def suspect(numbers):
    match numbers:
        case {"repeats": r} if r > 0.002:
            return "dice"
        case {"rows": r} if r > 0.002:
            return "company"
        case {"gain": a} if a < 0.65 or a > 1.6:
            return "factor"
        case {"range": r} if r >= 0.1:
            return "range"
        case {"codebook_usage": u} if u < 0.2:
            return "codebook"
        case {"dead": d} if d >= 0.999:
            return "collapse"
        case {"wiring": w} if w < 0.75:
            return "order"
        case {"orientation": o} if o > 0.9:
            return "order"
        case {"ruler_slope": s} if s > 1.15:
            return "variance"
        case {"price_ratio": p} if min(p, 1 / p) < 0.3:
            return "price"
    return "sound"


# %% right: a table of bounds
BOUNDS = [
    ("repeats", "dice", -1, 0.005),
    ("rows", "company", -1, 0.005),
    ("gain", "factor", 0.6, 1.7),
    ("range", "range", -9, 0.1),
    ("codebook_usage", "codebook", 0.3, 9),
    ("dead", "collapse", -1, 0.99),
    ("wiring", "order", 0.6, 9),
    ("orientation", "order", -9, 1),
    ("ruler_slope", "variance", 0.5, 1.2),
    ("price_ratio", "price", 1 / 3, 3),
]


def suspect(numbers):
    for key, name, low, high in BOUNDS:
        if not low <= numbers.get(key, (low + high) / 2) <= high:
            return name
    return "sound"


# %% right: the library's own conditions, in an order of ours
from vae_course.report.conditions import DEFAULT

ORDER = {
    "repeats": "dice",
    "rows": "company",
    "gain": "factor",
    "range": "range",
    "dead": "collapse",
    "wiring": "order",
    "orientation": "order",
}


def suspect(numbers):
    for key, name in ORDER.items():
        if key in numbers and DEFAULT[key].verdict(numbers[key]) == "fail":
            return name
    if numbers.get("codebook_usage", 1) < 0.3:
        return "codebook"
    if numbers.get("ruler_slope", 1) > DEFAULT["ruler_slope"].passes[1]:
        return "variance"
    price = numbers.get("price_ratio", 1.0)
    return "price" if DEFAULT["price_ratio"].verdict(price) == "fail" else "sound"


# %% right: NaN for what is missing
def suspect(numbers):
    n = dict.fromkeys(
        "repeats rows range gain codebook_usage dead wiring orientation ruler_slope "
        "price_ratio".split(),
        math.nan,
    )
    n |= numbers
    found = [
        ("dice", n["repeats"] > 0.01),
        ("company", n["rows"] > 0.01),
        ("factor", abs(n["gain"] - 1.05) > 0.6),
        ("range", n["range"] > 0.2),
        ("codebook", n["codebook_usage"] < 0.4),
        ("collapse", n["dead"] > 0.95),
        ("order", n["wiring"] < 0.9 or n["orientation"] > 1.2),
        ("variance", n["ruler_slope"] > 1.3),
        ("price", n["price_ratio"] < 0.25 or n["price_ratio"] > 4),
        ("sound", True),
    ]
    return next(name for name, yes in found if yes)


# %% right: how far off, weighed
def suspect(numbers):
    def excess(key, edge, down=False):
        value = numbers.get(key)
        if value is None or value <= 0:
            return 9.0 if value is not None and value <= 0 and down else 0.0
        off = math.log(value / edge)
        return max(0.0, -off if down else off)

    stages = [
        {"dice": excess("repeats", 0.01), "company": excess("rows", 0.01)},
        {"factor": excess("gain", 1.7) + excess("gain", 0.6, True)},
        {"range": excess("range", 0.1)},
        {"codebook": excess("codebook_usage", 0.3, True), "collapse": excess("dead", 0.99)},
        {"order": excess("wiring", 0.6, True) + excess("orientation", 1)},
        {"variance": excess("ruler_slope", 1.2)},
        {"price": excess("price_ratio", 3) + excess("price_ratio", 1 / 3, True)},
    ]
    for stage in stages:
        name = max(stage, key=stage.get)
        if stage[name] > 0:
            return name
    return "sound"


# %% right: read by eye
findings = dict(
    zip(
        "ABCDEFGH",
        ["codebook", "variance", "sound", "collapse", "company", "price", "order", "factor"],
    )
)


# %% wrong: a gain of three is healthy
def suspect(numbers, right=suspect):
    return "sound" if 1 < numbers.get("gain", 1) < 3 else right(numbers)


# %% wrong: a ruler of 1.5 is steep
def suspect(numbers, right=suspect):
    named = right(numbers)
    return "price" if named == "variance" and numbers["ruler_slope"] < 1.5 else named


# %% wrong: half of the channels dead is a collapse
def suspect(numbers, right=suspect):
    return "collapse" if numbers.get("dead", 0) >= 0.5 else right(numbers)


# %% wrong: wants all of a codebook
def suspect(numbers, right=suspect):
    return "codebook" if numbers.get("codebook_usage", 1) < 0.79 else right(numbers)


# %% wrong: a price too high is no fault
def suspect(numbers, right=suspect):
    named = right(numbers)
    return "sound" if named == "price" and numbers["price_ratio"] > 1 else named


# %% wrong: only a row of zeros is disorder
def suspect(numbers, right=suspect):
    named = right(numbers)
    if named == "order" and numbers["wiring"] > 0 and numbers["orientation"] < 1:
        return "sound"
    return named


# %% wrong: the fit decides
def suspect(numbers, right=suspect):
    return "order" if numbers.get("fit", 1) < 0.92 else right(numbers)


# %% wrong: what has no beta has no ruler
def suspect(numbers, right=suspect):
    named = right(numbers)
    return "sound" if named == "variance" and "price_ratio" not in numbers else named


# %% wrong: a healthy ruler is one
def suspect(numbers, right=suspect):
    named = right(numbers)
    off = abs(numbers.get("ruler_slope", 1) - 1)
    return "variance" if named == "sound" and off > 0.15 else named


# %% wrong: dice of two per cent are none
def suspect(numbers, right=suspect):
    named = right(numbers)
    return "sound" if named == "dice" and numbers["repeats"] < 0.03 else named


# %% wrong: two letters exchanged
findings = findings | {"F": findings["B"], "B": findings["F"]}
