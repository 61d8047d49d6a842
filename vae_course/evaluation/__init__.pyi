from vae_course.evaluation.bounds import importance_bound as importance_bound
from vae_course.evaluation.detection import auroc as auroc, auroc_gain as auroc_gain
from vae_course.evaluation.intervals import (
    Estimate as Estimate,
    Interval as Interval,
    bootstrap as bootstrap,
    wilson as wilson,
)
from vae_course.evaluation.ranks import (
    MaxT as MaxT,
    max_t as max_t,
    partial_rank_correlation as partial_rank_correlation,
)
from vae_course.evaluation.samples import (
    PrecisionRecall as PrecisionRecall,
    energy_distance as energy_distance,
    precision_recall as precision_recall,
)
