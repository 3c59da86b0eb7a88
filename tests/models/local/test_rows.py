"""Rows at other places and sums of rows: values and gradients of torch's own operations, in one order of adding."""

from __future__ import annotations

import pytest
import torch

from models.local.layers.rows import chunk_sums, rows_at

DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.gpu))


def plain_rows(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1]))


def test_rows_go_elsewhere_and_their_gradients_come_back() -> None:
    torch.manual_seed(0)
    order = torch.argsort(torch.rand(3, 7), dim=1)
    back = torch.argsort(order, dim=1)
    rows = torch.randn(3, 7, 5, dtype=torch.float64, requires_grad=True)
    assert torch.equal(rows_at(rows, order, back), plain_rows(rows, order))
    assert torch.equal(rows_at(rows_at(rows, order, back), back, order), rows)
    assert torch.autograd.gradcheck(lambda given: rows_at(given, order, back), rows)


@pytest.mark.parametrize("batch", [1, 3])
def test_rows_that_go_nowhere_learn_nothing_and_fillers_teach_nothing(batch: int) -> None:
    torch.manual_seed(1)
    index = torch.tensor([[1, 4, 5, 0]]).expand(batch, -1)  # the last one fills up
    inverse = torch.tensor([[-1, 0, -1, -1, 1, 2]]).expand(batch, -1)
    real = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)[None, :, None]
    rows = torch.randn(batch, 6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.equal(rows_at(rows, index, inverse), plain_rows(rows, index))
    assert torch.autograd.gradcheck(lambda given: rows_at(given, index, inverse) * real, rows)


def test_sums_of_chunks_have_the_gradients_of_sums() -> None:
    member = torch.tensor([[0, 1, 1, 0, 2, 3, 3, 0], [1, 1, 2, 0, 0, 0, 0, 0]])
    start = torch.tensor([[1, 4, 5], [0, 2, 0]])
    rows = torch.randn(2, 8, 2, dtype=torch.float64, requires_grad=True)
    sums = torch.stack([torch.stack([rows[b, member[b] == k].sum(0) for k in (1, 2, 3)]) for b in range(2)])
    torch.testing.assert_close(chunk_sums(rows, member, start), sums)
    assert torch.autograd.gradcheck(lambda given: chunk_sums(given, member, start), rows)


@pytest.mark.parametrize("device", DEVICES)
def test_sums_of_chunks_are_those_of_every_device(device: str) -> None:
    torch.manual_seed(2)
    number = (torch.rand(4, 300) < 0.2).cumsum(1)
    member = torch.where((number <= 40) & (torch.rand(4, 300) < 0.9), number, 0)
    wanted = torch.arange(1, 41).repeat(4, 1)
    start = torch.where(wanted <= number.amax(1, keepdim=True), torch.searchsorted(number, wanted), 0)
    # A chunk's first row belongs to it.
    member = member.scatter(1, start, number.gather(1, start))
    rows = torch.randn(4, 300, 24)
    expected = torch.zeros(4, 41, 24, dtype=torch.float64)
    expected = expected.scatter_add(1, member[..., None].expand(-1, -1, 24), rows.double())[:, 1:]
    given = rows.to(device).requires_grad_()
    found = chunk_sums(given, member.to(device), start.to(device))
    torch.testing.assert_close(found.cpu().double(), expected, rtol=1e-5, atol=1e-5)
    found.backward(torch.ones_like(found))
    assert torch.equal(given.grad, (member > 0).float()[..., None].expand_as(rows).to(device))  # pyright: ignore[reportArgumentType]
