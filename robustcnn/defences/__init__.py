"""Defences other than adversarial training, each of them a model: it is to be attacked by somebody who knows it."""

from robustcnn.certify.smoothing import Certificates as Certificates
from robustcnn.defences.detector import Detection as Detection
from robustcnn.defences.detector import Disagreement as Disagreement
from robustcnn.defences.detector import WithDetector as WithDetector
from robustcnn.defences.detector import detection as detection
from robustcnn.defences.detector import threshold_for as threshold_for
from robustcnn.defences.distillation import Distilled as Distilled
from robustcnn.defences.evasion import EachClass as EachClass
from robustcnn.defences.smoothing import Smoothed as Smoothed
from robustcnn.defences.smoothing import certify as certify
from robustcnn.defences.squeezing import Squeezed as Squeezed
