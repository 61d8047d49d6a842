from vae_course.data.catalogue import load as load
from vae_course.data.dataset import Dataset as Dataset
from vae_course.data.folder import images_from_folder as images_from_folder
