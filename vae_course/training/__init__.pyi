from vae_course.training.ensemble import Ensemble as Ensemble
from vae_course.training.loop import Images as Images, fit as fit
from vae_course.training.plan import Plan as Plan
from vae_course.training.state import History as History, NonFiniteLossError as NonFiniteLossError
from vae_course.training.sweep import Sweep as Sweep, sweep as sweep
from vae_course.training.workers import WorkerKilledError as WorkerKilledError
