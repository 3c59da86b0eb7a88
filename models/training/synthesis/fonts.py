"""From font files to an atlas: every sign of every face at a few sizes, as grey sprites in one flat array."""

from __future__ import annotations

import random
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from models.training.synthesis.legible import LEAST, Legibility, box_of, cut_out, shapes
from models.training.synthesis.signs import PRINTED
from models.training.synthesis.strokes import Hand

SIZES = (8, 12, 17, 24, 36)
"""Em sizes in pixels at which signs are stored; a sign is drawn from the nearest larger one."""
GROUPS = ("office", "text", "mono", "pixel", "hand")
OFFICE = re.compile(
    r"(liberationsans|liberationserif|nimbussans|nimbussansnarrow|nimbusroman|c059|p052|urwbookman|urwgothic|carlito|caladea"
    r"|dejavusans|dejavusanscondensed|dejavuserif|opensans|roboto|robotocondensed|lato|freesans|sourcesanspro|clearsans"
    r"|librefranklin|ibmplexsans|lmroman10|pts)"
    r"-?(|regular|roman|book|light|medium|demi|55f|75f|76f|bold|italic|it|bolditalic|bdita|oblique|boldoblique)"
)
"""Faces that most offices, banks and shops print in, or ones of their shape and width, each with its styles. Chosen at
random among hundreds there were two or three of them, and none upright."""
OVERSAMPLE = 4
PER_FAMILY = {"text": 3, "mono": 3, "pixel": 4, "hand": 4}
PER_FOLDER = 6
"""Most text faces of one folder: a family of many cuts has many names."""
MONO = 90
"""Most fixed-width faces: they look more alike than the others."""
SHADES = 17
"""Grey steps kept: coarser ones compress to half, and the eye of the network does not see them."""

HAND = (
    "augie", "amicilogo", "auriocus", "janaskriv", "lukassvatba", "callig15", "frcr10", "frcbx10", "frcf10",
    "frcsl10", "frcc10",
    "miama", "tap.", "z003", "bajaderka", "becausewe", "dancingscript", "havana", "kaushan", "chilanka", "breip",
    "domestic_manners", "el_abogado", "junkyard", "penguinattack", "ecolier-court", "femkeklaver", "dkg.", "dkgit",
    "humor", "kiloji.", "kiloji_p", "kleeone", "kristi", "abecedario.", "delphine", "stevehand", "purisa",
    "rufscript", "karumbi", "nanumpen", "nanumbrush", "nanumbarunpenr", "setofont.", "yuseimagic",
    "comicneue-regular", "lobstertwo-i",
)  # fmt: skip
PIXEL = ("px_", "dotgothic", "unifont", "glass", "3270", "sixtyfour", "spleen", "wargames")
LEFT_OUT = (
    "symbol", "emoji", "math", "dingbat", "thin", "hairline", "initial", "keyboard", "outline", "fill", "guia",
    "paut", "punt", "lignes", "dseg", "rslant", "boldslant", "frc", "elegbold", "elegital", "joscelyn", "jupiter",
    "greek", "alfa-beta", "ellen", "punknova", "swift", "markedfool", "winks", "balker", "flatline", "progenis",
    "upper", "smallcap", "-sc", "caps", "extralight", "ultralight", "foekfont", "semiexpanded", "demo",
    "karlatamil", "ocrbe", "ocrbf", "ocrbx", "cli8", "llcms", "bebas", "leckerli", "fallback", "csmono", "isabella",
    "apropal", "tomsontalks", "it_wasn", "square_px",
)  # fmt: skip
LOW, HIGH = 0.35, 0.6
"""Height of a full stop at most, and of a stroke at least, where a capital has 1."""
PROBE = "aAbBgGqQRrEeZz0123456789.,/-$:"


@dataclass(frozen=True, slots=True)
class Face:
    """A font file and the group that it is drawn for."""

    path: Path
    group: int


