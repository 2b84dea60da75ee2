"""`robustcnn attack`: adversarial versions of given pictures, and what is left of them in a file."""

from robustcnn.runs.attack_pictures.attack_config import DEMO as DEMO
from robustcnn.runs.attack_pictures.attack_config import Attacked as Attacked
from robustcnn.runs.attack_pictures.attack_config import AttackVerb as AttackVerb
from robustcnn.runs.attack_pictures.attack_config import Range as Range
from robustcnn.runs.attack_pictures.pictures import attack_pictures as attack_pictures
