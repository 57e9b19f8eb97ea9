"""Measures a camera's point-spread functions from photographs of a chart.

As in DRBNet's supplement, section 2 (Ruan et al. 2022): the chart of 8 x 13
discs is photographed at several distances or with several focus settings, found
in each photograph, and the PSFs are estimated by least squares.
"""

from jaxdeblur.calibration.calibrate import Calibration, calibrate
from jaxdeblur.calibration.chart import CHART, DiscChart

__all__ = ('CHART', 'Calibration', 'DiscChart', 'calibrate')
