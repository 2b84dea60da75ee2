"""Fitting."""

from robustcnn.train.loop import fit as fit
from robustcnn.train.objectives import Standard as Standard
from robustcnn.train.optim import OptimConfig as OptimConfig
from robustcnn.train.settings import FitConfig as FitConfig
from robustcnn.train.training import TrainingDiverged as TrainingDiverged
