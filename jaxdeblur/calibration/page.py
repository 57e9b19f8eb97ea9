"""A calibration as one HTML page that needs no other file."""

import base64
from typing import Any


def render(calibration: Any, figures: dict[str, bytes]) -> str:
  """Renders the page.

  Args:
    calibration: a `Calibration`.
    figures: PNG files by name: kernels, radii, residuals.
  """
  import jinja2
  environment = jinja2.Environment(
      loader=jinja2.PackageLoader('jaxdeblur.calibration'), autoescape=True,
      undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
  return environment.get_template('page.html.jinja').render(
      calibration=calibration,
      figures={name: base64.b64encode(data).decode()
               for name, data in figures.items()})
