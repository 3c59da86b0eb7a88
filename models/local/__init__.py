"""The local encoder: a hybrid of state space layers and attention that reads pages as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.local.encoder import LocalEncoder

__all__ = ["LocalEncoder"]


def __getattr__(name: str) -> Any:
    """The encoder on demand: training needs the towers alone, without the packages of the visual backbone."""
    if name == "LocalEncoder":
        from models.local.encoder import LocalEncoder

        return LocalEncoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
