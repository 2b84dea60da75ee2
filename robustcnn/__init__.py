"""How robust is this CNN, and can I trust the number?"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from robustcnn.attacks import FGSM, PGD, AutoAttack, craft
    from robustcnn.core.runtime import seeded
    from robustcnn.core.spec import ImageSpec
    from robustcnn.core.threat import ThreatModel
    from robustcnn.data import Augment, DataConfig, ResidentDataset, load
    from robustcnn.estimator import RobustCNNClassifier
    from robustcnn.evaluate.predict import predict, score
    from robustcnn.models import build, describe
    from robustcnn.models.checkpoint import load as load_checkpoint
    from robustcnn.train import FitConfig, OptimConfig, fit

# torch's threads wait for each other in busy loops of milliseconds: where another process needs one of the cores, small
# networks took forty times as long. It is read when torch is loaded, and what the user has set counts.
if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# The public names and where they live, fetched on first use: `robustcnn --help` need not wait for torch.
_HOMES = {
    "Augment": "data",
    "AutoAttack": "attacks",
    "DataConfig": "data",
    "FGSM": "attacks",
    "FitConfig": "train",
    "ImageSpec": "core.spec",
    "OptimConfig": "train",
    "PGD": "attacks",
    "ResidentDataset": "data",
    "RobustCNNClassifier": "estimator",
    "ThreatModel": "core.threat",
    "build": "models",
    "craft": "attacks",
    "describe": "models",
    "fit": "train",
    "load": "data",
    "predict": "evaluate",
    "score": "evaluate",
    "seeded": "core.runtime",
}

__all__ = [
    "FGSM",
    "PGD",
    "Augment",
    "AutoAttack",
    "DataConfig",
    "FitConfig",
    "ImageSpec",
    "OptimConfig",
    "ResidentDataset",
    "RobustCNNClassifier",
    "ThreatModel",
    "build",
    "craft",
    "describe",
    "fit",
    "load",
    "load_checkpoint",
    "predict",
    "score",
    "seeded",
]


def __getattr__(name: str) -> object:
    if name == "load_checkpoint":
        return import_module("robustcnn.models.checkpoint").load
    if name in _HOMES:
        return getattr(import_module(f"robustcnn.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'robustcnn' has no attribute {name!r}")
