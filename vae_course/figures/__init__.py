"""Interactive figures: anywidgets that run in Jupyter, in Colab and on a page with no kernel."""

from vae_course import lazy

__all__ = lazy(__name__)
