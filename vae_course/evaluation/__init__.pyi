from vae_course.evaluation.bounds import importance_bound as importance_bound
from vae_course.evaluation.intervals import (
    Interval as Interval,
    bootstrap as bootstrap,
    wilson as wilson,
)
from vae_course.evaluation.samples import (
    PrecisionRecall as PrecisionRecall,
    energy_distance as energy_distance,
    precision_recall as precision_recall,
)
