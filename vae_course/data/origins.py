"""The data sets that are not shipped: their files, what these must hold, and who has them."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """One file: its ``name`` on disk, ``sha256`` and ``size`` (bytes) of its contents,
    decompressed, its ``urls`` in order."""

    name: str
    sha256: str
    size: int
    urls: tuple[str, ...]

    @property
    def most(self) -> int:
        """Bytes that it can have on disk; gzip adds at most a few in a thousand."""
        return self.size + self.size // 100 + 4096


@dataclass(frozen=True)
class RemoteSet:
    """The files of one data set, by what they hold, and the folders that they may lie in.

    ``folders`` are relative to a root, the cache's own first; ``installed`` are absolute.
    """

    files: Mapping[str, RemoteFile]
    folders: tuple[str, ...]
    installed: tuple[str, ...] = ()


def _idx_files(mirrors: tuple[str, ...], sha256: Mapping[str, str]) -> dict[str, RemoteFile]:
    names = {
        "train": "train-images-idx3-ubyte.gz",
        "train_labels": "train-labels-idx1-ubyte.gz",
        "test": "t10k-images-idx3-ubyte.gz",
        "test_labels": "t10k-labels-idx1-ubyte.gz",
    }
    # Images of 784 bytes and labels of one, after their headers.
    sizes = {"train": 47_040_016, "train_labels": 60_008, "test": 7_840_016, "test_labels": 10_008}
    return {
        part: RemoteFile(name, sha256[part], sizes[part], tuple(root + name for root in mirrors))
        for part, name in names.items()
    }


_MOSES_SITES = (
    "https://raw.githubusercontent.com/molecularsets/moses/master",
    "https://cdn.jsdelivr.net/gh/molecularsets/moses@master",
)

SETS: dict[str, RemoteSet] = {
    "mnist": RemoteSet(
        files=_idx_files(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            {
                "train": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "test": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
        ),
        folders=("mnist", "MNIST/raw"),
    ),
    "fashion_mnist": RemoteSet(
        files=_idx_files(
            (
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
                # No https there; the checksum decides what is accepted, not the connection.
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            {
                "train": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "test": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
        ),
        folders=("fashion-mnist", "FashionMNIST/raw"),
        installed=("/usr/share/datasets/fashion-mnist",),
    ),
    "moses": RemoteSet(
        files={
            part: RemoteFile(
                f"moses_{part}.csv.gz",
                sha256,
                size,
                tuple(f"{site}/moses/dataset/data/{part}.csv.gz" for site in _MOSES_SITES),
            )
            for part, size, sha256 in (
                (
                    "train",
                    58_408_794,
                    "cc9d6e8e9534e25a7a36361529ae739ddda8036e9072b2fc5cea6930a0592144",
                ),
                (
                    "test",
                    6_490_097,
                    "0248e682a9c29ca7649184dd88a4edc83f48f0e84af6b923990069c3da4501b6",
                ),
            )
        },
        folders=("moses",),
    ),
}
