"""What a page is labelled with stands on it, where the label says."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from models.local.ink import ink_of, inked_cells
from models.training.batch import UNKNOWN, Batch
from models.training.synthesis import Composer
from models.training.synthesis.chance import Chance
from models.training.synthesis.draw import draw, draw_glyphs
from models.training.synthesis.handwriting import Wobble, draw_wobble
from models.training.synthesis.place import place
from models.training.synthesis.scene import Rules, Runs, Scene, picked
from models.training.synthesis.signs import CANONICAL, pack
from models.training.synthesis.styles import compose
from models.training.synthesis.styles.look import Printer
from models.training.synthesis.warp import Warp, draw_warp

HEIGHT, WIDTH = 128, 256


@pytest.fixture(scope="module")
def composer(assets_folder: Path) -> Composer:
    return Composer(assets_folder, device="cpu", height=HEIGHT, width=WIDTH)


def flat(count: int, height: int = HEIGHT, width: int = WIDTH) -> Warp:
    return draw_warp(Chance(torch.device("cpu")), count, height, width, straight=count)


def still(count: int, height: int = HEIGHT, width: int = WIDTH) -> Wobble:
    return draw_wobble(Chance(torch.device("cpu")), torch.zeros(count), height, width)


def line(
    composer: Composer, text: str, *, em: float, x: float, y: float, angle: float = 0.0
) -> tuple[Runs, torch.Tensor]:
    """One plain line of known words on page 0: (runs, words)."""
    printer = Printer(composer.assets, composer.chance, torch.zeros(1, dtype=torch.int64))
    one = torch.ones(1, 1)
    look = printer.look(one * em, text=1.0, mono=0.0)
    plain = {"stretch": 1.0, "tracking": 0.0, "gap": 0.4, "jitter": 0.0, "ink": 1.0, "uneven": 0.0, "weight": 1.0}
    for name, value in plain.items():
        setattr(look, name, one * value)
    words = text.split()
    runs = Runs.of(printer.runs(look, one * x, one * y, one * 400, numbers=0.0, count=len(words), angle=angle))
    return runs, torch.tensor([[pack(word) for word in words]], dtype=torch.uint8)


def printed(
    composer: Composer, text: str, *, em: float, x: float, y: float, angle: float = 0.0
) -> tuple[torch.Tensor, Batch]:
    """The page of one line: (ink [height, width], batch)."""
    glyphs, found = place(composer.assets, composer.chance, *line(composer, text, em=em, x=x, y=y, angle=angle), None)
    scene = Scene(1, HEIGHT, WIDTH, paper=torch.zeros(1, 4))
    nowhere = torch.zeros(1, 1)
    scene.add_rules(torch.zeros(1, dtype=torch.int64), nowhere, nowhere, nowhere, nowhere, nowhere > 0)
    ink, _ = draw(composer.assets, glyphs, Rules.of(scene.rules[0]), 1, HEIGHT, WIDTH)
    return ink[0], composer.label(1 - ink[:, None], glyphs, found, flat(1), still(1))


def read(batch: Batch, row: int) -> str:
    """The sign labels of one row of cells, left to right."""
    labels = batch.signs[0].view(HEIGHT // 16, WIDTH // 8 * 2)[row]
    return "".join(CANONICAL[k - 1] if k < 37 else "?" for k in labels.tolist() if k > 0)


@pytest.mark.parametrize("em", [24.0, 36.0, 50.0])
def test_labels_read_the_line_and_the_ink_is_the_fonts(composer: Composer, font_file: Path, em: float):
    ink, batch = printed(composer, "Müll 28", em=em, x=10.0, y=73.0)
    middle = 73.0 - 0.45 * float(composer.assets.cap[0]) * em
    assert read(batch, int(middle // 16)) == "mull28"

    # the same letters by Pillow alone, drawn large and averaged down; the face has no umlaut
    font = ImageFont.truetype(font_file, em * 8, layout_engine=ImageFont.Layout.BASIC)
    page = Image.new("L", (WIDTH * 8, HEIGHT * 8))
    ImageDraw.Draw(page).text((80, 73 * 8), "Mull", font=font, fill=255, anchor="ls")
    end = int(10 + font.getlength("Mull") / 8)
    a, b = ink[:, :end].numpy().ravel(), np.asarray(page.reduce(8), np.float32)[:, :end].ravel()
    assert np.corrcoef(a, b)[0, 1] > 0.9
    assert [bytes(word.tolist()).rstrip(b"\0") for word in batch.word_bytes] == [b"mull", b"28"]


def test_each_sign_label_lies_on_its_own_sign(composer: Composer):
    """A page with one sign has its label in the slot at the middle of the sign's ink."""
    for sign in "ABRg47e":
        ink, batch = printed(composer, sign, em=30.0, x=61.0, y=70.0)
        labels = batch.signs[0].view(HEIGHT // 16, WIDTH // 4)
        row, slot = labels.nonzero()[0].tolist()
        columns = ink.amax(0).nonzero()
        centre = float(columns.min() + columns.max() + 1) / 2
        assert abs(centre - (slot * 4 + 2)) <= 3
        assert ink[row * 16 : row * 16 + 16, slot * 4 - 8 : slot * 4 + 12].max() > 0.8
        assert CANONICAL[int(labels[row, slot]) - 1] == sign.lower()


def test_lines_turned_sideways_keep_their_words_and_hide_their_signs(composer: Composer):
    ink, batch = printed(composer, "A714", em=20.0, x=200.0, y=20.0, angle=math.pi / 2)
    rows, columns = ink.amax(1).nonzero(), ink.amax(0).nonzero()
    assert rows.max() - rows.min() > 2 * (columns.max() - columns.min())
    assert set(batch.signs.unique().tolist()) == {0, UNKNOWN}
    cell = int(batch.word_cell[0])
    row, column = cell // (WIDTH // 8), cell % (WIDTH // 8)
    assert ink[row * 16 : row * 16 + 16, column * 8 : column * 8 + 8].max() > 0.5
    assert abs(row * 16 + 8 - 27) <= 12


def test_points_go_where_the_picture_goes(composer: Composer):
    torch.manual_seed(5)
    warp = draw_warp(composer.chance, 24, HEIGHT, WIDTH, straight=4)
    x, y = torch.full((24,), 190.5), torch.full((24,), 40.5)
    page = torch.zeros(24, 1, HEIGHT, WIDTH)
    page[:, :, 37:44, 187:194] = 1
    bent = warp.bend(page)[:, 0]
    mass = bent.sum((1, 2))
    found_x = (bent.sum(1) * (torch.arange(WIDTH) + 0.5)).sum(1) / mass
    found_y = (bent.sum(2) * (torch.arange(HEIGHT) + 0.5)).sum(1) / mass
    moved_x, moved_y = warp.move(torch.arange(24), x, y)
    assert (moved_x - found_x).abs().max() < 0.3
    assert (moved_y - found_y).abs().max() < 0.3
    assert (moved_x[4:] - x[4:]).abs().max() > 1
    assert torch.equal(moved_x[:4], x[:4])


def test_writing_goes_where_its_labels_go():
    """A spot on a page that a hand wobbles is found where `move` says; print stays."""
    torch.manual_seed(6)
    wobble = draw_wobble(Chance(torch.device("cpu")), torch.full((24,), 40.0), HEIGHT, WIDTH)
    ink = torch.zeros(24, HEIGHT, WIDTH)
    ink[:, 61:66, 101:106] = 1
    bent = wobble.bend(ink)
    mass = bent.sum((1, 2))
    found_x = (bent.sum(1) * (torch.arange(WIDTH) + 0.5)).sum(1) / mass
    found_y = (bent.sum(2) * (torch.arange(HEIGHT) + 0.5)).sum(1) / mass
    x, y = torch.full((24,), 103.5), torch.full((24,), 63.5)
    moved_x, moved_y = wobble.move(torch.arange(24), x, y, torch.arange(24) < 20)
    assert (found_x - x).abs().max() > 3
    error = ((moved_x - found_x) ** 2 + (moved_y - found_y) ** 2)[:20].sqrt()
    assert error.mean() < 1.0
    assert error.max() < 3
    assert torch.equal(moved_x[20:], x[20:])


def test_composed_pages_hold_ink_under_every_label(assets_folder: Path):
    """All styles together, before wear: words and signs are where the labels say."""
    torch.manual_seed(4)
    height, width, count = 352, 384, 12
    composer = Composer(assets_folder, device="cpu", height=height, width=width)
    scene = compose(composer.assets, composer.chance, count, height, width)
    glyphs, words = composer.typeset(scene, composer.live_runs(scene))
    nothing = Rules.of(torch.zeros(1, 8))
    typed, by_hand = picked(glyphs, ~glyphs.hand), picked(glyphs, glyphs.hand)
    assert 0 < len(by_hand.page) < len(typed.page)
    ink, _ = draw(composer.assets, typed, nothing, count, height, width)
    ink, wobble = composer.write(ink, composer.live_runs(scene), by_hand)
    batch = composer.label(1 - ink[:, None], glyphs, words, flat(count, height, width), wobble)
    cells = torch.nn.functional.max_pool2d(ink[:, None], (16, 8)).flatten(1)
    assert (cells[batch.word_page, batch.word_cell] > 0.1).float().mean() > 0.97
    slots = torch.nn.functional.max_pool2d(ink[:, None], (16, 12), stride=(16, 4), padding=(0, 4))
    labels = batch.signs.view(count, height // 16, width // 4)
    assert (slots[:, 0][labels > 0] > 0.1).float().mean() > 0.97
    assert (labels > 0).sum() > 1500


def test_two_signs_in_one_slot_are_unknown(composer: Composer):
    _, batch = printed(composer, "lilil", em=8.0, x=20.0, y=70.0)
    found = batch.signs[0][batch.signs[0] != 0]
    assert UNKNOWN in found.tolist()


def test_finished_pages_hold_ink_where_words_start(assets_folder: Path):
    torch.manual_seed(11)
    composer = Composer(assets_folder, device="cpu", height=320, width=384)
    batch = composer(6)
    assert batch.image.shape == (6, 1, 320, 384)
    assert batch.signs.shape == (6, 20 * 48, 2)
    assert 0 <= batch.image.min() < batch.image.max() <= 1
    assert len(batch.word_cell) > 30
    kept = inked_cells(ink_of(batch.image), 16, 8)
    assert kept[batch.word_page, batch.word_cell].float().mean() > 0.8
    letters = torch.tensor(list(b"\0" + CANONICAL.encode()), dtype=torch.uint8)
    assert torch.isin(batch.word_bytes, letters).all()
    assert (batch.word_bytes[:, 0] > 0).all()


def test_a_cell_starts_at_most_one_word(composer: Composer):
    torch.manual_seed(8)
    _, batch = printed(composer, "a b c d e f g h", em=6.0, x=20.0, y=70.0)
    assert 0 < len(batch.word_cell) == len(set(batch.word_cell.tolist())) < 8
    assert bytes(batch.word_bytes[0].tolist()).startswith(b"a\0")


def test_one_seed_gives_one_batch(composer: Composer):
    torch.manual_seed(3)
    first = composer(2)
    torch.manual_seed(3)
    second = composer(2)
    assert torch.equal(first.image, second.image)
    assert torch.equal(first.word_bytes, second.word_bytes)


def test_ink_is_the_same_in_whatever_order_it_is_added(composer: Composer):
    torch.manual_seed(3)
    glyphs, _ = place(composer.assets, composer.chance, *line(composer, "one two three", em=30.0, x=4, y=60), None)
    close = dataclasses.replace(glyphs, x=glyphs.x * 0.5)
    ink = draw_glyphs(composer.assets, close, 1, HEIGHT, WIDTH)
    turned = picked(close, torch.arange(len(close.page)).flip(0))
    assert torch.equal(draw_glyphs(composer.assets, turned, 1, HEIGHT, WIDTH), ink)
    assert ink.max() == 1


@pytest.mark.gpu
@pytest.mark.usefixtures("exact")
def test_one_seed_gives_one_batch_on_a_gpu(assets_folder: Path):
    batches: list[Batch] = []
    for _ in range(2):
        torch.manual_seed(3)
        batches.append(Composer(assets_folder, device="cuda", height=320, width=384)(24))
    first, second = batches
    for field in dataclasses.fields(Batch):
        assert torch.equal(getattr(first, field.name), getattr(second, field.name))


def test_sizes_must_fit_the_network(assets_folder: Path):
    with pytest.raises(ValueError, match="multiples of 32"):
        Composer(assets_folder, device="cpu", height=100)


def test_words_keep_out_of_zones(composer: Composer):
    runs, text = line(composer, "one two three four five six seven", em=14.0, x=4.0, y=50.0)
    zone = torch.tensor([[[60.0, 30.0, 110.0, 60.0]]])
    _, everywhere = place(composer.assets, composer.chance, runs, text, None)
    _, words = place(composer.assets, composer.chance, runs, text, zone)
    runs.over[:] = True
    _, over = place(composer.assets, composer.chance, runs, text, zone)
    assert 0 < len(words.x) < len(everywhere.x) == len(over.x) == 7
    assert ((words.end_x <= 60) | (words.x >= 110)).all()


def test_numbers_make_up_a_good_part_of_the_words(assets_folder: Path):
    torch.manual_seed(2)
    batch = Composer(assets_folder, device="cpu", height=320, width=384)(10)
    digits = ((batch.word_bytes >= 48) & (batch.word_bytes < 58)).any(1)
    assert 0.25 < digits.float().mean() < 0.65
