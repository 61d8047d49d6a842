"""Who has handed in what: the folders that Canvas, Moodle and Gradescope give, and plain ones.

One student is one row, whatever number of files came. A student's number is read at its place in
a platform's names, never elsewhere: the rest of a name is the student's own choice. Where nobody of
a roster fits, or two do, the files belong to nobody yet, and a teacher hears of it.
"""

import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

CANVAS = re.compile(r"(?P<who>.+?)(?P<late>_LATE)?_(?P<id>\d+)_(?P<order>\d+)_(?P<file>.+)", re.S)
MOODLE = re.compile(
    r"(?P<who>.+)_(?P<id>\d+)_(?:assignsubmission_)?(?:file|onlinetext)_?(?P<file>.*)", re.S
)
GRADESCOPE, METADATA = re.compile(r"submission_\d+"), "submission_metadata.yml"
ATTEMPT = re.compile(r"-(\d+)$")
IGNORED = {METADATA, "Thumbs.db", "desktop.ini", "__MACOSX"}
FILES = 1000  # of one folder: more are not looked at
KEYS = ("ID", "SIS User ID", "SIS Login ID")


@dataclass(frozen=True)
class Work:
    """A file that was handed in."""

    name: str  # of the file without .ipynb, or of the folder it came in
    path: Path
    platform: str  # canvas, moodle, gradescope, or nothing
    who: str  # the student, as the platform writes the name
    ids: tuple[str, ...] = ()  # numbers and addresses, as the platform gives them
    late: bool = False
    order: tuple[int, int] = (0, 0)  # of uploads: the later, the larger

    @property
    def notebook(self) -> bool:
        return self.path.suffix == ".ipynb"

    @property
    def key(self) -> tuple[str, str]:
        """The same for all that one student has handed in."""
        return self.platform, (self.ids[0] if self.ids else self.who)


@dataclass
class Pupil:
    """A student, what she has handed in, and what a teacher should know of that."""

    row: dict[str, str]
    works: list[Work] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def told_by(stem: str) -> tuple[str, str, tuple[str, ...], bool, tuple[int, int]]:
    """Platform, student, numbers, whether late, and order: all that a name says."""
    for platform, form in [("moodle", MOODLE), ("canvas", CANVAS)]:
        if match := form.fullmatch(stem):
            told = match.groupdict()
            attempt = ATTEMPT.search(told["file"])
            order = int(told.get("order") or 0), int(attempt[1][:9]) if attempt else 0
            return platform, told["who"], (told["id"],), bool(told.get("late")), order
    return "", stem, (), False, (0, 0)


def inside(folder: Path) -> list[Path]:
    """The files of a student's folder, links among them; what systems hide does not count."""
    found: list[Path] = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in IGNORED)
        found += [Path(where, f) for f in sorted(files) if not f.startswith(".")]
        if len(found) > FILES:
            break
    return found[:FILES]


def submitters(path: Path) -> dict[str, list[dict[str, str]]]:
    """Name, sid and email of each submission's students, from what Gradescope exports.

    Read line by line: what stands below them may hold objects of Ruby's.
    """
    found: dict[str, list[dict[str, str]]] = {}
    students: list[dict[str, str]] = []
    reading = False
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := re.match(r"(submission_\d+):", line):
            students, reading = found.setdefault(match[1], []), False
        elif re.match(r"\s+:?submitters:", line):
            reading = True
        elif reading and (match := re.match(r"\s+(-\s+)?:?(name|sid|email):\s*(.*?)\s*$", line)):
            if match[1] or not students:
                students.append({})
            value = match[3]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
                value = value[1:-1].replace("''", "'")
            students[-1].setdefault(match[2], "" if value in ("~", "null") else value)
        elif reading and not line.startswith("  -"):
            reading = False
    return found


def read(folder: Path) -> list[Work]:
    """All that a folder holds; a folder in it is one student's.

    Raises ValueError for what is no folder.
    """
    if not folder.is_dir():
        raise ValueError(f"SUBMISSIONS {folder} is not a folder")
    known = submitters(folder / METADATA) if (folder / METADATA).is_file() else {}
    works = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in IGNORED:
            continue
        if path.is_symlink() or not os.path.isdir(path):
            platform, who, ids, late, order = told_by(path.stem)
            name = path.stem if path.suffix == ".ipynb" else path.name
            works.append(Work(name, path, platform, who, ids, late, order))
            continue
        files = inside(path) or [path]
        if students := known.get(path.name):
            for student in students:
                ids = tuple(student[k] for k in ("sid", "email") if student.get(k))
                who = student.get("name") or path.name
                works += [Work(path.name, file, "gradescope", who, ids) for file in files]
            continue
        platform, who, ids, late, order = told_by(path.name)
        works += [Work(path.name, file, platform, who, ids, late, order) for file in files]
    return works


def words(name: str) -> tuple[str, ...]:
    """A name's words in an order that does not depend on which stands first, without accents."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return tuple(sorted(re.findall(r"\w+", plain)))


def owners(work: Work, roster: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """The students of a roster whom a name fits: by number or login, or else by their name."""
    students = list(roster)

    def has(keys: Iterable[str], values: Iterable[str]) -> list[dict[str, str]]:
        wanted = set(values) - {""}
        return [row for row in students if wanted & {(row.get(k) or "").strip() for k in keys}]

    named = [row for row in students if words(row.get("Student") or "") == words(work.who)]
    match work.platform:
        case "canvas":
            return has(["ID"], work.ids)
        case "moodle":  # the number is one of this assignment's, unless the roster has it
            numbered = has(["ID"], work.ids)
            return numbered + [row for row in named if row not in numbered]
        case "gradescope":
            local = [i.partition("@")[0] for i in work.ids if "@" in i]
            return has(KEYS, work.ids) or has(["SIS Login ID"], local) or named
    return has(KEYS, [work.who]) or named


def numbers(work: Work) -> dict[str, str]:
    """What a platform's numbers and addresses are called in a gradebook."""
    if work.platform != "gradescope":
        return {"ID": "".join(work.ids)}
    return {"SIS Login ID" if "@" in told else "SIS User ID": told for told in work.ids}


def pupils(
    works: list[Work], roster: list[dict[str, str]], columns: tuple[str, ...]
) -> tuple[list[Pupil], list[Pupil]]:
    """The students, each with all her works; and those of whom a roster knows nobody, or two."""
    made: dict[tuple[str, str], Pupil] = {}
    astray: dict[tuple[str, str], Pupil] = {}
    for row in roster:
        made["roster", row["ID"]] = Pupil({key: row.get(key) or "" for key in columns})
    for work in works:
        row = dict.fromkeys(columns, "") | {"Student": work.who} | numbers(work)
        fitting = owners(work, roster)
        if not roster:
            pupil = made.setdefault(work.key, Pupil(row))
        elif len(fitting) == 1:
            pupil = made["roster", fitting[0]["ID"]]
        else:
            pupil = astray.setdefault(work.key, Pupil(row))
            names = " and ".join(f"{r.get('Student')} ({r['ID']})" for r in fitting)
            pupil.notes = [f"fits two of the roster: {names}" if fitting else "not in the roster"]
        pupil.works.append(work)
    for pupil in made.values():
        spelt = {words(work.who) for work in pupil.works}
        if len(spelt) > 1 and len({work.platform for work in pupil.works}) == 1:
            said = " and ".join(sorted({work.who for work in pupil.works}))
            pupil.notes.append(f"one number, several names: {said}")
    return list(made.values()), list(astray.values())
