from vae_course.report.adapters import Adapted as Adapted, adapted as adapted
from vae_course.report.card import Measure as Measure, Report as Report, Suspect as Suspect
from vae_course.report.compare import Comparison as Comparison, compare as compare
from vae_course.report.conditions import Condition as Condition, Conditions as Conditions
from vae_course.report.measures import MEASURES as MEASURES, Question as Question
from vae_course.report.run import report as report
