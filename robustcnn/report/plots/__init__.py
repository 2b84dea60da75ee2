"""Results as pictures: each function draws one value and gives a Figure; the one home of matplotlib and seaborn."""

from matplotlib.figure import Figure as Figure

from robustcnn.report.plots.answers import per_class as per_class
from robustcnn.report.plots.answers import reliability as reliability
from robustcnn.report.plots.answers import roc_curves as roc_curves
from robustcnn.report.plots.asked import query_curves as query_curves
from robustcnn.report.plots.canvas import png as png
from robustcnn.report.plots.curves import loss_curve as loss_curve
from robustcnn.report.plots.curves import robustness_curves as robustness_curves
from robustcnn.report.plots.curves import smallest_eps as smallest_eps
from robustcnn.report.plots.curves import two_sided_radii as two_sided_radii
from robustcnn.report.plots.equation import Equation as Equation
from robustcnn.report.plots.equation import equation as equation
from robustcnn.report.plots.examples import gallery as gallery
from robustcnn.report.plots.gan_curves import gan_curves as gan_curves
from robustcnn.report.plots.heat_maps import confusion as confusion
from robustcnn.report.plots.heat_maps import corruptions as corruptions
from robustcnn.report.plots.heat_maps import transfer as transfer
from robustcnn.report.plots.linear_explanation import error_along as error_along
from robustcnn.report.plots.linear_explanation import logits_along as logits_along
from robustcnn.report.plots.lines import bars as bars
from robustcnn.report.plots.lines import histograms as histograms
from robustcnn.report.plots.lines import lines as lines
from robustcnn.report.plots.sweeps import sweep as sweep
from robustcnn.report.plots.training_effects import training_effects as training_effects
