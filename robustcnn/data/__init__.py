"""Data sets as tensors on the device."""

from robustcnn.core.spec import ImageSpec as ImageSpec
from robustcnn.data.augment.policy import Augment as Augment
from robustcnn.data.registry import DataConfig as DataConfig
from robustcnn.data.registry import Splits as Splits
from robustcnn.data.registry import available as available
from robustcnn.data.registry import load as load
from robustcnn.data.registry import register as register
from robustcnn.data.resident import ResidentDataset as ResidentDataset
from robustcnn.data.resident import as_pixels as as_pixels
from robustcnn.data.resident import spec_of as spec_of
from robustcnn.data.signs.road_signs import SIGNS as SIGNS
from robustcnn.data.signs.road_signs import front_view as front_view
from robustcnn.data.signs.scenes import Conditions as Conditions
from robustcnn.data.signs.street import Street as Street
