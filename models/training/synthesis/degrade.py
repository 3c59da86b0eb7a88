"""What print, paper, scanners and cameras do to a page. Most effects touch a random part of the pages only, which
keeps them cheap; pages before `straight` came from a file and stay clean. strength: [pages], 0..1, how much a page
bears: small print is lost under what large print survives."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from models.training.synthesis.chance import Chance

BLUR_REACH = 3


def enlarged(small: Tensor, height: int, width: int) -> Tensor:
    """Small random pictures [n, h, w] stretched smoothly to [n, height, width]."""
    return F.interpolate(small[:, None], size=(height, width), mode="bilinear", align_corners=True)[:, 0]


def column(values: Tensor) -> Tensor:
    """[n] -> [n, 1, 1]."""
    return values[:, None, None]


def with_ground(ink: Tensor, ground: Tensor) -> Tensor:
    """Text over its shaded rectangles: black ones invert it."""
    return torch.where(ground > 0.5, ground * (1 - ink), torch.maximum(ink, ground))


def wear(ink: Tensor, chance: Chance, straight: int, strength: Tensor) -> Tensor:
    """Printing faults: bold and starved strokes, drop-outs of thermal heads and ribbons, white streaks, fading."""
    count, height, width = ink.shape
    kind = ink.dtype
    some = chance.some(count, 0.10, straight)
    ink[some] = F.max_pool2d(ink[some][:, None], 2, 1, 1)[:, 0, :height, :width]
    some = chance.some(count, 0.06, straight)
    thin = -F.max_pool2d(-ink[some][:, None], 2, 1, 1)[:, 0, :height, :width]
    ink[some] = thin * 0.5 + ink[some] * 0.5
    some = chance.some(count, 0.16, straight)
    n = some.shape[0]
    grain = torch.randn(n, height // 2, width // 2, device=ink.device, dtype=kind)
    lost = enlarged(grain, height, width) > column(chance.uniform(0.2, 1.3, n)).to(kind)
    depth = chance.uniform(0.2, 0.9, n) * strength[some]
    ink[some] = ink[some] * (1 - lost * column(depth).to(kind))
    some = chance.some(count, 0.06, straight)
    n = some.shape[0]
    stripes = (torch.rand(n, 1, width, device=ink.device) < 0.012).to(kind) * 0.8
    ink[some] = ink[some] * (1 - F.max_pool1d(stripes, 3, 1, 1))
    some = chance.some(count, 0.22, straight)
    n = some.shape[0]
    pale = enlarged(torch.rand(n, 4, 4, device=ink.device, dtype=kind), height, width)
    ink[some] = ink[some] * (1 - pale * column(chance.uniform(0.2, 0.85, n)).to(kind))
    return ink


def blurred(ink: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur, one width a page: ink [n, height, width], sigma [n] in px."""
    count = ink.shape[0]
    t = torch.arange(-BLUR_REACH, BLUR_REACH + 1, device=ink.device, dtype=torch.float32)
    kernel = torch.exp(-(t**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).to(ink.dtype)[:, None]
    rows = F.conv2d(ink[None], kernel[:, :, None, :], padding=(0, BLUR_REACH), groups=count)
    return F.conv2d(rows, kernel[:, :, :, None], padding=(BLUR_REACH, 0), groups=count)[0]


def on_paper(ink: Tensor, sheet: Tensor, chance: Chance, straight: int) -> Tensor:
    """Ink [n, height, width] to a grey page, 1 = white: paper and ink levels, shading, the back side shining
    through, folds, a desk around the sheet (sheet: [n, 4] edges x0, y0, x1, y1)."""
    count, height, width = ink.shape
    kind = ink.dtype
    clean = torch.arange(count, device=ink.device) < straight
    paper = torch.where(clean | chance.flag(0.45, count), 1.0, chance.uniform(0.72, 1.0, count))
    dark = torch.where(clean, chance.uniform(0, 0.25, count), chance.uniform(0.0, 0.5, count))
    faint = chance.flag(0.08, count)
    dark = torch.where(faint, chance.uniform(0.45, 0.72, count), dark)
    page = column(paper).to(kind) * (1 - ink * column(1 - dark).to(kind))

    some = chance.some(count, 0.10, straight)
    n = some.shape[0]
    back = F.avg_pool2d(ink[(some + 1) % count].flip(-1)[:, None], 3, 1, 1)[:, 0]
    page[some] = page[some] * (1 - back * column(chance.uniform(0.04, 0.3, n)).to(kind))
    some = chance.some(count, 0.35, straight)
    n = some.shape[0]
    shade = enlarged(torch.rand(n, 3, 4, device=ink.device, dtype=kind), height, width)
    page[some] = page[some] * (1 - shade * column(chance.uniform(0, 0.6, n) ** 1.5).to(kind))
    some = chance.some(count, 0.10, straight)
    n = some.shape[0]
    across = torch.arange(width, device=ink.device).expand(n, width)
    along = torch.arange(height, device=ink.device).expand(n, height)
    fold_x = (-(((across - chance.uniform(0, width, n, 1)) / chance.uniform(2, 14, n, 1)) ** 2)).exp()
    fold_y = (-(((along - chance.uniform(0, height, n, 1)) / chance.uniform(2, 14, n, 1)) ** 2)).exp()
    depth = chance.normal(0.09, n, 1)
    fold = (1 - depth * fold_x)[:, None, :] * (1 - (depth * chance.flag(0.6, n, 1) * fold_y))[:, :, None]
    page[some] = page[some] * fold.to(kind)
    x0, y0, x1, y1 = (edge[:, None] for edge in sheet.unbind(-1))
    across, along = torch.arange(width, device=ink.device)[None], torch.arange(height, device=ink.device)[None]
    inside = ((across >= x0) & (across < x1))[:, None, :] & ((along >= y0) & (along < y1))[:, :, None]
    desk = column(chance.uniform(0.25, 0.8, count)).to(kind)
    return torch.where(inside, page, desk * column(paper).to(kind))


def scanned(page: Tensor, chance: Chance, straight: int, strength: Tensor) -> Tensor:
    """Grey pages [n, height, width] as a device delivers them: low resolution, fax, copies, noise, compression."""
    count, height, width = page.shape
    kind = page.dtype
    some = chance.some(count, 0.16, straight)
    n = some.shape[0]
    for factor, limit, part in ((0.5, 0.9, some[: n // 3]), (0.66, 0.6, some[n // 3 :])):
        small = F.interpolate(page[part][:, None], scale_factor=factor, mode="area" if factor == 0.5 else "bilinear")
        low = F.interpolate(small, size=(height, width), mode="bilinear")[:, 0]
        page[part] = torch.where(column(strength[part] > limit), low, page[part])
    some = chance.some(count, 0.2, straight)
    page[some] = copied(page[some], chance, strength[some])
    some = chance.some(count, 0.05, straight)
    n = some.shape[0]
    near = torch.arange(width, device=page.device).expand(n, width)
    edge = torch.sigmoid((near - chance.uniform(width - 40, width + 10, n, 1)) * 0.3).to(kind)
    edge = torch.where(chance.flag(0.5, n, 1), edge, edge.flip(-1))
    page[some] = page[some] * (1 - edge[:, None] * column(chance.uniform(0.4, 1, n)).to(kind))
    noise = chance.uniform(0, 0.5, count - straight) ** 3 * strength[straight:]
    page[straight:] += torch.randn_like(page[straight:]) * column(noise).to(kind)
    some = chance.some(count, 0.15, straight)
    page[some] = compressed(page[some].clamp(0, 1), chance, strength[some])
    return page.clamp_(0, 1)


def copied(page: Tensor, chance: Chance, strength: Tensor) -> Tensor:
    """Fax and photocopy: nearly black and white, ragged edges, specks."""
    n, height, width = page.shape
    kind = page.dtype
    rough = torch.rand(n, height, width, device=page.device, dtype=kind)
    sample = page.flatten(1)[:, ::97].float()
    light = sample.mean(1)
    dark = torch.minimum(sample.kthvalue(max(1, sample.shape[1] // 50), 1).values, light - 0.08)
    contrast = light - dark
    limit = column(light - contrast * (chance.uniform(0.22, 0.45, n) - 0.1 * (1 - strength))).to(kind)
    ragged = column(contrast * chance.uniform(0.0, 0.6, n) * strength).to(kind)
    hard = ((page - limit + (rough - 0.5) * ragged) * 12 + 0.5).clamp(0, 1)
    specks = column(torch.where(chance.flag(0.5, n), chance.uniform(0, 0.002, n), 0.0)).to(kind)
    coarse = torch.rand(n, height // 2, width // 2, device=page.device)
    spots = F.interpolate((coarse < specks.float())[:, None].to(kind), size=(height, width), mode="nearest")[:, 0]
    soft = column(chance.uniform(0.5, 1, n)).to(kind)
    return (hard * soft + page * (1 - soft)) * (1 - spots * 0.9)


def dct_matrix(device: torch.device) -> Tensor:
    """Orthonormal 8-point cosine transform [8, 8]."""
    k = torch.arange(8, device=device, dtype=torch.float32)
    matrix = torch.cos((2 * k[None] + 1) * k[:, None] * (torch.pi / 16)) * 0.5
    matrix[0] *= 0.5**0.5
    return matrix


def compressed(page: Tensor, chance: Chance, strength: Tensor) -> Tensor:
    """JPEG's loss: 8 x 8 blocks, coarser steps for finer waves."""
    n, height, width = page.shape
    basis = dct_matrix(page.device)
    blocks = page.float().view(n, height // 8, 8, width // 8, 8).transpose(2, 3)
    waves = basis @ blocks @ basis.T
    k = torch.arange(8, device=page.device)
    steps = (1 + k[:, None] + k[None]) * 0.012 * (strength * chance.uniform(0.5, 4, n))[:, None, None, None, None]
    waves = (waves / steps).round() * steps
    return (basis.T @ waves @ basis).transpose(2, 3).reshape(n, height, width).to(page.dtype)
