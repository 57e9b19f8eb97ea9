"""Methods that restore the pictures to score: a network or a baseline."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, Protocol, runtime_checkable

import ml_collections
import numpy as np

from jaxdeblur.errors import UserError
from jaxdeblur.evaluation import baselines
from jaxdeblur.evaluation.protocols.case import Case
from jaxdeblur.restoration.options import RestoreOptions
from jaxdeblur.restoration.restorer import Restorer
from jaxdeblur.suggestion import choose_one

NAMES = ('network', 'input', 'wiener', 'richardson_lucy')


@runtime_checkable
class Method(Protocol):
  """Restores the pictures of a protocol.

  Attributes:
    needed_views: the views that every picture must have.
    checkpoint: digest of the weights; None if there are none.
    seen_side: the only side to which it compares shifts of dual-pixel views,
      as `measure_side` returns it; None if it compares both, or none.
  """
  needed_views: tuple[str, ...]
  checkpoint: str | None
  seen_side: int | None

  def restore(self, case: Case) -> np.ndarray:
    """The restored picture, float32 [h, w, 3] in [0, 1], of the views' size."""

  def describe(self) -> Mapping[str, Any]:
    """The method's name and settings."""


class Network:
  """A network with its weights; see `Method`."""

  def __init__(self, restorer: Restorer, options: RestoreOptions):
    """Takes a loaded network, and how it restores.

    Networks whose tiles are not exact restore every picture whole. Otherwise
    the tiles would be part of the protocol.
    """
    self._restorer = restorer
    model = restorer.weights.model
    if model.receptive_field is None:
      options = dataclasses.replace(options, tile=None)
    self._options = options
    self.needed_views = model.required_views
    self.seen_side = model.seen_side
    self.checkpoint = restorer.weights.digest()

  def restore(self, case: Case) -> np.ndarray:
    views = {name: case.views[name] for name in self.needed_views}
    return self._restorer.restore(
        views=views, options=self._options, as_float=True)

  def describe(self) -> Mapping[str, Any]:
    return dict(self._restorer.weights.settings)


class Untouched:
  """Returns the input unchanged; see `Method`."""
  needed_views = ()
  checkpoint = None
  seen_side = None

  def restore(self, case: Case) -> np.ndarray:
    return case.photograph()

  def describe(self) -> Mapping[str, Any]:
    return {'name': 'input'}


class Deconvolution:
  """Deconvolution with one disc per picture; see `Method` and `baselines`."""
  needed_views = ()
  checkpoint = None
  seen_side = None

  def __init__(self, name: str, disc_radius: str):
    """Takes a method's name and where the disc's radius comes from.

    Args:
      name: 'wiener' or 'richardson_lucy'.
      disc_radius: 'known' takes the protocol's radius, 'estimate' estimates it;
        or a number of px.
    """
    self._name, self._disc_radius = name, disc_radius
    self._choose_radius = _choose_radius(disc_radius)
    self._deconvolve = {
        'wiener': baselines.deconvolve_wiener,
        'richardson_lucy': baselines.deconvolve_richardson_lucy}[name]

  def restore(self, case: Case) -> np.ndarray:
    return self._deconvolve(case.photograph(), self._choose_radius(case))

  def describe(self) -> Mapping[str, Any]:
    return {'name': self._name, 'disc_radius': self._disc_radius,
            **baselines.SETTINGS[self._name]}


def choose_method(
    settings: ml_collections.ConfigDict,
    load: Callable[[], Restorer],
    options: RestoreOptions,
) -> Method:
  """Chooses the method that a config names.

  Args:
    settings: `config.eval`: `method`, and `disc_radius` for deconvolutions.
    load: loads the network, if the method is 'network'.
    options: how the network restores.

  Raises:
    UserError: there is no method of this name, no checkpoint, or the radius is
      neither a number nor 'known' nor 'estimate'.
    MissingPackageError: the method needs scikit-image, which is not installed.
  """
  name = settings.method
  if name not in NAMES:
    raise UserError(
        f'config.eval.method is {name!r}: {choose_one(name, NAMES)}')
  if name == 'network':
    return Network(load(), options)
  if name == 'input':
    return Untouched()
  return Deconvolution(name, settings.disc_radius)


def _choose_radius(disc_radius: str) -> Callable[[Case], float]:
  if disc_radius == 'known':
    return _known_radius
  if disc_radius == 'estimate':
    return lambda case: baselines.estimate_radius(case.photograph())
  try:
    radius = float(disc_radius)
  except ValueError:
    radius = -1.0
  if not 0 <= radius < np.inf:
    raise UserError(
        f'disc_radius is {disc_radius!r}: give a number of px, \'known\' or '
        "'estimate'.", argument='disc_radius')
  return lambda case: radius


def _known_radius(case: Case) -> float:
  if case.disc_radius is None:
    raise UserError(
        'Nobody knows the disc radius of recorded pictures: give it in px, or '
        "choose 'estimate'.", argument='disc_radius')
  return case.disc_radius
