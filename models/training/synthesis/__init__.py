"""Synthetic pages: `Composer` draws them with their labels, `hard_negatives` spoils words."""

from models.training.synthesis.composer import Composer
from models.training.synthesis.negatives import hard_negatives

__all__ = ["Composer", "hard_negatives"]
