"""One page read alone, the way of a processor, against the same page in a batch, the way of training."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.local.ink import ink_of, inked_cells
from models.local.network import Network
from models.local.page_tower import PageTower, Stem
from tests.kernels.accuracy import close
from tests.models.training.tiny import TINY

HEIGHT, WIDTH = 160, 192


@pytest.fixture(scope="module")
def stem() -> Stem:
    torch.manual_seed(6)
    stem = Stem(TINY)
    stem.tile()
    return stem.eval()


def page(spots: list[tuple[int, int]]) -> torch.Tensor:
    """White, with strokes of 6 x 20 pixels at (top, left)."""
    drawn = torch.ones(1, 1, HEIGHT, WIDTH)
    for top, left in spots:
        drawn[..., top : top + 6, left : left + 20] = 0.1
    return drawn


def assert_alone_as_in_company(tower: PageTower, alone: torch.Tensor) -> None:
    company = page([(40, 100), (100, 20)])
    with torch.inference_mode():
        one, both = tower.cells(alone), tower.cells(torch.cat([alone, company]))
        count = int(one.mask.sum())
        assert count == int(both.mask[0].sum())
        assert torch.equal(one.index[0], both.index[0, :count])
        assert torch.equal(one.position[0], both.position[0])
        assert (one.rows, one.columns) == (both.rows, both.columns)
        torch.testing.assert_close(one.hidden[0], both.hidden[0, :count], atol=2e-4, rtol=1e-3)


@given(
    st.lists(st.tuples(st.integers(0, HEIGHT - 6), st.integers(0, WIDTH - 20)), min_size=1, max_size=4),
)
@settings(max_examples=30, deadline=None)
def test_cells_of_a_page_alone_are_those_it_has_in_a_batch(network: Network, spots: list[tuple[int, int]]) -> None:
    """Blank edges are cut off and nothing is padded, and no cell may notice."""
    assert_alone_as_in_company(network.page, page(spots))


@pytest.mark.parametrize(
    "spots",
    [[(0, 0), (HEIGHT - 6, WIDTH - 20)], [(0, WIDTH - 20)], [(HEIGHT - 6, 0)], [(77, 90)]],
    ids=["all edges", "top right", "bottom left", "middle"],
)
def test_edges_of_a_page_are_read_alike(network: Network, spots: list[tuple[int, int]]) -> None:
    assert_alone_as_in_company(network.page, page(spots))


def test_a_blank_page_has_no_cells(network: Network) -> None:
    with torch.inference_mode():
        assert not network.page.cells(page([])).mask.any()


@given(
    st.lists(st.tuples(st.integers(0, HEIGHT - 6), st.integers(0, WIDTH - 20)), min_size=1, max_size=4),
)
@settings(max_examples=30, deadline=None)
def test_a_stem_in_tiles_is_the_whole_stem(stem: Stem, spots: list[tuple[int, int]]) -> None:
    ink = ink_of(page(spots))
    index = inked_cells(ink, TINY.cell_height, TINY.cell_width)[0].nonzero()[:, 0]
    columns = WIDTH // TINY.cell_width
    with torch.inference_mode():
        whole = stem(ink).flatten(2)[0, :, index].T
        close("cells", stem.at(ink, index // columns, index % columns)[0], whole, 1e-5)
