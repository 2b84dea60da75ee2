"""`robustcnn attack`: adversarial versions of given pictures, and what is left of them in a file."""

from robustcnn.attacking.config import DEMO as DEMO
from robustcnn.attacking.config import Attacked as Attacked
from robustcnn.attacking.config import AttackVerb as AttackVerb
from robustcnn.attacking.config import Range as Range
from robustcnn.attacking.pictures import attack_pictures as attack_pictures
from robustcnn.attacking.pictures import attack_verb as attack_verb
