"""Judging: what a model's answers are worth."""

from robustcnn.evaluate.predict import predict as predict
from robustcnn.evaluate.predict import score as score
