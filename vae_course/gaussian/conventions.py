"""One objective, four ways to write beta."""

from vae_course.arguments import check_number, check_whole


def convert_beta(beta: float, source: str, target: str, *, event_size: int | None = None) -> float:
    r"""The weight of the same objective under another convention of the reconstruction loss.

    ============================ ================================================== ==============
    convention                   loss, S the sum of squares over an image           in ``"sum"``
    ============================ ================================================== ==============
    ``"sum"`` (this course)      :math:`S + \beta\,\mathrm{KL}`                     :math:`\beta`
    ``"mean"`` (pixel mean)      :math:`S/m + \beta\,\mathrm{KL}`                   :math:`m\beta`
    ``"half"``                   :math:`\frac12 S + \beta\,\mathrm{KL}`             :math:`2\beta`
    ``"decoder_variance"``       minus the ELBO, decoder :math:`N(\hat x, \beta I)`  :math:`2\beta`
    ============================ ================================================== ==============

    ``event_size`` is m, the number of pixels (times channels), needed for ``"mean"`` only. Equal
    objectives are proportional up to a constant, so they share their minima, not their learning
    rate. Raises ValueError for an unknown convention, a negative or non-finite ``beta``, or a
    missing ``event_size``, TypeError for what are no numbers.
    Source: derived, see the prerequisites.
    """
    in_sum = {"sum": 1.0, "half": 2.0, "decoder_variance": 2.0}
    if "mean" in (source, target):
        if event_size is None:
            raise ValueError('"mean" needs event_size, the number of pixels (times channels)')
        in_sum["mean"] = float(check_whole("event_size", event_size))
    for name, convention in (("source", source), ("target", target)):
        if not isinstance(convention, str) or convention not in in_sum:
            raise ValueError(f"{name} must be one of {sorted({*in_sum, 'mean'})}, got {convention}")
    if check_number("beta", beta) < 0:
        raise ValueError(f"beta must be finite and not negative, got {beta}")
    return beta * in_sum[source] / in_sum[target]
