"""Interactive figures: anywidgets that run in Jupyter, in Colab and on a page with no kernel."""

from vae_course.figures.ball_explorer import BallExplorer
from vae_course.figures.base import Figure, export_decoder, fragment, state
from vae_course.figures.contract import Contract
from vae_course.figures.force_field import ForceField
from vae_course.figures.shell import Shell
from vae_course.figures.two_balls import TwoBalls

__all__ = [
    "BallExplorer",
    "Contract",
    "Figure",
    "ForceField",
    "Shell",
    "TwoBalls",
    "export_decoder",
    "fragment",
    "state",
]
