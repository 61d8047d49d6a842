from vae_course.data.catalogue import load as load
from vae_course.data.dataset import Dataset as Dataset
