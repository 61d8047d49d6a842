"""Interactive figures: anywidgets that run in Jupyter, in Colab and on a page with no kernel."""

from vae_course.figures.ball_explorer import BallExplorer
from vae_course.figures.base import Figure, export_decoder, fragment, state
from vae_course.figures.shell import Shell

__all__ = [
    "BallExplorer",
    "Figure",
    "Shell",
    "export_decoder",
    "fragment",
    "state",
]
