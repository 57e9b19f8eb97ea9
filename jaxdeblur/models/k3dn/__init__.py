"""K3DN: disparity-weighted kernels for dual pixels (Yang et al. 2023)."""

from jaxdeblur.models.k3dn.network import K3DN, VARIANTS

__all__ = ['K3DN', 'VARIANTS']
