"""Where the book explains a measure: names and addresses of its pages."""

from urllib.parse import quote

BOOK = "https://OWNER.github.io/vae_course/"
"""The published book; the same as ``baseurl`` in ``_config.yml``."""

_SHORT = {"kl": "KL", "vae": "VAE", "vaes": "VAEs", "vq": "VQ"}


def address(chapter: str) -> str:
    """The URL of a chapter, named by its file without the ending.

    >>> from vae_course.report.book import address
    >>> address("02-the-contract").removeprefix("https://")
    'OWNER.github.io/vae_course/book/02-the-contract.html'
    """
    return f"{BOOK}book/{quote(chapter)}.html"


def title(chapter: str) -> str:
    """A chapter in words.

    >>> from vae_course.report.book import title
    >>> title("02-the-contract"), title("prerequisites")
    ('Chapter 2, the contract', 'Prerequisites')
    """
    number, _, rest = chapter.partition("-")
    if number.isdigit():
        words = [_SHORT.get(word, word) for word in rest.split("-")]
        return f"Chapter {int(number)}, {' '.join(words)}"
    return chapter.replace("-", " ").capitalize()
