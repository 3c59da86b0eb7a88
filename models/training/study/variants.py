"""What is compared: each variant is the base network with one thing changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from models.local.config import NetworkConfig
from models.local.layers import AttentionLayer, ScanLayer
from models.local.reading_network import ReadingNetwork
from models.training.losses import StepSize
from models.training.study.layers import DeltaLayer, PieceTower, RotaryAttention, Stride

Change = Callable[[ReadingNetwork], None]


@dataclass(frozen=True, slots=True)
class Variant:
    """claim: the line of docs/studies/hybrid.md that it belongs to. changes: fields of NetworkConfig. build: what no
    field says. learned: the router cuts the page (else no step is taught where words begin). every_cell: a
    chunk a cell."""

    name: str
    claim: str
    changes: dict[str, Any] = field(default_factory=dict)
    build: Change | None = None
    learned: bool = True
    every_cell: bool = False

    def network(self, base: NetworkConfig) -> ReadingNetwork:
        """A new network, random weights."""
        reader = ReadingNetwork(dataclasses.replace(base, **self.changes))
        if self.build is not None:
            self.build(reader)
        return reader

    def size(self, size: StepSize) -> StepSize:
        """Room for the chunks that this variant makes."""
        return dataclasses.replace(size, chunks=size.cells) if self.every_cell else size


def stride(cells: int) -> Change:
    """Boundaries every so many cells."""

    def build(reader: ReadingNetwork) -> None:
        reader.page.router = Stride(cells)  # pyright: ignore[reportAttributeAccessIssue]

    return build


def rotary(reader: ReadingNetwork) -> None:
    """Positions for every attention layer of the page tower."""
    _swap(reader, AttentionLayer, lambda layer, dim, _: RotaryAttention(dim, window=layer.window))


def delta(reader: ReadingNetwork) -> None:
    """Gated DeltaNet in place of every scan of the page tower."""
    _swap(reader, ScanLayer, lambda layer, dim, block: DeltaLayer(dim, state=layer.state, block=block))


def pieces(reader: ReadingNetwork) -> None:
    """A router over the bytes of the typed words."""
    reader.text = PieceTower(reader.config)


def _swap(reader: ReadingNetwork, kind: type, make: Callable[[Any, int, int], nn.Module]) -> None:
    config = reader.config
    for layers, dim in ((reader.page.cell_layers, config.cell_dim), (reader.page.chunk_layers, config.chunk_dim)):
        for place, layer in enumerate(layers):
            if isinstance(layer, kind):
                layers[place] = make(layer, dim, config.scan_block)


VARIANTS = (
    Variant("base 9:2", "ratio"),
    Variant("delta rule", "update", build=delta),
    Variant("no chunking", "chunking", build=stride(1), learned=False, every_cell=True),
    Variant("1:0", "ratio", {"cell_layers": "rrrrcr", "chunk_layers": "sssss"}),
    Variant("10:1", "ratio", {"cell_layers": "rrrrcr", "chunk_layers": "ssass"}),
    Variant("1:1", "ratio", {"cell_layers": "rwrwcw", "chunk_layers": "sasas"}),
    Variant("0:1", "ratio", {"cell_layers": "wwwwww", "chunk_layers": "aaaaa"}, rotary),
    Variant("attention before chunking only", "order", {"cell_layers": "rwrwcr", "chunk_layers": "sssss"}),
    Variant("attention after chunking only", "order", {"cell_layers": "rrrrcr", "chunk_layers": "sasas"}),
    Variant("stride 8", "chunking", build=stride(8), learned=False),
    Variant("stride 21", "chunking", build=stride(21), learned=False),
    Variant("state 64", "state", {"cell_state": 64, "chunk_state": 64}),
    Variant("state 128", "state", {"cell_state": 128, "chunk_state": 128}),
    Variant("text: bytes with router", "text", build=pieces),
    Variant("text: attention only", "text", {"text_layers": "aaa"}),
)
"""The slow ones come early, so that nothing waits for them at the end. Ratios are scans to attention layers of the page
tower, of eleven: 9:2 is the nearest to 4:1, 6:5 to 1:1. The base has the state 16."""
