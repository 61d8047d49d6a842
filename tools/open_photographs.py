"""Openly licensed photographs out of three packages, with what these say of author and licence.

Taken are photographs in colour under CC0, CC BY or in the public domain, never share-alike ones;
left out by eye are drawings, maps, textures of unstated making and faces of private people.
"""

import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from qt_resources import read_resources

UPSTREAM = {  # the archive, its sha256, where it is from
    "scikit-image": (
        "scikit_image-0.26.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af",
        "https://pypi.org/project/scikit-image/0.26.0/",
    ),
    "lomiri-wallpapers": (
        "lomiri-wallpapers-16.04_20.04.0-2_all.deb",
        "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        "https://tracker.debian.org/pkg/lomiri-wallpapers",
    ),
    "GCompris": (
        "gcompris-qt-data_3.1-2_all.deb",
        "e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
        "https://tracker.debian.org/pkg/gcompris-qt",
    ),
}
# scikit-image states author, licence and source in each function's docstring, skimage.data.NAME.
SCIKIT_IMAGE = {
    "astronaut.png": ("NASA", "public domain", "https://flic.kr/p/r9qvLn"),
    "chelsea.png": ("Stefan van der Walt", "CC0 1.0", "https://scikit-image.org"),
    "coffee.png": ("Rachel Michetti", "CC0 1.0", "https://scikit-image.org"),
    "rocket.jpg": (
        "SpaceX",
        "public domain",
        "https://www.flickr.com/photos/spacexphotos/16511594820/",
    ),
}
LOMIRI = (  # debian/copyright gives author and licence
    "aitzgorri_by_Aitzol_Berasategi friends_by_Aitzol_Berasategi life_by_Aitzol_Berasategi "
    "picosdeeuropa_by_Aitzol_Berasategi Picture_0B_by_freespace Picture_1A_by_freespace "
    "seeding_by_Clements_Engelhardt sunset_by_Aitzol_Berasategi Wine_by_Jakkub_Mede"
).split()
GCOMPRIS = {  # each folder's README gives author, licence and source
    "erase": "bee chamaeleon crab gibbon giraffe kingfisher kitten pika red_panda",
    "explore_world_animals": "bison crocodile dragon jaguar kangaroo koala lemur moose "
    "panda scarlet_macaw",
    "explore_monuments": "ajantaCave berlinCathedral brandenburgGate canyondeChelly "
    "chateaudeChenonceau citedeCarcassonne goldenTemple greatPyramidOfGiza greatWallofChina "
    "hawaMahal machuPicchu montStMichel navajo neuschwansteinCastle petra pontduGard rocamadour "
    "schwerinPalace",
}
LICENCES = {  # as the packages write it: our name for it. What is not here is not taken
    "cc0-1.0": "CC0 1.0",
    "public domain": "public domain",
    "cc-by-2.0": "CC BY 2.0",
    "cc-by-3.0": "CC BY 3.0",
    "cc-by-4.0": "CC BY 4.0",
}
LONG, SHORT, QUALITY = 352, 264, 88


class Photograph(NamedTuple):
    """A picture as its package has it, and what the package says of it."""

    name: str
    author: str
    licence: str
    source: str
    package: str
    changed: str  # by the package, in its words
    picture: Image.Image


def photographs(folder: Path) -> list[Photograph]:
    """Those of every package, in an order that never changes; SystemExit for another archive."""
    for archive, sha256, _ in UPSTREAM.values():
        found = hashlib.sha256((folder / archive).read_bytes()).hexdigest()
        if found != sha256:
            raise SystemExit(f"{archive} is another one: sha256 {found}, not {sha256}")
    archives = [folder / archive for archive, *_ in UPSTREAM.values()]
    return [*_scikit_image(archives[0]), *_lomiri(archives[1]), *_gcompris(archives[2])]


def scaled_jpeg(picture: Image.Image) -> bytes:
    """Averaged over areas to fit 352 x 264, upright or not; a JPEG without metadata.

    Colour at half the resolution (4:2:0) is what lets quality be 88 in 1.2 MB.
    """
    factor = max(max(picture.size) / LONG, min(picture.size) / SHORT)
    pixels = np.asarray(picture.convert("RGB"), float)
    rows, columns = (_areas(side, round(side / factor)) for side in pixels.shape[:2])
    scaled = np.einsum("ir,rcd->icd", rows, pixels, optimize=True)
    scaled = np.einsum("jc,icd->ijd", columns, scaled, optimize=True)
    file = io.BytesIO()
    image = Image.fromarray(scaled.round().astype(np.uint8))
    image.save(file, "JPEG", quality=QUALITY, subsampling="4:2:0", progressive=True)
    return file.getvalue()


