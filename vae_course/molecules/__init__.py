"""Molecules as strings: tokens, a VAE of token sequences and its shipped weights.

What chemistry says of the strings is in ``vae_course.molecules.chemistry``, which needs RDKit.
"""

from vae_course.molecules.model import FAMILIES, SmilesVAE
from vae_course.molecules.shipped import pretrained, ship
from vae_course.molecules.tokens import Vocabulary

__all__ = ["FAMILIES", "SmilesVAE", "Vocabulary", "pretrained", "ship"]
