"""Interactive figures: anywidgets that run in Jupyter, in Colab and on a page with no kernel."""

from vae_course.figures.ball_explorer import BallExplorer
from vae_course.figures.base import Figure, export_decoder, fragment, state
from vae_course.figures.contract import Contract
from vae_course.figures.density_scatter import DensityScatter
from vae_course.figures.force_field import ForceField
from vae_course.figures.metric_ellipses import MetricEllipses
from vae_course.figures.metric_water import MetricWater
from vae_course.figures.poincare_drag import PoincareDrag
from vae_course.figures.rank_histogram import RankHistogram
from vae_course.figures.ruler import Ruler
from vae_course.figures.shell import Shell
from vae_course.figures.slot_sampling import SlotSampling
from vae_course.figures.soap_bubble import SoapBubble
from vae_course.figures.spd_cone import SpdCone
from vae_course.figures.sphere_map import SphereMap
from vae_course.figures.stretch_sphere import StretchSphere
from vae_course.figures.two_balls import TwoBalls
from vae_course.figures.two_curves import TwoCurves
from vae_course.figures.voronoi_cells import VoronoiCells
from vae_course.figures.water_level import WaterLevel

__all__ = [
    "BallExplorer",
    "Contract",
    "DensityScatter",
    "Figure",
    "ForceField",
    "MetricEllipses",
    "MetricWater",
    "PoincareDrag",
    "RankHistogram",
    "Ruler",
    "Shell",
    "SlotSampling",
    "SoapBubble",
    "SpdCone",
    "SphereMap",
    "StretchSphere",
    "TwoBalls",
    "TwoCurves",
    "VoronoiCells",
    "WaterLevel",
    "export_decoder",
    "fragment",
    "state",
]
