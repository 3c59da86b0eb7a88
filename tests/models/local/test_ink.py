"""Ink is what its definition says, however it is computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.local.ink import evened, ink_of, inked_cells


def by_pooling(page: Tensor) -> Tensor:
    """The definition, a window at a time."""
    low = F.avg_pool2d(page, 4)
    light = F.max_pool2d(low, 9, 1, 4)
    paper = F.avg_pool2d(light, 9, 1, 4, count_include_pad=False)
    ink = (F.interpolate(paper, size=page.shape[-2:], mode="bilinear") - page).clamp(min=0)
    sample = ink[:, :, ::4, ::4].flatten(1)
    scale = sample.kthvalue(max(1, int(sample.shape[1] * 0.985)), 1).values.clamp(min=0.06)
    return ink / scale[:, None, None, None]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 160), (288, 96), (4, 4), (8, 64)])
def test_ink_is_darkness_against_the_lightest_paper_around(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(height)
    page = torch.rand(2, 1, height, width, generator=generator) * torch.tensor([1.0, 0.05])[:, None, None, None]
    given = page.clone()
    torch.testing.assert_close(ink_of(page), by_pooling(page), atol=1e-5, rtol=1e-5)
    assert torch.equal(page, given)


def test_print_that_faded_in_places_is_as_dark_as_the_rest() -> None:
    page = torch.ones(1, 1, 320, 640)
    for row in (8, 9):
        page[..., row::16, :320] = 0.0
        page[..., row::16, 320:] = 0.4
    ink = ink_of(page)
    assert ink[..., 480:].amax() < 0.65
    lines = evened(ink)[0, 0, 8::16]
    assert lines[:, 480:].min() > 0.95
    assert lines[:, :200].amax() < 1.05


def test_faint_noise_is_not_made_print() -> None:
    page = torch.ones(1, 1, 320, 320)
    page[..., :32, ::4] = 0.0
    page[..., 160:, :] -= 0.1 * torch.rand(160, 320, generator=torch.Generator().manual_seed(1))
    assert not inked_cells(evened(ink_of(page)), 16, 8).view(20, 40)[11:].any()
