"""voyage-multimodal-3.5 as an encoder: pictures go to the Voyage service, one vector a page comes back."""

from models.voyage.encoder import VoyageEncoder

__all__ = ["VoyageEncoder"]
