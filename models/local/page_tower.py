"""The page tower: a grey page to word vectors, without OCR.

ink, evened -> stem -> cells that hold ink -> cell layers -> router -> chunks -> chunk layers -> one vector a word.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.local.config import NetworkConfig
from models.local.ink import evened, ink_of, inked_cells
from models.local.layers import AttentionLayer, ChunkPool, Chunks, RMSNorm, Router, ScanLayer
from models.local.layers.quick import SIZES, parts
from models.local.layers.rows import rows_at
from models.local.layers.tiles import Tiles

SIGNS = 38
"""Sign classes: blank, 0-9, a-z, any other sign."""
SEEN_AROUND = 32
"""Pixels beyond a cell that its vector depends on, at most: of five convolutions, two at 1/4 and three at 1/8."""
FURTHEST_GAP = 8
"""Gap classes between kept neighbours: 1..7 columns, 8 = another row."""


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells that hold ink. hidden: [batch, kept, dim]. mask: bool [batch, kept]. index: [batch, kept], number of
    the cell in the grid, row by row. position: [batch, rows * columns], place among the kept, -1 = dropped."""

    hidden: Tensor
    mask: Tensor
    index: Tensor
    position: Tensor
    rows: int
    columns: int


class Stem(nn.Module):
    """4x4 pixel blocks to channels, then 3x3 convolutions at 1/4 and 1/8: one vector a cell."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        dim = config.stem_dim
        self.first, self.second = nn.Conv2d(16, 64, 3, 1, 1), nn.Conv2d(64, dim, 3, 2, 1)
        self.inner, self.outer = nn.Conv2d(dim, dim // 2, 3, 1, 1), nn.Conv2d(dim // 2, dim, 3, 1, 1)
        stride = (config.cell_height // 8, config.cell_width // 8)
        self.last = nn.Conv2d(dim, config.cell_dim, 3, stride, 1)
        self.tiles: nn.ModuleList | None = None
        for layer in (self.first, self.second, self.inner, self.outer, self.last):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        self.outer.weight.data.mul_(0.5)

    def forward(self, ink: Tensor) -> Tensor:
        """[batch, 1, height, width] -> [batch, dim, rows, columns]."""
        return self.last(self.body(ink))

    def body(self, ink: Tensor) -> Tensor:
        """All but the last convolution, at 1/8 of the size."""
        x = self.entered(ink)
        return F.relu_(self.outer(F.relu_(self.inner(x))).add_(x))

    def entered(self, ink: Tensor) -> Tensor:
        """The first two convolutions."""
        # Channels last: what a block of 4x4 holds lies side by side.
        x = ink[:, 0].unflatten(-2, (-1, 4)).unflatten(-1, (-1, 4)).transpose(2, 3).flatten(-2).permute(0, 3, 1, 2)
        return F.relu_(self.second(F.relu_(self.first(x))))

    def tile(self) -> None:
        """From now on `at` makes the inner convolutions in tiles, and only around the cells it is asked for."""
        self.tiles = nn.ModuleList(Tiles(layer) for layer in (self.inner, self.outer))

    def at(self, ink: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The same for some cells of one page, [1, 1, height, width] -> [1, cells, dim]: blank edges are cut off, and
        the last convolution is a product of the patches it is asked for. row, column: [cells], at least one."""
        steps_down, steps_across = self.last.stride[0], self.last.stride[1]
        down, across = steps_down * 8, steps_across * 8
        top = max(0, int(row.min()) * down - SEEN_AROUND)
        left = max(0, int(column.min()) * across - SEEN_AROUND)
        bottom, right = (int(row.max()) + 1) * down + SEEN_AROUND, (int(column.max()) + 1) * across + SEEN_AROUND
        near, beside = row - top // down, column - left // across
        ink = ink[..., top:bottom, left:right]
        if self.tiles is None:
            x = self.body(ink).permute(0, 2, 3, 1)[0]
        else:
            x = self.body_around(ink, near * steps_down, beside * steps_across)
        around = F.pad(x, (0, 0, 1, 1, 1, 1)).contiguous()
        line, place, _ = around.stride()
        # Three neighbours of a row lie side by side, so a patch is three runs.
        patches = around.as_strided(
            (x.shape[0] // steps_down, x.shape[1] // steps_across, 3, 3 * place),
            (steps_down * line, steps_across * place, line, 1),
        )
        weight = self.last.weight.permute(0, 2, 3, 1).flatten(1)
        places = F.pad(torch.stack((near, beside)), (0, -len(row) % SIZES))
        cells = [
            F.linear(patches[part[0], part[1]].flatten(1), weight, self.last.bias)
            for part in places.split(parts(len(row)), dim=1)
        ]
        return torch.cat(cells)[None, : len(row)]

    def body_around(self, ink: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """The body of one page in tiles, [rows, columns, channels], right at some places and all their neighbours."""
        assert self.tiles is not None
        inner, outer = self.tiles
        x = self.entered(ink).permute(0, 2, 3, 1)[0]
        asked = x.new_zeros(1, 1, *x.shape[:2])
        asked[0, 0, row, column] = 1.0
        asked = F.max_pool2d(asked, 3, 1, 1)
        around = F.max_pool2d(asked, 3, 1, 1)
        return F.relu_(outer(F.relu_(inner(x, around[0, 0] > 0)), asked[0, 0] > 0).add_(x))


class PageTower(nn.Module):
    """See the module. Pages: [batch, 1, height, width], 0..1, sides multiples of 32."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        dim, wide, block = config.cell_dim, config.chunk_dim, config.scan_block
        self.stem, self.stem_norm = Stem(config), RMSNorm(dim)
        self.gap = nn.Embedding(2 * (FURTHEST_GAP + 1), dim)
        nn.init.normal_(self.gap.weight, std=0.02)
        self.cell_layers = nn.ModuleList(
            AttentionLayer(dim, window=config.window)
            if kind == "w"
            else ScanLayer(dim, state=config.cell_state, block=block)
            for kind in config.cell_layers
        )
        self.cell_norm = RMSNorm(dim)
        self.signs = nn.Linear(dim, SIGNS * config.slots)
        self.router = Router(dim)
        self.pool = ChunkPool(dim, wide, reach=config.reach)
        self.chunk_layers = nn.ModuleList(
            AttentionLayer(wide) if kind == "a" else ScanLayer(wide, state=config.chunk_state, block=block)
            for kind in config.chunk_layers
        )
        self.chunk_norm, self.token = RMSNorm(wide), nn.Linear(wide, config.token_dim)

    def cells(self, page: Tensor, *, limit: int | None = None) -> Cells:
        """Read the cells that hold ink. limit: cells a page, a multiple of the block (training: fixed shapes, no
        wait for the device); None = as many as the fullest page has."""
        config = self.config
        ink = evened(ink_of(page))
        rows, columns = page.shape[-2] // config.cell_height, page.shape[-1] // config.cell_width
        keep = inked_cells(ink, config.cell_height, config.cell_width)
        if limit is None and len(page) == 1 and page.device.type == "cpu" and keep.any():
            return self.cells_of_one(ink, keep, rows, columns)
        features = self.stem(ink)
        if limit is None:
            limit = max(1, -(-int(keep.sum(1).max()) // config.scan_block)) * config.scan_block
        keep = keep & (keep.cumsum(1) <= limit)
        index = torch.argsort((~keep).to(torch.uint8), dim=1, stable=True)[:, :limit]
        index = F.pad(index, (0, limit - index.shape[1]))
        mask = torch.arange(limit, device=page.device)[None] < keep.sum(1, keepdim=True)
        position = torch.where(keep, keep.cumsum(1) - 1, -1)
        hidden = rows_at(features.flatten(2).transpose(1, 2), index, position)
        # What fills a row up lies below the page, so that the last cell of a page ends its line.
        hidden = self.stem_norm(hidden) + self.gaps(torch.where(mask, index, rows * columns), columns)
        hidden = self.read_cells(hidden * mask[..., None], mask, index, rows, columns)
        return Cells(hidden, mask, index, position, rows, columns)

    def cells_of_one(self, ink: Tensor, keep: Tensor, rows: int, columns: int) -> Cells:
        """The same for one page on a processor, which needs no rows of one length: nothing is padded or masked."""
        index = keep[0].nonzero().T
        position = torch.where(keep, keep.cumsum(1) - 1, -1)
        features = self.stem.at(ink, index[0] // columns, index[0] % columns)
        hidden = self.stem_norm(features) + self.gaps(index, columns)
        hidden = self.read_cells(hidden, None, index, rows, columns)
        return Cells(hidden, torch.ones_like(index, dtype=torch.bool), index, position, rows, columns)

    def gaps(self, index: Tensor, columns: int) -> Tensor:
        """Embedding of the distance to the kept neighbour on the left and on the right."""
        row, column = index // columns, index % columns
        near = (column[:, 1:] - column[:, :-1]).clamp(1, FURTHEST_GAP - 1)
        gap = torch.where(row[:, 1:] == row[:, :-1], near, FURTHEST_GAP)
        left, right = F.pad(gap, (1, 0), value=FURTHEST_GAP), F.pad(gap, (0, 1), value=FURTHEST_GAP)
        return self.gap(left) + self.gap(right + FURTHEST_GAP + 1)

    def read_cells(self, hidden: Tensor, mask: Tensor | None, index: Tensor, rows: int, columns: int) -> Tensor:
        """The cell layers; a column scan reads the same cells in column order. mask: None = all count."""
        row, column = index // columns, index % columns
        place = column * rows + row
        order = place if mask is None else torch.where(mask, place, rows * columns + 1)
        order = torch.argsort(order, dim=1, stable=True)
        back = torch.argsort(order, dim=1)
        for kind, layer in zip(self.config.cell_layers, self.cell_layers, strict=True):
            if kind == "c":
                hidden = rows_at(layer(rows_at(hidden, order, back), mask), back, order)
            else:
                hidden = layer(hidden, mask)
        return self.cell_norm(hidden)

    def sign_logits(self, hidden: Tensor) -> Tensor:
        """[batch, kept, dim] -> [batch, kept, slots, SIGNS]."""
        return self.signs(hidden).view(*hidden.shape[:2], self.config.slots, SIGNS)

    def tokens(self, chunks: Chunks) -> Tensor:
        """The chunk layers: fp32 unit vectors [batch, chunks, token_dim]; rows outside the mask mean nothing."""
        z = chunks.vectors
        for layer in self.chunk_layers:
            z = layer(z, chunks.mask)
        return F.normalize(self.token(self.chunk_norm(z)).float(), dim=-1)

    def read(
        self, page: Tensor, *, cell_limit: int | None = None, chunk_limit: int | None = None
    ) -> tuple[Tensor, Chunks, Cells]:
        """Pages as they are used: tokens fp32 [batch, chunks, token_dim], real where `Chunks.mask` is, and what
        they were made of. Pages of one size; each has the vectors that it would have alone.

        With both limits nothing waits for the device, so that a CUDA graph can hold the call; without, as many cells
        and chunks as the fullest page has.
        """
        cells = self.cells(page, limit=cell_limit)
        tokens, chunks = self.words(cells, self.router(cells.hidden), limit=chunk_limit)
        return tokens, chunks, cells

    def words(self, cells: Cells, logits: Tensor, *, limit: int | None = None) -> tuple[Tensor, Chunks]:
        """Tokens and chunks of cells. logits: of the router, [batch, kept]. limit: chunks a page, None = as many as the
        fullest page has."""
        boundary = (logits > 0) & cells.mask
        limit = max(1, int(boundary.sum(1).max())) if limit is None else limit
        chunks = self.pool(cells.hidden, cells.mask, boundary, torch.sigmoid(logits), limit)
        return self.tokens(chunks), chunks
