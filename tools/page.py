"""Build what was edited since the last build, with the book's own configuration, in seconds.

    python tools/page.py    # = make page

Half of a small build is starting up, so this one leaves out what the edit of a page does not need.
"""

import gc
import sys

gc.disable()  # searching a million nodes of unpickled pages for cycles takes as long as reading
sys.modules["rfc3987_syntax"] = None  # jsonschema's parser of addresses: 1.7 s to import, unused

from jupyter_book.cli.main import main  # noqa: E402
from sphinx.ext import viewcode  # noqa: E402

viewcode.collect_pages = lambda app: ()  # the library's code imports torch, and is as it was

main(["build", ".", "-W", "-n", "--keep-going", "-q"])
