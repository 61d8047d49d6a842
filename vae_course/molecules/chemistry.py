"""What a chemist asks of generated strings: which are molecules, which are new, what lies between.

Needs RDKit, the extra ``molecules``. "Valid" means that RDKit reads the string as a molecule; it
does not mean stable, or that anyone could make it.
"""

import html
import itertools
import re
import textwrap
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from vae_course.evaluation.intervals import Interval, wilson
from vae_course.lab.plotting import Picture

try:
    from rdkit import Chem, DataStructs, rdBase
    from rdkit.Chem import QED, rdFingerprintGenerator, rdMolDescriptors
    from rdkit.Chem.Draw import rdMolDraw2D
    from rdkit.Chem.Scaffolds import MurckoScaffold
except ImportError as error:
    raise ImportError(
        "vae_course.molecules.chemistry needs RDKit: pip install 'vae_course[molecules]'"
    ) from error

_READING: Any = Chem.SmilesParserParams()
_READING.allowCXSMILES = _READING.parseName = False  # no remarks after a blank


def molecule(smiles: str) -> Any:
    """RDKit's molecule, or None where the string is none; never a line on the console.

    The empty string, blanks, characters beyond ASCII and the wildcard ``*`` make no molecule here:
    RDKit would accept the first and the last, and read some others up to where they go wrong.
    """
    if not smiles or not smiles.isascii() or re.search(r"[\s*]", smiles):
        return None
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(smiles, _READING)


def valid(strings: Sequence[str]) -> list[bool]:
    """Which strings are molecules: RDKit parses them, with valences and aromatic rings that work.

    A weak word: a row of C is valid at any length.
    """
    return [molecule(s) is not None for s in strings]


def canonical(smiles: str) -> str | None:
    """The one string that RDKit writes for a molecule, however it was spelt; None if invalid.

    "One" holds within a version of RDKit.
    """
    found = molecule(smiles)
    return None if found is None else Chem.MolToSmiles(found)


def same_molecule(a: str, b: str) -> bool:
    """Whether two strings spell one molecule; False if either is invalid.

    Equal strings are the stricter test: a decoder may know the molecule and spell it otherwise.
    """
    first = canonical(a)
    return first is not None and first == canonical(b)


def scaffold(smiles: str) -> str:
    """Bemis-Murcko scaffold: the rings and the chains between them, canonical.

    Empty for a molecule without rings. ValueError for an invalid string. Source: Bemis and Murcko
    1996; RDKit's version keeps atoms that hang on a ring or a linker by a double bond.
    """
    return MurckoScaffold.MurckoScaffoldSmiles(mol=_required(smiles))


def qed(smiles: str) -> float:
    """Quantitative estimate of drug-likeness, in (0, 1): a mean of eight desirabilities.

    ValueError for an invalid string. Source: Bickerton et al. 2012.
    """
    return QED.qed(_required(smiles))


def logp(smiles: str) -> float:
    """Estimated log10 of the octanol-water partition coefficient; larger is greasier.

    ValueError for an invalid string. Source: Wildman and Crippen 1999, sums over atom types.
    """
    return rdMolDescriptors.CalcCrippenDescriptors(_required(smiles))[0]


def similarity(a: str, b: str) -> float:
    """Tanimoto similarity of Morgan fingerprints (radius 2, 2048 bits), in [0, 1].

    The share of small neighbourhoods that two molecules have in common. 1 for the same molecule,
    and for a few others. ValueError for an invalid string. Source: Rogers and Hahn 2010.
    """
    maker = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [maker.GetFingerprint(_required(s)) for s in (a, b)]
    return DataStructs.TanimotoSimilarity(*prints)


def _required(smiles: str) -> Any:
    found = molecule(smiles)
    if found is None:
        raise ValueError(f"{smiles!r} is not a molecule: select by valid(strings) first")
    return found


class Quality(NamedTuple):
    """What the usual four numbers say of a set of generated strings."""

    validity: Interval
    uniqueness: float
    novelty: Interval
    scaffold_diversity: float