def group_of(path: Path) -> int | None:
    """Number in GROUPS, None for a file that no page should be set in."""
    name = path.name.lower()
    if name.startswith(HAND):
        return GROUPS.index("hand") if "rslant" not in name and "boldslant" not in name else None
    if any(part in name for part in LEFT_OUT):
        return None
    if OFFICE.fullmatch(path.stem.lower()):
        return GROUPS.index("office")
    if any(part in name for part in PIXEL):
        return GROUPS.index("pixel")
    font = ImageFont.truetype(path, 40)
    even = abs(font.getlength("i") - font.getlength("W")) < 1
    return GROUPS.index("mono") if even else GROUPS.index("text")


def drawing(font: ImageFont.FreeTypeFont, sign: str) -> bytes:
    """Box and pixels of a sign, to compare signs; empty for one without ink."""
    image = cut_out(font, sign)
    return ",".join(map(str, box_of(font, sign))).encode() + image.tobytes() if image is not None else b""


def tall(font: ImageFont.FreeTypeFont, sign: str) -> float:
    """Height of a sign's ink."""
    _, top, _, bottom = font.getbbox(sign, anchor="ls")
    return bottom - top


def usable(path: Path) -> bool:
    """Whether Pillow can draw the file and its common signs differ from each other."""
    try:
        font = ImageFont.truetype(path, 40)
        looks = [drawing(font, sign) for sign in PROBE]
    except (OSError, ValueError):
        return False
    if any(not look for look, sign in zip(looks, PROBE, strict=True) if sign != "$"):
        return False
    # Faces of mathematics have letters, but arrows and the like where others have marks.
    if tall(font, ".") > LOW * tall(font, "H") or tall(font, "/") < HIGH * tall(font, "H"):
        return False
    return len(set(looks)) >= len(PROBE) - 3 and 8 < font.getlength("0") < 44


def choose(folder: Path, limit: int, seed: int = 0) -> list[Face]:
    """At most `limit` faces under `folder` beside those of offices: a few of each family, ordered by group."""
    chance = random.Random(seed)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".ttf", ".otf", ".pfb"))
    families: dict[tuple[str, str], list[Path]] = {}
    seen: set[str] = set()
    for path in files:
        if path.stem not in seen:
            seen.add(path.stem)
            families.setdefault((path.parent.name, path.stem.split("-")[0][:9]), []).append(path)
    office = [path for members in families.values() for path in members if OFFICE.fullmatch(path.stem.lower())]
    legible = Legibility(office) if office else None
    groups: dict[str, list[Face]] = {group: [] for group in GROUPS}
    for members in families.values():
        chance.shuffle(members)
        faces = [Face(path, group) for path in members if usable(path) and (group := group_of(path)) is not None]
        for group, most in PER_FAMILY.items():
            own = [face for face in faces if GROUPS[face.group] == group]
            if group in ("text", "mono") and legible is not None:
                own = [face for face in own if legible.share(shapes(face.path)) >= LEAST]
            groups[group] += own[:most]
        groups["office"] += [face for face in faces if GROUPS[face.group] == "office"]
    chance.shuffle(groups["text"])
    chance.shuffle(groups["mono"])
    groups["mono"] = groups["mono"][:MONO]
    fixed = sum(len(groups[group]) for group in ("mono", "pixel", "hand"))
    groups["text"] = few_of_a_folder(groups["text"])[: max(1, limit - fixed)]
    return [face for group in GROUPS for face in groups[group]]


def few_of_a_folder(faces: list[Face]) -> list[Face]:
    """The first PER_FOLDER of each folder, in their order."""
    count: Counter[Path] = Counter()
    kept: list[Face] = []
    for face in faces:
        count[face.path.parent] += 1
        if count[face.path.parent] <= PER_FOLDER:
            kept.append(face)
    return kept


