"""What no attack can break: lower bounds of a network's margins."""

from robustcnn.certify.layer import NoLowerBound as NoLowerBound
from robustcnn.certify.margins import Method as Method
from robustcnn.certify.margins import bounds as bounds
from robustcnn.certify.margins import certified as certified
from robustcnn.certify.margins import radii as radii
from robustcnn.certify.smoothing import Certificates as Certificates
from robustcnn.certify.smoothing import smoothed as smoothed
