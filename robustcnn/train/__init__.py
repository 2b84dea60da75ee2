"""Fitting."""

from robustcnn.core.results import EpochMetrics as EpochMetrics
from robustcnn.train.gan.checkpoint import load_discriminator as load_discriminator
from robustcnn.train.gan.checkpoint import load_generator as load_generator
from robustcnn.train.gan.loop import pretrain as pretrain
from robustcnn.train.gan.settings import GanConfig as GanConfig
from robustcnn.train.loop import fit as fit
from robustcnn.train.objectives.adversarial import Adversarial as Adversarial
from robustcnn.train.objectives.adversarial import Fast as Fast
from robustcnn.train.objectives.adversarial import Mixture as Mixture
from robustcnn.train.objectives.certified import CrownIbp as CrownIbp
from robustcnn.train.objectives.certified import Ibp as Ibp
from robustcnn.train.objectives.certified import Sabr as Sabr
from robustcnn.train.objectives.free import Free as Free
from robustcnn.train.objectives.standard import Standard as Standard
from robustcnn.train.objectives.trades import Mart as Mart
from robustcnn.train.objectives.trades import Trades as Trades
from robustcnn.train.optimisation.optim import OptimConfig as OptimConfig
from robustcnn.train.settings import OBJECTIVES as OBJECTIVES
from robustcnn.train.settings import FitConfig as FitConfig
from robustcnn.train.training import TrainingDiverged as TrainingDiverged
from robustcnn.train.watch import CatastrophicOverfitting as CatastrophicOverfitting
