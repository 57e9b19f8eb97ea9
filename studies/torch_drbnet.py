"""DRBNet in PyTorch, to be timed beside ours.

It is written from a description of the published network, not from its program,
with that network's names of parameters, layout (channels first) and range of
pictures (-1 to 1). Like the published network, it unfolds each pixel's
neighbours in the dynamic convolution. `jaxdeblur.models.drbnet` cites the
tables.

Needs PyTorch: pip install -e '.[torch]'.
"""

import torch
from torch import Tensor, nn
import torch.nn.functional as F

SCALES = (8, 4, 2, 1)

_KERNEL_SIZE = 7
_SLOPE = 0.1

# Widths of each scale's layers in units of the network's width.
_IMAGE_FEATURES = {8: (2, 4, 8), 4: (2, 4, 4), 2: (2, 2, 2), 1: (2, 2, 1)}
_KERNEL_HEAD = {8: (8, 4), 4: (4, 4), 2: (2, 2), 1: (2, 2)}
_RESIDUAL_HEAD = {8: (8, 2), 4: (4, 2), 2: (2, 2), 1: (2, 2)}

# The published names number a scale's heads one lower than its decoder.
_DECODER = {4: 3, 2: 2, 1: 1}
_HEAD = {8: 3, 4: 2, 2: 1, 1: 0}


class ResidualBlock(nn.Module):
  """x + conv(lrelu(conv(x))), with no activation after the sum."""

  def __init__(self, features: int):
    super().__init__()
    self.stem = nn.Sequential(nn.Sequential(
        nn.Conv2d(features, features, 3, padding=1), _leaky_relu(),
        nn.Conv2d(features, features, 3, padding=1)))

  def forward(self, x: Tensor) -> Tensor:
    return x + self.stem(x)


class DRBNet(nn.Module):
  """Restores a photograph, alone or with its dual-pixel views.

  Args:
    dual: whether the encoder reads two dual-pixel views instead of the
      photograph, which stays what is sharpened.
    width: channels at full size; 32 is the published network.
  """

  def __init__(self, dual: bool = False, width: int = 32):
    super().__init__()
    channels = 6 if dual else 3
    for level in (1, 2, 3, 4):
      features = width * 2 ** (level - 1)
      for i in (1, 2, 3):
        stride = 2 if level > 1 and i == 1 else 1
        setattr(self, f'conv{level}_{i}', _conv(channels, features, stride))
        channels = features
    self.conv4_4 = nn.Sequential(
        _conv(channels, channels), ResidualBlock(channels),
        ResidualBlock(channels), _conv(channels, channels))
    decoded = {8: channels}
    for scale, number in _DECODER.items():
      features = decoded[scale] = channels // 2
      setattr(self, f'upconv{number}_u', nn.Sequential(
          nn.ConvTranspose2d(channels, features, 4, stride=2, padding=1),
          _leaky_relu()))
      for i in (1, 2):
        setattr(self, f'upconv{number}_{i}', ResidualBlock(features))
      channels = features
    for scale, number in _HEAD.items():
      image_widths = [width * n for n in _IMAGE_FEATURES[scale]]
      setattr(self, f'img_d{scale}_feature', _convs(3, image_widths))
      features = decoded[scale] + image_widths[-1]
      kernel_widths = [width * n for n in _KERNEL_HEAD[scale]]
      setattr(self, f'upconv{number}_kernel', _convs(features, kernel_widths)
              .append(nn.Conv2d(kernel_widths[-1], _KERNEL_SIZE ** 2, 1)))
      residual_widths = [width * n for n in _RESIDUAL_HEAD[scale]]
      setattr(self, f'upconv{number}_res', _convs(features, residual_widths)
              .append(nn.Sequential(
                  nn.Conv2d(residual_widths[-1], 3, 1), _leaky_relu())))

  def forward(
      self, center: Tensor, right: Tensor | None = None,
      left: Tensor | None = None,
  ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Restores pictures.

    Args:
      center: photographs [b, 3, h, w] in [-1, 1], h and w multiples of 8.
      right: a dual network's view, of the same shape.
      left: the other view.

    Returns:
      The restored pictures; the estimates at 1/8, 1/4, 1/2 and full size, not
      clipped; the kernels at these sizes, [b, 49, h, w].
    """
    decoded = self._decode(
        center if right is None else torch.cat([right, left], dim=1))
    image = F.interpolate(center, scale_factor=1 / SCALES[0], mode='area')
    estimates, kernels = [], []
    for scale in SCALES:
      if estimates:
        image = F.interpolate(image, scale_factor=2, mode='nearest')
      seen = getattr(self, f'img_d{scale}_feature')(image)
      features = torch.cat([decoded[scale], seen], dim=1)
      kernel = getattr(self, f'upconv{_HEAD[scale]}_kernel')(features)
      residual = getattr(self, f'upconv{_HEAD[scale]}_res')(features)
      image = image + dynamic_conv(image, kernel) + residual
      estimates.append(image)
      kernels.append(kernel)
    return image.clamp(-1, 1), estimates, kernels

  def _decode(self, x):
    skips = []
    for level in (1, 2, 3, 4):
      for i in (1, 2, 3):
        x = getattr(self, f'conv{level}_{i}')(x)
      skips.append(x)
    x = self.conv4_4(x)
    decoded = {8: x}
    for (scale, number), skip in zip(_DECODER.items(), skips[-2::-1]):
      x = getattr(self, f'upconv{number}_u')(x) + skip
      for i in (1, 2):
        x = getattr(self, f'upconv{number}_{i}')(x)
      decoded[scale] = x
    return decoded


def dynamic_conv(image: Tensor, kernels: Tensor) -> Tensor:
  """Filters each pixel's neighbourhood with that pixel's kernel.

  Args:
    image: [b, c, h, w]; beyond its border it repeats its edge.
    kernels: [b, k * k, h, w], rows before columns; one for all channels.
  """
  batch, channels, height, width = image.shape
  radius = _KERNEL_SIZE // 2
  padded = F.pad(image, (radius,) * 4, mode='replicate')
  neighbours = F.unfold(padded, _KERNEL_SIZE).view(
      batch, channels, _KERNEL_SIZE ** 2, height, width)
  return (neighbours * kernels[:, None]).sum(dim=2)


def _leaky_relu():
  return nn.LeakyReLU(_SLOPE)


def _conv(channels, features, stride=1):
  return nn.Sequential(
      nn.Conv2d(channels, features, 3, stride=stride, padding=1),
      _leaky_relu())


def _convs(channels, widths):
  return nn.Sequential(*(
      _conv(before, after)
      for before, after in zip([channels, *widths], widths)))