def notice(found: list[Photograph]) -> str:
    """What CC BY asks for, and where everything is from."""
    archives = "\n".join(
        f"- {package}: `{archive}`, <{address}>, sha256 `{sha256}`"
        for package, (archive, sha256, address) in UPSTREAM.items()
    )
    table = "\n".join(
        f"| {p.name} | {p.author} | {p.licence} | <{p.source}> | {p.package} | {p.changed} |"
        for p in found
    )
    return NOTICE.format(n=len(found), archives=archives, table=table)


NOTICE = """\
# Notice for `photographs.npz`

`photographs.npz` holds {n} photographs by the authors below, each under the licence in its row: in
the public domain, or Creative Commons **CC0 1.0**
(<https://creativecommons.org/publicdomain/zero/1.0/>), **CC BY 2.0**
(<https://creativecommons.org/licenses/by/2.0/>), **CC BY 3.0**
(<https://creativecommons.org/licenses/by/3.0/>) or **CC BY 4.0**
(<https://creativecommons.org/licenses/by/4.0/>). None is share-alike. The MIT licence of the
course's code does not cover them. Author, licence and source are as the package says from which a
photograph was taken: in the docstrings of `skimage.data`, in `debian/copyright` of
lomiri-wallpapers, in the README beside the pictures of GCompris. No author endorses the course. The
photographs come as they are, without warranties.

Changes: each photograph was scaled down to fit 352 x 264 pixels (264 x 352 if upright) by averaging
over areas, and recompressed as JPEG of quality 88, 4:2:0; colour profile and other metadata were
dropped, without converting colours. What the package says it had changed before is in the last
column; GCompris also scales what it takes.
`tools/make_embedded.py` in the course's repository is the recipe. The packages:

{archives}

| photograph | author | licence | source | package | changed there |
|---|---|---|---|---|---|
{table}
"""


def _areas(before: int, after: int) -> np.ndarray:
    """(after, before) weights: each row averages over an equal stretch, parts of pixels counted."""
    edges = np.linspace(0, before, after + 1)[:, None]
    pixels = np.arange(before)
    ends = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return ends.clip(min=0) * after / before


def _scikit_image(wheel: Path) -> list[Photograph]:
    with zipfile.ZipFile(wheel) as files:
        return [
            Photograph(
                name.split(".")[0], *said, "scikit-image", "",
                Image.open(io.BytesIO(files.read(f"skimage/data/{name}"))),
            )
            for name, said in SCIKIT_IMAGE.items()
        ]  # fmt: skip


def _lomiri(package: Path) -> list[Photograph]:
    files = _unpack(package, r"/(copyright|[^/]*\.jpg)$")
    copyright_file = files.pop("copyright").decode()
    address = "https://gitlab.com/ubports/development/core/lomiri-wallpapers"
    found = []
    for name in LOMIRI:
        said = copyright_file.split(f"Files: 16.04/{name}.jpg\n")[1].split("\n\n")[0]
        author, licence = re.fullmatch(r"Copyright: (.+), 2018\nLicense: (\S+)", said).groups()  # type: ignore[union-attr]
        picture = Image.open(io.BytesIO(files[f"{name}.jpg"]))
        licence = LICENCES[licence.lower()]
        found.append(Photograph(name, author, licence, address, "lomiri-wallpapers", "", picture))
    return found


def _gcompris(package: Path) -> list[Photograph]:
    files = _unpack(package, rf"/({'|'.join(GCOMPRIS)})\.rcc$")
    found = []
    for activity, names in GCOMPRIS.items():
        with tempfile.NamedTemporaryFile() as file:
            Path(file.name).write_bytes(files[f"{activity}.rcc"])
            resources = read_resources(Path(file.name))
        readme = next(v for k, v in resources.items() if k.endswith("/README")).decode()
        for name in names.split():
            path = next(k for k in resources if k.endswith(f"/{name}.webp"))
            (said,) = (s for s in readme.split("\n\n") if re.search(rf"\b{name}\.webp\b", s))
            fields = dict(re.findall(r"^(\w+): *(\S.*)$", said, re.MULTILINE))
            found.append(
                Photograph(
                    name, fields["Copyright"], LICENCES[fields["License"].lower()],
                    fields["Source"], "GCompris", fields.get("Comments", ""),
                    Image.open(io.BytesIO(resources[path])),
                )
            )  # fmt: skip
    return found


def _unpack(package: Path, pattern: str) -> dict[str, bytes]:
    """By their names, the files of a Debian package whose paths match."""
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True)
    with tarfile.open(fileobj=io.BytesIO(tar.stdout)) as files:
        return {
            Path(member.name).name: files.extractfile(member).read()  # type: ignore[union-attr]
            for member in files
            if member.isfile() and re.search(pattern, member.name)
        }
