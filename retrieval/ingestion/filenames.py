"""A user's file name, cleaned so that it can be shown anywhere. It is never used as a path."""

from __future__ import annotations

import re
import unicodedata

NAME_BYTES = 200

_DRIVE = re.compile(r"^[A-Za-z]:[\\/]")
_PLAIN_FOLDER = re.compile(r"^[\w .()\-+,@&]*$")
# Joiners belong to the spelling of Persian and Indic words; every other format character only deceives the eye.
_JOINERS = "\u200c\u200d"
_LONGEST_ENDING = 12


def clean_filename(name: str, *, otherwise: str = "upload") -> str:
    """The name to show: without folders, control characters and direction overrides, in NFC, of at most 200 bytes
    of UTF-8 with its ending kept. `otherwise` where nothing is left. Escaping is left to whoever shows it."""
    visible = "".join(_visible(char) for char in name)
    bare = _without_folders(unicodedata.normalize("NFC", visible)).strip()
    if not bare.strip(". "):
        return otherwise
    return _shortened(bare)


def _visible(char: str) -> str:
    category = unicodedata.category(char)
    if category in ("Cc", "Zl", "Zp") or (category == "Cf" and char not in _JOINERS):
        return ""
    return "\ufffd" if category == "Cs" else char


def _without_folders(name: str) -> str:
    """What follows the folders, where the slashes are those of a path. Other text with slashes stays whole."""
    parts = re.split(r"[\\/]", name)
    folders, last = parts[:-1], parts[-1]
    absolute = name.startswith(("/", "\\")) or _DRIVE.match(name) is not None
    if absolute or ".." in parts or all(_PLAIN_FOLDER.match(folder) for folder in folders):
        return last
    return name


def _shortened(name: str) -> str:
    if len(name.encode()) <= NAME_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    tail = f"{dot}{ending}" if stem and 0 < len(ending.encode()) <= _LONGEST_ENDING else ""
    head = name.encode()[: NAME_BYTES - len(tail.encode()) - len("…".encode())].decode(errors="ignore")
    return f"{head}…{tail}"
