from vae_course.figures.ball_explorer import BallExplorer as BallExplorer
from vae_course.figures.base import Figure as Figure, export_decoder as export_decoder
from vae_course.figures.contract import Contract as Contract
from vae_course.figures.density_scatter import DensityScatter as DensityScatter
from vae_course.figures.force_field import ForceField as ForceField
from vae_course.figures.metric_ellipses import MetricEllipses as MetricEllipses
from vae_course.figures.metric_water import MetricWater as MetricWater
from vae_course.figures.name_the_bug import Exhibit as Exhibit, NameTheBug as NameTheBug
from vae_course.figures.poincare_drag import PoincareDrag as PoincareDrag
from vae_course.figures.rank_histogram import RankHistogram as RankHistogram
from vae_course.figures.round_trip import RoundTrip as RoundTrip
from vae_course.figures.ruler import Ruler as Ruler
from vae_course.figures.saved import fragment as fragment, state as state
from vae_course.figures.shell import Shell as Shell
from vae_course.figures.slot_sampling import SlotSampling as SlotSampling
from vae_course.figures.soap_bubble import SoapBubble as SoapBubble
from vae_course.figures.spd_cone import SpdCone as SpdCone
from vae_course.figures.sphere_map import SphereMap as SphereMap
from vae_course.figures.stretch_sphere import StretchSphere as StretchSphere
from vae_course.figures.two_balls import TwoBalls as TwoBalls
from vae_course.figures.two_curves import TwoCurves as TwoCurves
from vae_course.figures.voronoi_cells import VoronoiCells as VoronoiCells
from vae_course.figures.water_level import WaterLevel as WaterLevel
