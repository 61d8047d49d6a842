r"""The decoder's geometry: lengths, densities and shortest paths, in the data's own units.

For any decoder: a callable or module from codes (batch, d) to (batch, \*output) whose rows do not
depend on each other. ``D`` is the distortion, ``L = D + beta * KL`` the objective, so β/2 is the
decoder's variance for squared error. Nothing here changes its inputs or records gradients.
"""

from vae_course import lazy

__all__ = lazy(__name__)
