"""Judging: what a model's answers are worth."""

from robustcnn.evaluate.checks.run import run_checks as run_checks
from robustcnn.evaluate.corruption import corruption_scores as corruption_scores
from robustcnn.evaluate.metrics import metrics as metrics
from robustcnn.evaluate.plan import Plan as Plan
from robustcnn.evaluate.predict import predict as predict
from robustcnn.evaluate.predict import score as score
from robustcnn.evaluate.robustness import Judged as Judged
from robustcnn.evaluate.robustness import evaluate as evaluate
from robustcnn.evaluate.robustness import judge as judge
from robustcnn.evaluate.standings import CLEAN as CLEAN
from robustcnn.evaluate.standings import STANDING as STANDING
from robustcnn.evaluate.standings import Evidence as Evidence
from robustcnn.evaluate.suites import attack_named as attack_named
from robustcnn.evaluate.suites import suite as suite
from robustcnn.evaluate.transferability import transfer_matrix as transfer_matrix
