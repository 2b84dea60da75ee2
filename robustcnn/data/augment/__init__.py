"""Batched augmentation on the device."""

from robustcnn.data.augment.policy import Augment as Augment
