"""Data sets as tensors on the device."""

from robustcnn.data.augment import Augment as Augment
from robustcnn.data.resident import ResidentDataset as ResidentDataset
from robustcnn.data.sources import DataConfig as DataConfig
from robustcnn.data.sources import Splits as Splits
from robustcnn.data.sources import available as available
from robustcnn.data.sources import load as load
