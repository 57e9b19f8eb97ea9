"""How good a restored picture is.

Beside the sharp picture: PSNR, SSIM, MAE, RMSE_rel (`fidelity`) and LPIPS
(`lpips`); without it: NIQE (`niqe`).
"""

from jaxdeblur.metrics.fidelity import mae, psnr, rmse_rel, ssim

__all__ = ['mae', 'psnr', 'rmse_rel', 'ssim']
