"""What the API answers, as far as the dashboard shows it. Unknown members are ignored, so that the API may grow."""

from ui.records.answer import Json
from ui.records.claims import Claim, Facet
from ui.records.files import Asset, Capture, Page, Reuse
from ui.records.identity import ROLES, Me
from ui.records.jobs import Entry, Job
from ui.records.search import Explanation, Hit, Losses, Matches, Pair, SearchAnswer

__all__ = [
    "ROLES",
    "Asset",
    "Capture",
    "Claim",
    "Entry",
    "Explanation",
    "Facet",
    "Hit",
    "Job",
    "Json",
    "Losses",
    "Matches",
    "Me",
    "Page",
    "Pair",
    "Reuse",
    "SearchAnswer",
]
