"""DRBNet and its baseline (Ruan et al. 2022)."""

from jaxdeblur.models.drbnet.blocks import KERNEL_SIZE, SCALES
from jaxdeblur.models.drbnet.network import VIEWS, DRBNet, DRBNetBaseline

__all__ = ['KERNEL_SIZE', 'SCALES', 'VIEWS', 'DRBNet', 'DRBNetBaseline']
