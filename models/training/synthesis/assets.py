"""The atlas and the pool on the device of the composer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.training.synthesis.fonts import GROUPS
from models.training.synthesis.scribbles import KINDS
from models.training.synthesis.signs import PRINTED, canonical_table, class_table, glyph_table, upper_table


@dataclass(frozen=True, slots=True)
class Assets:
    """Sprites (data uint8, offset int32 [n], size int32 [n, 2] height and width, corner float [n, 2] left and top),
    faces (advance [faces, signs] and cap [faces] in em, sizes [s] in px), words by kind uint8 [n, 24], byte tables.
    groups: first face of each group and the end. scribbles: first sprite of each kind and how many.
    """

    data: Tensor
    offset: Tensor
    size: Tensor
    corner: Tensor
    advance: Tensor
    cap: Tensor
    sizes: Tensor
    groups: dict[str, tuple[int, int]]
    scribbles: dict[str, tuple[int, int]]
    pools: dict[str, Tensor]
    glyph: Tensor
    canonical: Tensor
    classes: Tensor
    upper: Tensor

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Assets:
        """Read atlas.npz and pool.npz, as `build` writes them."""
        with np.load(folder / "atlas.npz") as atlas, np.load(folder / "pool.npz") as pool:
            start = [int(number) for number in atlas["group_start"]]
            first = len(atlas["offset"]) - int(atlas["extra"])
            scribbles: dict[str, tuple[int, int]] = {}
            for kind, count in KINDS.items():
                scribbles[kind] = (first, count)
                first += count
            return cls(
                data=torch.from_numpy(atlas["data"]).to(device),
                offset=torch.from_numpy(atlas["offset"]).to(device),
                size=torch.from_numpy(atlas["size"]).to(device).int(),
                corner=torch.from_numpy(atlas["corner"]).to(device).float(),
                advance=torch.from_numpy(atlas["advance"]).to(device),
                cap=torch.from_numpy(atlas["cap"]).to(device),
                sizes=torch.from_numpy(atlas["sizes"]).to(device).float(),
                groups={name: (start[i], start[i + 1]) for i, name in enumerate(GROUPS)},
                scribbles=scribbles,
                pools={kind: torch.from_numpy(pool[kind]).to(device) for kind in pool.files},
                glyph=glyph_table().to(device),
                canonical=canonical_table().to(device),
                classes=class_table().to(device),
                upper=upper_table().to(device),
            )

    def by_hand(self, face: Tensor) -> Tensor:
        """Which faces are handwriting."""
        first, end = self.groups["hand"]
        return (face >= first) & (face < end)

    def sprite(self, face: Tensor, em: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
        """(sprite number, stored em size) for signs drawn at `em` pixels: the nearest stored size above."""
        step = torch.bucketize(em * 0.95, self.sizes).clamp(max=len(self.sizes) - 1)
        return (face * len(self.sizes) + step) * len(PRINTED) + sign, self.sizes[step]
