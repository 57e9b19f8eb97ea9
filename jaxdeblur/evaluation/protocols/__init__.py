"""Protocols by name: how scores are taken, with the source of each."""


import ml_collections

from jaxdeblur.errors import UserError
from jaxdeblur.evaluation.protocols import recorded
from jaxdeblur.evaluation.protocols.case import Protocol
from jaxdeblur.evaluation.protocols.pixel4 import Pixel4Xin
from jaxdeblur.evaluation.protocols.rendered import RenderedDefocus
from jaxdeblur.evaluation.protocols.rendered_camera import RenderedCamera
from jaxdeblur.suggestion import choose_one

_RECORDED = {
    protocol.name: protocol for protocol in (
        recorded.DRBNET_PAPER, recorded.K3DN_PAPER, recorded.K3DN_PAPER_SINGLE,
        recorded.FULL)}

# Protocols that do not say how pictures get a size for the network.
OPEN_FIT = (Pixel4Xin.name, RenderedDefocus.name)

# Protocols that blur sharp photographs.
RENDERED = (RenderedDefocus.name, RenderedCamera.name)

NAMES = (*_RECORDED, Pixel4Xin.name, *RENDERED)


def choose_protocol(
    settings: ml_collections.ConfigDict, fit: str
) -> Protocol:
  """Chooses the protocol that a config names.

  Args:
    settings: `config.eval`.
    fit: how pictures get a size for the network, for rendered_defocus and
      pixel4_xin; the other protocols have their own way.

  Raises:
    UserError: there is no protocol of this name.
  """
  name = settings.protocol
  if name in _RECORDED:
    return _RECORDED[name]
  if name == Pixel4Xin.name:
    return Pixel4Xin(fit=fit)
  if name == RenderedDefocus.name:
    return RenderedDefocus(
        tuple(settings.radii), settings.noise, settings.seed, fit)
  if name == RenderedCamera.name:
    return RenderedCamera()
  raise UserError(
      f'config.eval.protocol is {name!r}: {choose_one(name, NAMES)}')
