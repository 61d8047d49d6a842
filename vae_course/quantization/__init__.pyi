from vae_course.quantization.finite_scalar import FiniteScalarQuantizer as FiniteScalarQuantizer
from vae_course.quantization.nearest import nearest as nearest
from vae_course.quantization.result import Quantized as Quantized
from vae_course.quantization.use import perplexity as perplexity, usage as usage
from vae_course.quantization.vector import VectorQuantizer as VectorQuantizer
