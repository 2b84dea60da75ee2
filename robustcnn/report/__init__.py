"""Results for the eye."""

from robustcnn.report.contact_sheet import contact_sheet as contact_sheet
from robustcnn.report.contact_sheet import picture_rows as picture_rows
