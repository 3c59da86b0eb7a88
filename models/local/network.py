"""The whole network: the reader, and the tower that sees pictures as a whole."""

from __future__ import annotations

from models.local.config import NetworkConfig
from models.local.reading_network import ReadingNetwork
from models.local.visual_tower import VisualTower


class Network(ReadingNetwork):
    """The reading network with its visual tower; the two halves are trained and stored apart."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(config)
        self.visual = VisualTower(config)
