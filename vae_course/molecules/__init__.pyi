from vae_course.data.tokens import Vocabulary as Vocabulary
from vae_course.molecules.model import FAMILIES as FAMILIES, SmilesVAE as SmilesVAE
from vae_course.molecules.shipped import pretrained as pretrained, ship as ship
