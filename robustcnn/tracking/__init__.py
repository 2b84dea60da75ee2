"""Every run's life in one place, MLflow, written so that its trouble is never the run's.

tracker        what a run may say: Tracker, NullTracker
spooled        the tracker of a real run: words become records ...
records        ... which are these,
names          with names that MLflow takes,
origin, note   who made the run, and its description,
spool          appended to a file in the run's folder, the truth;
refused        what MLflow will never take, set aside;
outbox         what happens when disk or server fail
uploader       starts a process beside the run, which is
__main__       this, and runs
mlflow_tracker sync(): the spool's view in MLflow; all that writes to it, with
shown          pictures, tables and data sets, and
view           the columns and charts that the page on all runs opens with
place          where that is, and how far it goes
fetch          brings a checkpoint back from there
promote        the most robust run as a registered model
server, links  the web page on it
evaluator      our judge inside mlflow.models.evaluate
"""

from robustcnn.tracking.fetch import fetch_checkpoint as fetch_checkpoint
from robustcnn.tracking.links import Links as Links
from robustcnn.tracking.mlflow_tracker import sync as sync
from robustcnn.tracking.place import PLACE as PLACE
from robustcnn.tracking.place import Place as Place
from robustcnn.tracking.place import Store as Store
from robustcnn.tracking.place import read_place as read_place
from robustcnn.tracking.promote import Promoted as Promoted
from robustcnn.tracking.promote import promote as promote
from robustcnn.tracking.refused import REFUSED as REFUSED
from robustcnn.tracking.refused import refused as refused
from robustcnn.tracking.server import serve as serve
from robustcnn.tracking.spool import SPOOL as SPOOL
from robustcnn.tracking.spool import Spool as Spool
from robustcnn.tracking.spooled import SpooledTracker as SpooledTracker
from robustcnn.tracking.tracker import NullTracker as NullTracker
from robustcnn.tracking.tracker import Tracker as Tracker
