"""What no attack can break: lower bounds of a network's margins."""

from robustcnn.certify.bounds import Method as Method
from robustcnn.certify.bounds import bounds as bounds
from robustcnn.certify.bounds import certified as certified
from robustcnn.certify.layer import NoLowerBound as NoLowerBound