@dataclass(slots=True)
class Sprites:
    """Sprites one after the other: bytes, offset, height and width, left and top from the pen."""

    data: list[NDArray[np.uint8]]
    offset: list[int]
    size: list[tuple[int, int]]
    corner: list[tuple[int, int]]
    total: int = 0

    def add(self, image: NDArray[np.uint8], left: int, top: int) -> None:
        """Append one grey sprite [height, width]."""
        steps = 255 / (SHADES - 1)
        self.data.append((np.round(image / steps) * steps).astype(np.uint8).ravel())
        self.offset.append(self.total)
        self.size.append((image.shape[0], image.shape[1]))
        self.corner.append((left, top))
        self.total += image.size


def sprite(font: ImageFont.FreeTypeFont, sign: str) -> tuple[NDArray[np.uint8], int, int]:
    """A sign drawn large and averaged down, as a scanner would: (grey, left, top) in stored pixels."""
    x0, y0, x1, y1 = box_of(font, sign)
    left, top = x0 // OVERSAMPLE, y0 // OVERSAMPLE
    width, height = max(1, -(-x1 // OVERSAMPLE) - left), max(1, -(-y1 // OVERSAMPLE) - top)
    image = Image.new("L", (width * OVERSAMPLE, height * OVERSAMPLE), 0)
    ImageDraw.Draw(image).text((-left * OVERSAMPLE, -top * OVERSAMPLE), sign, font=font, fill=255, anchor="ls")
    return np.asarray(image.reduce(OVERSAMPLE), np.uint8), left, top


def drawn_signs(font: ImageFont.FreeTypeFont) -> list[str]:
    """PRINTED, where the face lacks a sign replaced by the nearest that it has."""
    missing = drawing(font, "\uffff")
    signs: list[str] = []
    for sign in PRINTED:
        absent = drawing(font, sign) in (b"", missing)
        base = {"£": "L", "§": "S", "°": "o", "ø": "o"}.get(sign, sign)
        nearest = base if base != sign else unicodedata.normalize("NFKD", sign)[0]
        signs.append(nearest if absent else sign)
    return signs


def build_atlas(faces: list[Face], extra: list[NDArray[np.uint8]], hands: list[Hand]) -> dict[str, NDArray[np.generic]]:
    """Arrays of the atlas file. Sign c of face f at size s is sprite (f * len(SIZES) + s) * len(PRINTED) + c; the
    hands are the last faces of the group `hand`; `extra` (scribbles, seals, marks) follow. advance: [faces, signs] and
    cap (height of H): [faces], in em."""
    sprites = Sprites([], [], [], [])
    every = len(faces) + len(hands)
    advance = np.zeros((every, len(PRINTED)), np.float32)
    cap = np.zeros(every, np.float32)
    for number, face in enumerate(faces):
        large = ImageFont.truetype(face.path, 200)
        signs = drawn_signs(large)
        advance[number] = [large.getlength(sign) / 200 for sign in signs]
        cap[number] = -large.getbbox("H", anchor="ls")[1] / 200
        for size in SIZES:
            font = ImageFont.truetype(face.path, size * OVERSAMPLE)
            for sign in signs:
                sprites.add(*sprite(font, sign))
    for number, hand in enumerate(hands, len(faces)):
        advance[number] = [hand.letters[sign].advance for sign in PRINTED]
        cap[number] = hand.cap
        for size in SIZES:
            for sign in PRINTED:
                sprites.add(*hand.sprite(sign, size))
    for image in extra:
        sprites.add(image, 0, 0)
    groups = [face.group for face in faces]
    return {
        "data": np.concatenate(sprites.data),
        "offset": np.array(sprites.offset, np.int32),
        "size": np.array(sprites.size, np.int16),
        "corner": np.array(sprites.corner, np.int16),
        "advance": advance,
        "cap": cap,
        "sizes": np.array(SIZES, np.int16),
        "group_start": np.array([groups.index(g) for g in range(len(GROUPS))] + [every], np.int32),
        "extra": np.array(len(extra), np.int32),
    }
