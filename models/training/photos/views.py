"""Altered views of pictures, made on the device: crop, turn, mirror, light, colour, sharpness, an erased patch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)


def plain(images: Tensor, side: int) -> Tensor:
    """uint8 [n, 3, ...] -> 0..1 [n, 3, side, side], unaltered."""
    return F.interpolate(
        images.float() / 255, size=(side, side), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)


def altered(images: Tensor, aspect: Tensor, is_page: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """uint8 [n, 3, s, s], ln(width / height) [n], bool [n] -> views 0..1 [n, 3, side, side] and their aspects.

    A page is neither mirrored nor turned much, and most of it stays in sight: its layout is what it looks like.
    The aspect of a photo is blurred, so that it does not tell which camera or collection it came from.
    """
    count, device = len(images), images.device

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, device=device)

    def often(share: float) -> Tensor:
        return torch.rand(count, device=device) < share

    area = torch.where(is_page, draw(0.75, 1.0), draw(0.4, 1.0))
    stretch = torch.exp(torch.where(is_page, draw(-0.1, 0.1), draw(-0.3, 0.3)))
    width, height = (area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1)
    left, top = (1 - width) * draw(-1, 1), (1 - height) * draw(-1, 1)
    angle = torch.where(is_page, draw(-0.03, 0.03), draw(-0.15, 0.15))
    mirror = torch.where(often(0.5) & ~is_page, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack([cos * width * mirror, -sin * height, left, sin * width * mirror, cos * height, top], 1)
    grid = F.affine_grid(theta.view(count, 2, 3), [count, 3, side, side], align_corners=False)
    view = F.grid_sample(images.float() / 255, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    aspect = aspect + torch.log(width / height) + torch.where(is_page, 0.05, 0.3) * torch.randn(count, device=device)

    view = _blurred(view, often(0.4), draw(1.2, 3.0))
    grey = (view * torch.tensor(LUMA, device=device)[:, None, None]).sum(1, keepdim=True)
    saturation = torch.where(often(0.1), torch.zeros(count, device=device), draw(0.5, 1.5))
    view = torch.lerp(grey.expand_as(view), view, _wide(saturation))
    middle = view.mean((1, 2, 3), keepdim=True)
    view = (view - middle) * _wide(draw(0.7, 1.35)) + middle * _wide(draw(0.7, 1.3))
    view = view * (1 + 0.08 * torch.randn(count, 3, 1, 1, device=device))
    view = view.clamp(1e-3, 1) ** _wide(torch.exp(draw(-0.3, 0.3)))
    view = view + torch.randn_like(view) * _wide(draw(-0.03, 0.03).clamp(min=0))
    return _erased(view, often(0.3) & ~is_page).clamp(0, 1), aspect


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _blurred(view: Tensor, which: Tensor, factor: Tensor) -> Tensor:
    """Those of `which` as if enlarged from a smaller picture: Gaussian blur of `factor` / 2 pixels."""
    reach = 4
    steps = torch.arange(-reach, reach + 1, device=view.device, dtype=view.dtype)
    kernel = torch.exp(-0.5 * (steps / (0.5 * factor[:, None])) ** 2)
    kernel = torch.where(which[:, None], kernel / kernel.sum(1, keepdim=True), (steps == 0).to(view.dtype))
    count, channels, rows, columns = view.shape
    weight = kernel.repeat_interleave(channels, 0)
    flat = F.pad(view.reshape(1, count * channels, rows, columns), (reach,) * 4, mode="replicate")
    flat = F.conv2d(flat, weight[:, None, :, None], groups=count * channels)
    return F.conv2d(flat, weight[:, None, None, :], groups=count * channels).view_as(view)


def _erased(view: Tensor, which: Tensor) -> Tensor:
    """A rectangle of 4 to 20 % of the area in one flat colour."""
    count, _, rows, columns = view.shape
    area = 0.04 + 0.16 * torch.rand(count, device=view.device)
    stretch = torch.exp((torch.rand(count, device=view.device) - 0.5) * 2 * math.log(2))
    half = torch.stack([(area * stretch).sqrt(), (area / stretch).sqrt()], 1) / 2
    centre = torch.rand(count, 2, device=view.device)
    x = (torch.arange(columns, device=view.device) + 0.5) / columns
    y = (torch.arange(rows, device=view.device) + 0.5) / rows
    hit = ((x - centre[:, :1]).abs() < half[:, :1])[:, None, :] & ((y - centre[:, 1:]).abs() < half[:, 1:])[:, :, None]
    colour = torch.rand(count, 3, 1, 1, device=view.device)
    return torch.where((hit & which[:, None, None])[:, None], colour, view)
