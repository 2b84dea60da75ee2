"""The model that an evaluation is about, by whatever name it goes."""

from robustcnn.runs.find_model.find import find as find
from robustcnn.runs.find_model.find import is_foreign as is_foreign
from robustcnn.runs.find_model.ours import known_runs as known_runs
from robustcnn.runs.find_model.ours import told_runs as told_runs
from robustcnn.runs.find_model.ours import trained_runs as trained_runs
from robustcnn.runs.find_model.victim import SourceConfig as SourceConfig
from robustcnn.runs.find_model.victim import Victim as Victim
