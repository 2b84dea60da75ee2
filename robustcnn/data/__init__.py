"""Data sets as tensors on the device."""

from robustcnn.data.augment.policy import Augment as Augment
from robustcnn.data.registry import DataConfig as DataConfig
from robustcnn.data.registry import Splits as Splits
from robustcnn.data.registry import available as available
from robustcnn.data.registry import load as load
from robustcnn.data.resident import ResidentDataset as ResidentDataset
