"""Networks by name: pixels in [0, 1] in, logits out."""

from robustcnn.models.describe import Description as Description
from robustcnn.models.describe import describe as describe
from robustcnn.models.model_config import ModelConfig as ModelConfig
from robustcnn.models.pixel import PixelModel as PixelModel
from robustcnn.models.registry import MODELS as MODELS
from robustcnn.models.registry import build as build
