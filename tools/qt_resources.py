"""Read the files in a compiled Qt resource, ``.rcc``, formats 1 to 3.

A header ``qres`` with the format and the offsets of tree, data and names, all big-endian; the tree
is a table of folders (number and first row of their children) and files (offset of their data).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

COMPRESSED, FOLDER, ZSTANDARD = 1, 2, 4


def read_resources(path: Path) -> dict[str, bytes]:
    """Every file's bytes by its path in the resource; ValueError for what this can't read."""
    raw = path.read_bytes()
    if raw[:4] != b"qres":
        raise ValueError(f"{path} is not a compiled Qt resource")
    version, tree, data, names = struct.unpack_from(">4I", raw, 4)
    width = 14 if version == 1 else 22  # later formats add a date

    def walk(row: int, parents: str) -> Iterator[tuple[str, bytes]]:
        at = tree + row * width
        place, flags = struct.unpack_from(">IH", raw, at)
        letters = struct.unpack_from(">H", raw, names + place)[0] if row else 0  # the root has none
        full = parents + raw[names + place + 6 :][: 2 * letters].decode("utf-16-be")
        if flags & FOLDER:
            children, first = struct.unpack_from(">II", raw, at + 6)
            for child in range(first, first + children):
                yield from walk(child, f"{full}/" if row else "")
            return
        start = data + struct.unpack_from(">I", raw, at + 10)[0]
        content = raw[start + 4 :][: struct.unpack_from(">I", raw, start)[0]]
        if flags & ZSTANDARD:
            raise ValueError(f"{full} in {path} is compressed with Zstandard")
        yield full, zlib.decompress(content[4:]) if flags & COMPRESSED else content

    return dict(walk(0, ""))