def quality(strings: Sequence[str], training: Collection[str]) -> Quality:
    """Validity, uniqueness, novelty and scaffold diversity of generated strings.

    * validity: valid strings, of all; with Wilson's interval.
    * uniqueness: distinct molecules, of the valid strings.
    * novelty: distinct molecules that are not in ``training``, of the distinct ones; with Wilson's
      interval.
    * scaffold diversity: distinct scaffolds, of the valid strings; molecules without rings add
      none.

    Counts of distinct things are no shares of independent cases: **uniqueness and scaffold
    diversity fall as more is drawn**, so compare at equal numbers. Of nothing, a share is 0.

    Args:
        strings: what a model wrote.
        training: *canonical* strings of what it was trained on (MOSES' own are, but for one in a
            thousand): a set, for speed.

    Raises:
        ValueError: if more than a tenth of the first 50 training strings are not canonical.

    Source: the definitions of MOSES (Polykovskiy et al. 2020), but for the last.
    """
    known = training if isinstance(training, set | frozenset) else frozenset(training)
    first = list(itertools.islice(known, 50))
    other = [c for c in first if canonical(c) != c]
    if len(other) > len(first) / 10:
        raise ValueError(
            f"training holds {other[0]!r}, for which RDKit writes {canonical(other[0])!r}: give "
            "canonical strings, or known molecules will count as new"
        )
    found = [c for c in map(canonical, strings) if c is not None]
    distinct = sorted(set(found))
    count = len(found) or 1
    return Quality(
        wilson(len(found), len(strings)),
        len(distinct) / count,
        wilson(sum(c not in known for c in distinct), len(distinct)),
        len({scaffold(c) for c in distinct} - {""}) / count,
    )


# ---- drawings


def draw(
    strings: Sequence[str],
    *,
    captions: Sequence[str] | None = None,
    columns: int = 4,
    size: tuple[int, int] = (170, 130),
    alt: str = "",
) -> Picture:
    """Structural formulas side by side, in the page's own ink; other strings as text in a frame.

    Args:
        strings: SMILES.
        captions: a short line below each.
        columns: in a row.
        size: width and height of one drawing, in pixels.
        alt: what the picture shows; the strings, and which are no molecules, are always added.
    """
    captions = [""] * len(strings) if captions is None else captions
    width, height = size
    rows = -(-len(strings) // columns)
    cells, told = [], []
    for i, (string, caption) in enumerate(zip(strings, captions, strict=True)):
        x, y = (i % columns) * width, (i // columns) * (height + 20)
        found = molecule(string)
        told.append(f"{i + 1}: {string or 'nothing'}{', no molecule' if found is None else ''}")
        inside = _framed(string, size) if found is None else _formula(found, size)
        line = (
            f'<text x="{width / 2}" y="{height + 13}" font-size="12" text-anchor="middle" '
            f'fill="currentColor">{html.escape(caption)}</text>'
        )
        cells.append(f'<g transform="translate({x},{y})">{inside}{line}</g>')
    alt = f"{alt} Strings: {'; '.join(told)}.".strip()
    total = columns * width, rows * (height + 20)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{html.escape(alt, quote=True)}" viewBox="0 0 {total[0]} {total[1]}" '
        f'style="width:100%;max-width:{total[0]}px;height:auto">{"".join(cells)}</svg>'
    )
    return Picture(svg, alt)


def _formula(found: Any, size: tuple[int, int]) -> str:
    pen: Any = rdMolDraw2D.MolDraw2DSVG(*size)
    pen.drawOptions().useBWAtomPalette()
    pen.drawOptions().clearBackground = False
    rdMolDraw2D.PrepareAndDrawMolecule(pen, found)
    pen.FinishDrawing()
    body = pen.GetDrawingText().split("<!-- END OF HEADER -->")[1].rsplit("</svg>", 1)[0]
    return re.sub(r"#000000", "currentColor", body)


def _framed(string: str, size: tuple[int, int]) -> str:
    width, height = size
    lines = textwrap.wrap(string, 20)[:6] or ["(nothing)"]
    y = (height - 16 * len(lines)) / 2 + 12
    return (
        f'<rect x="6" y="6" width="{width - 12}" height="{height - 12}" rx="8" fill="none" '
        'stroke="currentColor" stroke-dasharray="4 4" opacity="0.6"/>'
    ) + "".join(
        f'<text x="{width / 2}" y="{y + 16 * i:g}" font-size="12" font-family="monospace" '
        f'text-anchor="middle" fill="currentColor">{html.escape(line)}</text>'
        for i, line in enumerate(lines)
    )
