"""How good a restored picture is.

PSNR, SSIM, MAE, RMSE_rel (`fidelity`) and LPIPS (`lpips`) compare it with the
sharp picture. NIQE (`niqe`) needs no sharp picture.
"""

from jaxdeblur.metrics.fidelity import mae, psnr, rmse_rel, ssim

__all__ = ['mae', 'psnr', 'rmse_rel', 'ssim']
