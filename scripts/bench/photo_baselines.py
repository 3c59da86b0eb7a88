"""Photo search without our head: hashes, gradients, colours, and pretrained features with and without a fit.

Every function gives one row of numbers a photo, compared by cosine (the hash by equal bits).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from models.local.backbone import frozen
from scripts.bench.record import REPOSITORY

CACHE = REPOSITORY / "var" / "photos"
SIDES = {"efficientnet-lite1": 240, "efficientnet-lite2": 260}
"""What each network was trained on."""


def hash_bits(pictures: Sequence[Image.Image]) -> Tensor:
    """64 bits of the low frequencies of a 32 x 32 grey copy, each above or below their median, as -1 and 1."""
    place = np.arange(32)
    cosine = np.cos(np.pi * (2 * place[None] + 1) * place[:, None] / 64)
    rows: list[NDArray[np.float64]] = []
    for picture in pictures:
        grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
        low = (cosine @ grey @ cosine.T)[:8, :8].flatten()
        rows.append(np.where(low > np.median(low), 1.0, -1.0))
    return torch.from_numpy(np.stack(rows))


def gradients(pictures: Sequence[Image.Image]) -> Tensor:
    """Histograms of oriented gradients: 128 px, cells of 16 px, 9 unsigned bins, blocks of 2 x 2 cells of length 1."""
    rows: list[Tensor] = []
    for picture in pictures:
        grey = torch.from_numpy(np.asarray(picture.convert("L").resize((128, 128)), np.float32) / 255)
        down, across = torch.gradient(grey)
        angle = torch.remainder(torch.atan2(down, across), math.pi) / math.pi * 9 - 0.5
        low = angle.floor()
        strength, share = torch.hypot(down, across), angle - low
        bins = torch.zeros(9, 128, 128)
        bins.scatter_add_(0, torch.remainder(low, 9).long()[None], (strength * (1 - share))[None])
        bins.scatter_add_(0, torch.remainder(low + 1, 9).long()[None], (strength * share)[None])
        cells = F.avg_pool2d(bins[None], 16)
        blocks = F.unfold(cells, 2)[0]
        rows.append(F.normalize(blocks, dim=0).flatten())
    return torch.stack(rows)


def colours(pictures: Sequence[Image.Image]) -> Tensor:
    """Square roots of HSV histograms, 8 x 4 x 4 bins in each quarter of the picture."""
    rows: list[NDArray[np.float64]] = []
    for picture in pictures:
        hsv = np.asarray(picture.convert("HSV").resize((128, 128)), np.int64)
        number = hsv[..., 0] // 32 * 16 + hsv[..., 1] // 64 * 4 + hsv[..., 2] // 64
        quarters = (number[y : y + 64, x : x + 64] for y in (0, 64) for x in (0, 64))
        rows.append(np.sqrt(np.concatenate([np.bincount(quarter.flatten(), minlength=128) for quarter in quarters])))
    return torch.from_numpy(np.stack(rows))


@torch.inference_mode()
def pretrained(pictures: Sequence[Image.Image], name: str) -> Tensor:
    """Pooled features [n, 1280] of a package's network, at the size that it was trained on. They take minutes and the
    networks never change, so they are kept in CACHE for a further run over the same pictures."""
    content = hashlib.sha256(name.encode())
    for picture in pictures:
        content.update(picture.tobytes())
    path = CACHE / f"{name}-{content.hexdigest()[:16]}.safetensors"
    if path.is_file():
        return load_file(path)["features"]
    side = SIDES[name]
    network = frozen(name, side)
    rows: list[Tensor] = []
    for picture in pictures:
        small = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32)
        look = torch.from_numpy(small).permute(2, 0, 1)[None] / 127 - 1
        rows.append(network.extract_features(look.contiguous(memory_format=torch.channels_last)).mean((2, 3)))
    CACHE.mkdir(parents=True, exist_ok=True)
    save_file({"features": torch.cat(rows)}, path)
    return torch.cat(rows)


def centred(features: Tensor, train: Tensor) -> Tensor:
    """Unit rows less the mean of the unit rows of `train`, unit again."""
    return F.normalize(F.normalize(features, dim=1) - F.normalize(train, dim=1).mean(0), dim=1)


def discriminant(features: Tensor, train: Tensor, labels: Sequence[str], *, numbers: int = 64) -> Tensor:
    """Linear discriminant of `labels` of `train`: the scatter within shrunk to its mean variance, 1 to 1."""
    x = F.normalize(train, dim=1).double()
    number = {name: place for place, name in enumerate(dict.fromkeys(labels))}
    label = torch.tensor([number[name] for name in labels])
    count = torch.bincount(label).double()
    centres = torch.zeros(len(number), x.shape[1], dtype=x.dtype).index_add_(0, label, x) / count[:, None]
    inside = x - centres[label]
    within = inside.T @ inside / len(x)
    within.diagonal().add_(within.trace() / len(within))
    apart = (centres - x.mean(0)) * (count / len(x)).sqrt()[:, None]
    root = torch.linalg.cholesky(within)
    axes, _, _ = torch.linalg.svd(torch.linalg.solve_triangular(root, apart.T, upper=False), full_matrices=False)
    axes = torch.linalg.solve_triangular(root.T, axes[:, :numbers], upper=True)
    return (F.normalize(features, dim=1).double() - x.mean(0)) @ axes
