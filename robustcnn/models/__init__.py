"""Networks by name: pixels in [0, 1] in, logits out."""

from robustcnn.core.conv_arithmetic import output_size as output_size
from robustcnn.core.conv_arithmetic import padding_for as padding_for
from robustcnn.core.runtime import evaluating as evaluating
from robustcnn.core.runtime import frozen_weights as frozen_weights
from robustcnn.core.runtime import global_seed as global_seed
from robustcnn.models.dcgan import DcganConfig as DcganConfig
from robustcnn.models.dcgan import Generator as Generator
from robustcnn.models.dcgan import classifier_from as classifier_from
from robustcnn.models.dcgan import discriminator as discriminator
from robustcnn.models.describe import Description as Description
from robustcnn.models.describe import describe as describe
from robustcnn.models.many_views import ManyViews as ManyViews
from robustcnn.models.model_config import ModelConfig as ModelConfig
from robustcnn.models.normalised import Normalised as Normalised
from robustcnn.models.pixel import PixelModel as PixelModel
from robustcnn.models.pooling import POOLINGS as POOLINGS
from robustcnn.models.registry import MODELS as MODELS
from robustcnn.models.registry import build as build
from robustcnn.models.registry import register as register
