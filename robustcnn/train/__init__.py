"""Fitting."""

from robustcnn.train.adversarial import Adversarial as Adversarial
from robustcnn.train.adversarial import Fast as Fast
from robustcnn.train.adversarial import Mixture as Mixture
from robustcnn.train.free import Free as Free
from robustcnn.train.gan import pretrain as pretrain
from robustcnn.train.gan_settings import GanConfig as GanConfig
from robustcnn.train.loop import fit as fit
from robustcnn.train.objectives import Standard as Standard
from robustcnn.train.optim import OptimConfig as OptimConfig
from robustcnn.train.settings import OBJECTIVES as OBJECTIVES
from robustcnn.train.settings import FitConfig as FitConfig
from robustcnn.train.trades import Mart as Mart
from robustcnn.train.trades import Trades as Trades
from robustcnn.train.training import TrainingDiverged as TrainingDiverged
from robustcnn.train.watch import CatastrophicOverfitting as CatastrophicOverfitting
