"""Every exercise, solved a second time by other means: the values that masters store are right.

One module a part; ``ANSWERS`` maps a question to the names that a student defines, made from the
names that the exercise gives.
"""

from tests.labs.independent import (
    balls,
    compactness,
    contraction,
    isometry,
    losses,
    molecules,
    museum,
    spheres,
    strata,
)

ANSWERS = (
    balls.ANSWERS
    | contraction.ANSWERS
    | compactness.ANSWERS
    | isometry.ANSWERS
    | spheres.ANSWERS
    | molecules.ANSWERS
    | losses.ANSWERS
    | strata.ANSWERS
    | museum.ANSWERS
)
