from vae_course.gaussian.conventions import convert_beta as convert_beta
from vae_course.gaussian.divergence import (
    bhattacharyya as bhattacharyya,
    bhattacharyya_distance as bhattacharyya_distance,
    kl as kl,
    kl_to_standard_normal as kl_to_standard_normal,
)
from vae_course.gaussian.packing import (
    Information as Information,
    coverage as coverage,
    information as information,
    nearest_overlap as nearest_overlap,
)
from vae_course.gaussian.radius import Shell as Shell, shell as shell, shell_mass as shell_mass
from vae_course.gaussian.tokens import TokenGap as TokenGap, token_gap as token_gap
