"""The checklist that says whether a measurement can be trusted."""

from robustcnn.evaluate.checks.run import run_checks as run_checks
