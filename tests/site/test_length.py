"""A chapter is short enough to be read at one sitting: at most 2,500 words, and 1,000 in folds."""

import re

import pytest
from bs4 import BeautifulSoup

from tests.site.site_checks import HTML

APART = (  # what is looked at, worked on or opened rather than read
    "table, figure, figcaption, .math, pre, details, .exercise, .solution, script, style, svg, "
    ".vf, .toctree-wrapper, .headerlink, section#exercises"
)
BOOK = HTML / "book"
CHAPTERS = sorted(path.name for path in BOOK.glob("[0-9][0-9]-*.html"))


def words(nodes) -> int:
    """What has a letter or a digit: an inline link leaves its comma standing alone."""
    return sum(len(re.findall(r"\S*\w\S*", node.get_text(" "))) for node in nodes)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_is_short(name):
    page = BeautifulSoup((BOOK / name).read_text(encoding="utf-8"), "html.parser")
    article = page.select_one("article.bd-article")
    folds = [d for d in article.select("details") if not d.find_parent(class_="solution")]
    assert words(d for d in folds if not d.find_parent("details")) <= 1000
    for node in article.select(APART):
        node.extract()
    assert words([article]) <= 2500


def test_there_are_twelve_chapters_or_more():
    assert len(CHAPTERS) >= 12
