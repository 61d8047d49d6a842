"""A figure as it is saved, and the HTML that shows it: the book is built without torch."""

import base64
import hashlib
import json
from typing import Any


def state(figure: Any) -> dict[str, Any]:
    """The widget's state as Jupyter saves it in a notebook (v2), of this widget alone.

    The layout model is left out: a static page has none. The id is a hash of the contents, so that
    the same figure makes the same file on every run.
    """
    values, buffers = {}, []
    for key, value in figure.get_state().items():
        if isinstance(value, bytes | memoryview):
            data = base64.b64encode(value).decode()
            buffers.append({"encoding": "base64", "path": [key], "data": data})
        elif key.startswith("_") or not str(value).startswith("IPY_MODEL_"):
            values[key] = value
    saved = {
        "model_name": figure._model_name,
        "model_module": figure._model_module,
        "model_module_version": figure._model_module_version,
        "state": values,
        "buffers": buffers,
    }
    name = hashlib.sha256(json.dumps(saved, sort_keys=True).encode()).hexdigest()[:32]
    return {"version_major": 2, "version_minor": 0, "state": {name: saved}}


def dump(saved: dict[str, Any]) -> str:
    # Inside a script element "</" could end it and "<!--" hide it; the escape is valid JSON.
    return json.dumps(saved, separators=(",", ":")).replace("<", "\\u003c")


def fragment(saved: dict[str, Any]) -> str:
    """The HTML that shows saved figures on a page: their state, then a place for each.

    Args:
        saved: From ``state``, or read from a file that ``Figure.save`` wrote.
    """
    kind = "application/vnd.jupyter.widget"
    views = "".join(
        f'<script type="{kind}-view+json">{json.dumps({"model_id": name})}</script>'
        for name in saved["state"]
    )
    return f'<script type="{kind}-state+json">{dump(saved)}</script>{views}'
