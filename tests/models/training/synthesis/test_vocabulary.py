"""What the pool is made of: printable, of fitting length, in the forms of many countries."""

import random
import re
from pathlib import Path

import numpy as np

from models.training.synthesis.signs import DIGIT, LETTER, canonical_table, class_table, pack, plain, printable
from models.training.synthesis.vocabulary import WORD_LISTS, amount, build_pool, date, identifier


def test_numbers_come_in_many_forms():
    chance = random.Random(0)
    made = {maker: [maker(chance) for _ in range(3000)] for maker in (date, amount, identifier)}
    assert all(printable(text) for texts in made.values() for text in texts)
    shape = {maker: {re.sub(r"\d", "9", text) for text in texts} for maker, texts in made.items()}
    assert {"99/99/9999", "9999-99-99", "99.99.9999"} <= shape[date]
    assert any(len(text) == 17 and set(text) <= {chr(DIGIT), chr(LETTER)} for text in made[identifier])
    assert any(text.startswith("RM") for text in made[amount])
    assert any("," in text[-3:] for text in made[amount])


def test_accents_fold_to_plain_letters():
    canonical, classes = canonical_table(), class_table()
    assert bytes(canonical[pack("Müller-É1")].tolist()).replace(b"\0", b"") == b"mullere1"
    assert classes[ord("é")] == classes[ord("E")] == 1 + 10 + 4
    assert classes[ord("-")] == 37
    assert plain("Å") == "a"


def test_pool_reads_every_word_list(tmp_path: Path):
    for name in WORD_LISTS:
        (tmp_path / name).write_text("haus\nmaison/S\ncafé\nßß\nx\n", encoding="utf-8")
    pool = build_pool(tmp_path)
    assert set(pool) == {"text", "common", "number", "prefix"}
    assert all(words.dtype == np.uint8 and words.shape[1] == 24 and words[:, 0].all() for words in pool.values())
    words = {bytes(row).rstrip(b"\0").decode("latin-1").strip(',.:;()"*-#&!') for row in pool["text"]}
    assert {"haus", "maison", "café"} <= words
    assert "x" not in words
