"""The pool of words that pages are filled with. A number is a template: its digits and letters are drawn later."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.local.config import WORD_BYTES
from models.training.synthesis import terms
from models.training.synthesis.signs import DIGIT, LETTER, pack, printable

D, A = chr(DIGIT), chr(LETTER)
WORD_LISTS = {
    "american-english-large": 60000, "ngerman": 15000, "french": 15000, "spanish": 10000, "italian": 8000,
    "portuguese": 8000, "dutch": 8000,
}  # fmt: skip
"""Word list and how many of its words are taken."""
CONSONANTS = terms.listed("b c d f g h j k l m n p r s t v w y z ch sh th ng kh st tr br")
VOWELS = terms.listed("a e i o u ai au ee oo ia")
ENDINGS = "nrslktmhg"


def read_words(folder: Path, chance: random.Random) -> list[str]:
    """Words of all lists under `folder`, an equal draw from each; accents kept where the atlas has them."""
    words: set[str] = set()
    for name, count in WORD_LISTS.items():
        path = next((p for p in folder.rglob(name) if p.is_file()), None)
        if path is None:
            raise FileNotFoundError(f"word list {name} not found under {folder}")
        raw = path.read_bytes()
        try:
            lines = raw.decode("utf-8").split()
        except UnicodeDecodeError:
            lines = raw.decode("latin-1").split()
        kept = [w for w in (line.split("/")[0] for line in lines) if 2 <= len(w) <= 16 and printable(w)]
        kept = [w for w in kept if w.replace("'", "").replace("-", "").isalpha()]
        chance.shuffle(kept)
        words.update(kept[:count])
    return sorted(words)


def invented(chance: random.Random) -> str:
    """A name that no language has, so that the network reads signs and not words."""
    text = ""
    for _ in range(chance.choice((1, 2, 2, 2, 3, 3, 4))):
        text += chance.choice(CONSONANTS) if chance.random() < 0.85 else ""
        text += chance.choice(VOWELS) + (chance.choice(ENDINGS) if chance.random() < 0.4 else "")
    return text[:14]


def decorated(word: str, chance: random.Random) -> str:
    """The word with the punctuation that stands around words."""
    kind = chance.random()
    if kind < 0.74:
        return word
    for limit, form in ((0.83, "{},"), (0.88, "{}."), (0.92, "{}:"), (0.93, "{};"), (0.955, "({})"), (0.965, '"{}"')):
        if kind < limit:
            return form.format(word)
    return word + "/" + word[::-1][:5] if kind < 0.97 else chance.choice("*-#&") + word if kind < 0.985 else word + "!"


def date(chance: random.Random) -> str:
    """A date or a time in one of the orders and forms of many countries; sometimes a part of one."""
    day, month = chance.randint(1, 28), chance.randint(1, 12)
    year = chance.choice([chance.randint(1950, 2032)] + [chance.randint(2008, 2028)] * 3)
    short, name = f"{year % 100:02d}", chance.choice([terms.MONTHS[month - 1], terms.MONTHS[month - 1].upper()])
    shown = str(year) if chance.random() < 0.65 else short
    kind = chance.random()
    if kind < 0.42:
        first, second = (day, month) if chance.random() < 0.6 else (month, day)
        form = "{:02d}" if chance.random() < 0.8 else "{:d}"
        return form.format(first) + (mark := chance.choice("///--.")) + form.format(second) + mark + shown
    if kind < 0.56:
        form = chance.choice(["{}-{:02d}-{:02d}", "{}/{:02d}/{:02d}", "{}{:02d}{:02d}", "{}.{:02d}.{:02d}"])
        return form.format(year, month, day)
    if kind < 0.70:
        return chance.choice(["{:02d}-{}-{}", "{:02d}{}{}", "{:02d}/{}/{}", "{}.{}.{}"]).format(day, name, shown)
    if kind < 0.78:
        return chance.choice(
            [f"{day}/", f"{day:02d}/", f"{short}", f"{day:02d}-", f"'{short}", f"{month}/", f"{month}-"]
        )
    hour, minute, second = chance.randint(0, 23), chance.randint(0, 59), chance.randint(0, 59)
    times = [f"{hour:02d}:{minute:02d}", f"{hour:02d}:{minute:02d}:{second:02d}", f"{hour % 12 + 1}:{minute:02d}pm"]
    parts = [str(year), f"{day:02d},", f"{day}", name + ",", name, chance.choice(terms.LONG_MONTHS), f"{day}th"]
    return chance.choice(times * 2 + parts)


def amount(chance: random.Random) -> str:
    """A sum of money, in American, European or Indian grouping, bare or with its currency."""
    digits = chance.choice([1, 1, 2, 2, 2, 3, 3, 4, 5, 6, 7])
    comma, point = (",", ".") if chance.random() < 0.8 else (".", ",")
    text = D * digits
    if digits > 3 and chance.random() < 0.75:
        text = D * (digits - 3) + comma + D * 3 if digits < 7 else D + comma + D * 3 + comma + D * 3
    if chance.random() < 0.85:
        text += point + (D * 2 if chance.random() < 0.6 else chance.choice(["00", "50", "90", D + "0", D + "5"]))
    kind = chance.random()
    if kind < 0.12:
        return "$" + text
    if kind < 0.22:
        return chance.choice(terms.CURRENCIES) + text
    forms = (
        (0.25, "-{}"),
        (0.28, "({})"),
        (0.31, "{}-"),
        (0.34, "{}%"),
        (0.37, "*{}"),
        (0.40, "{}" + A),
        (0.42, "{}€"),
    )
    return next((form.replace("€", "EUR").format(text) for limit, form in forms if kind < limit), text)


def identifier(chance: random.Random) -> str:
    """Numbers of policies, claims, accounts, phones, postcodes, plates, VINs, parts, quantities."""
    kind, pick = chance.random(), chance.randint
    if kind < 0.20:
        return D * pick(3, 13)
    if kind < 0.28:
        return D * pick(2, 6) + "-" + chance.choice([A, D * pick(1, 4), D * 4, D * 6])
    if kind < 0.42:
        return A * pick(1, 4) + chance.choice(["", "-", "/", ""]) + D * pick(2, 9)
    if kind < 0.50:
        mark = chance.choice(["-", ".", "-"])
        return chance.choice(["", "+", "("]) + D * pick(2, 4) + mark + D * pick(3, 4) + mark + D * pick(3, 5)
    if kind < 0.54:
        return "(" + D * pick(2, 7) + chance.choice(["-" + A, "", ""]) + ")"
    if kind < 0.58:
        return "#" + D * pick(2, 8)
    if kind < 0.66:
        return "".join(chance.choice((D, A)) for _ in range(pick(4, 12)))
    if kind < 0.70:
        return "".join(chance.choice((D, D, A)) for _ in range(17))
    if kind < 0.76:
        plates = [A * 3 + D * 4, A * 2 + D * 2 + A * 3, D * 4 + A * 3, A + "-" + A * 2 + D * 4,
                  A * 2 + "-" + D * 3 + "-" + A * 2,
                  A * 3 + "-" + D * 4, D + A * 3 + D * 3]  # fmt: skip
        return chance.choice(plates)
    if kind < 0.80:
        return chance.choice(
            [A + D * 2, A * 2 + D, D * 5, D * 5 + "-" + D * 4, A + D + A, D + A * 2, D * 6, A + "-" + D * 5]
        )
    if kind < 0.84:
        long = [D * 3 + "-" + D * 2 + "-" + D * 4, A * 2 + D * 2 + A * 4 + D * 10, A * 3 + "-" + D * 4 + "-" + D * 6]
        masked = ["XXXX-XXXX-XXXX-" + D * 4, "*" * pick(4, 12) + D * 4]
        return chance.choice([*long, "-".join([D * 4] * 4), *masked])
    if kind < 0.90:
        return D * pick(1, 3) + chance.choice(terms.UNITS)
    if kind < 0.94:
        return D * pick(1, 2) + chance.choice("xX/*@&,") + D * pick(1, 3)
    return D * chance.choice((1, 1, 1, 2, 3, 5, 5)) + chance.choice(["", "", "", ".", ")", ":"])


def contact(words: list[str], chance: random.Random) -> str:
    """An email address or a web site that fits WORD_BYTES."""
    name, host = chance.choice(words)[:9], chance.choice(words)[:8]
    end = chance.choice(["com", "org", "net", "co.uk", "de", "fr", "com.my", "gov"])
    forms = [f"{name}@{host}.{end}", f"www.{host}.{end}", f"{name[0]}.{name}@{host}.{end}", f"http://{host}.{end}"]
    return chance.choice(forms).lower()[:WORD_BYTES]


def array(words: list[str]) -> NDArray[np.uint8]:
    """uint8 [n, 24], sorted: neighbours that are alike compress well, and the composer draws at random."""
    return np.array([pack(word) for word in sorted(words) if word and printable(word)], np.uint8)


def build_pool(folder: Path, seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Words by kind: text (any word), common (the vocabulary of claims), number, prefix (stands before numbers)."""
    chance = random.Random(seed)
    words = read_words(folder, chance)
    names = terms.FIRST_NAMES + terms.LAST_NAMES + terms.PLACES + terms.MAKES
    text = words + [invented(chance) for _ in range(70000)]
    text += [
        "".join(chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(chance.randint(1, 4))) for _ in range(5000)
    ]
    text = [decorated(word, chance) for word in text] + [contact(words, chance) for _ in range(5000)]
    common = [w for w in terms.ENGLISH for _ in range(6)] + [w for w in terms.OTHER_LANGUAGES for _ in range(2)]
    common = [decorated(word, chance) for word in common + [n.capitalize() for n in names for _ in range(3)]]
    number = [date(chance) for _ in range(45000)] + [amount(chance) for _ in range(30000)]
    number += [identifier(chance) for _ in range(50000)]
    return {
        "text": array(text),
        "common": array(common),
        "number": array(number),
        "prefix": array(terms.BEFORE_NUMBERS),
    }
