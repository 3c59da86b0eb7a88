"""Late interaction: the CPU path and the Triton kernels against a plain fp64 loop."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels import maxsim
from kernels.launch import AMPERE, HOPPER
from kernels.maxsim import maxsim_bits, maxsim_bits_top, maxsim_scores, maxsim_sums, maxsim_top
from kernels.maxsim.hopper import join_kernel
from kernels.maxsim.triton import SHARED, TABLES, shared_bytes, sizes_for, takes_equal
from tests.kernels.accuracy import GRADIENT, close
from tests.kernels.threads import torch_threads


def pages(lengths: list[int], dims: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    rows = sum(lengths)
    tokens = torch.randint(-127, 128, (rows, dims), generator=g, dtype=torch.int8)
    scales = (torch.rand(rows, generator=g) * 0.01 + 0.001).half()
    offsets = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
    return tokens.to(device), scales.to(device), offsets.to(device)


def plain(query: torch.Tensor, tokens: torch.Tensor, scales: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    wide = tokens.double() * scales.double()[:, None]
    rows = [
        (wide[s:e] @ query.double().T).amax(0) if e > s else torch.full((len(query),), -torch.inf).to(wide)
        for s, e in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    ]
    return torch.stack(rows)


@pytest.mark.parametrize(("words", "dims"), [(1, 96), (5, 48), (33, 96)])
def test_maxima_of_pages_of_any_length(words: int, dims: int, path: str, device: str) -> None:
    lengths = [1, 7, 0, 63, 64, 65, 130, 0]
    tokens, scales, offsets = pages(lengths, dims, device)
    query = torch.nn.functional.normalize(torch.randn(words, dims, device=device), dim=-1).half().float()
    best, where = maxsim_scores(query, tokens, scales, offsets, argmax=True)
    expected = plain(query, tokens, scales, offsets)
    filled = torch.tensor(lengths, device=device) > 0
    close("maxima", best[filled], expected[filled], 1e-5)
    alone, _ = maxsim_scores(query, tokens, scales, offsets)
    close("maxima without rows", alone[filled], expected[filled], 1e-5)
    assert torch.isneginf(alone[~filled]).all()
    assert torch.isneginf(best[~filled]).all()
    assert where is not None
    assert (where[~filled] == -1).all()
    wide = tokens.double() * scales.double()[:, None]
    row = offsets[:-1, None][filled] + where[filled]
    assert torch.allclose((wide[row] * query.double()).sum(-1), expected[filled], rtol=1e-5)


def test_score_of_a_page_does_not_depend_on_the_block_it_falls_into(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, scales, offsets = pages([3, 40, 1, 22, 9], 32, "cpu")
    query = torch.randn(4, 32)
    whole, rows = maxsim_scores(query, tokens, scales, offsets, argmax=True)
    monkeypatch.setattr(maxsim.reference, "BLOCK_ROWS", 25)
    monkeypatch.setattr(maxsim.reference, "BLOCK_NUMBERS", 25 * 36)
    parts, rows_parts = maxsim_scores(query, tokens, scales, offsets, argmax=True)
    alone, _ = maxsim_scores(query, tokens, scales, offsets)
    assert torch.allclose(whole, parts)
    assert torch.allclose(whole, alone)
    assert rows is not None
    assert rows_parts is not None
    assert torch.equal(rows, rows_parts)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_maxima_on_a_processor_are_those_of_a_plain_loop(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(0, 30), min_size=1, max_size=12))
    tokens, scales, offsets = pages(lengths, 16, "cpu")
    query = torch.randn(data.draw(st.integers(1, 4)), 16, generator=torch.Generator().manual_seed(len(lengths)))
    filled = torch.tensor(lengths) > 0
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(maxsim.reference, "BLOCK_NUMBERS", data.draw(st.sampled_from([1, 140, 1280])))
        patched.setattr(maxsim.reference, "LEAST_ROWS", 1)
        with torch_threads(data.draw(st.sampled_from([1, 2, 5]))):
            best, _ = maxsim_scores(query, tokens, scales, offsets)
    assert torch.isneginf(best[~filled]).all()
    if filled.any():
        close("maxima", best[filled], plain(query, tokens, scales, offsets)[filled], 2e-6)


def test_maxima_are_of_the_type_of_the_query_and_do_not_learn_where_nobody_asks() -> None:
    tokens, scales, offsets = pages([3, 4], 16, "cpu")
    query = torch.randn(2, 16, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        best, _ = maxsim_scores(query, tokens, scales, offsets)
    assert (best.dtype, best.requires_grad) == (torch.float64, False)
    close("maxima", best, plain(query, tokens, scales, offsets), 1e-12)


def test_best_of_negative_scores_is_not_the_padding(path: str, device: str) -> None:
    tokens = -torch.ones(3, 16, dtype=torch.int8, device=device)
    best, _ = maxsim_scores(torch.ones(1, 16, device=device), tokens, torch.ones(3, device=device).half(),
                            torch.tensor([0, 3], device=device))  # fmt: skip
    assert best.tolist() == [[-16.0]]


def test_no_pages_give_no_scores(path: str, device: str) -> None:
    tokens, scales, offsets = pages([], 16, device)
    assert maxsim_scores(torch.randn(2, 16, device=device), tokens, scales, offsets)[0].shape == (0, 2)


def sums_in_fp64(queries: torch.Tensor, tokens: torch.Tensor, scales: torch.Tensor | None) -> torch.Tensor:
    wide = tokens.double() if scales is None else tokens.double() * scales.double()[..., None]
    return torch.einsum("qwd,prd->qpwr", queries.double(), wide).amax(-1).sum(-1)


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    ("queries", "span", "length", "count"),
    [(1, 32, 64, 37), (1, 32, 256, 5), (4, 32, 64, 9), (8, 32, 512, 3), (12, 32, 512, 2), (3, 16, 32, 9),
     (1, 64, 64, 7), (1, 128, 16, 131), (3, 64, 128, 5)],
)  # fmt: skip
@pytest.mark.parametrize("kind", [torch.float16, torch.int8], ids=str)
def test_sums_over_pages_of_one_length(
    queries: int, span: int, length: int, count: int, kind: torch.dtype, path: str, device: str
) -> None:
    g = torch.Generator().manual_seed(2)
    if kind == torch.int8:
        asked = torch.randint(-127, 128, (queries, span, 64), generator=g, dtype=kind).to(device)
        tokens = torch.randint(-127, 128, (count, length, 64), generator=g, dtype=kind).to(device)
        scales = torch.rand(count, length, generator=g).half().to(device)
    else:
        asked = torch.randn(queries, span, 64, generator=g).to(device, kind)
        tokens, scales = torch.randn(count, length, 64, generator=g).to(device, kind), None
    close("sums", maxsim_sums(asked, tokens, scales), sums_in_fp64(asked, tokens, scales), 1e-5)


@pytest.mark.usefixtures("poisoned")
def test_bits_count_exactly(path: str, device: str) -> None:
    g = torch.Generator().manual_seed(3)
    query = torch.randint(-(2**31), 2**31, (32, 2), generator=g).to(torch.int32).to(device)
    tokens = torch.randint(-(2**31), 2**31, (19, 64, 2), generator=g).to(torch.int32).to(device)

    def signs(words: torch.Tensor) -> torch.Tensor:
        bits = (words[..., None].long() >> torch.arange(32, device=words.device)) & 1
        return (bits.flatten(-2) * 2 - 1).double()

    expected = torch.einsum("wd,prd->pwr", signs(query), signs(tokens)).amax(-1).sum(-1)
    assert maxsim_bits(query, tokens).tolist() == expected.long().tolist()


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("words", "length", "longs"), [(5, 30, 1), (32, 64, 3), (70, 12, 2)])
def test_bits_of_any_length(words: int, length: int, longs: int, path: str, device: str) -> None:
    g = torch.Generator().manual_seed(4)
    query = torch.randint(-(2**31), 2**31, (words, longs), generator=g).to(torch.int32)
    tokens = torch.randint(-(2**31), 2**31, (7, length, longs), generator=g).to(torch.int32)
    differing = [[[sum(f"{(a ^ b) & 0xFFFFFFFF:b}".count("1") for a, b in zip(word, row, strict=True))
                   for row in page] for word in query.tolist()] for page in tokens.tolist()]  # fmt: skip
    expected = [sum(32 * longs - 2 * min(rows) for rows in page) for page in differing]
    assert maxsim_bits(query.to(device), tokens.to(device)).tolist() == expected


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(("pages", "k"), [(900, 3), (40, 40), (5, 9)])
def test_best_pages_come_in_order_and_ties_by_page(pages: int, k: int, path: str, device: str) -> None:
    g = torch.Generator().manual_seed(5)
    # Few values, so that most scores tie.
    tokens = torch.randint(-1, 2, (pages, 16, 32), generator=g, dtype=torch.int8).to(device)
    queries = torch.randint(-1, 2, (2, 16, 32), generator=g, dtype=torch.int8).to(device)
    exact = sums_in_fp64(queries, tokens, None).tolist()
    scores, best = maxsim_top(queries, tokens, k=k)
    for row in range(2):
        order = sorted(range(pages), key=lambda p: (-exact[row][p], p))[:k]
        assert best[row].tolist() == order
        assert scores[row].tolist() == [exact[row][p] for p in order]


def test_best_pages_by_bits(path: str, device: str) -> None:
    g = torch.Generator().manual_seed(6)
    query = torch.randint(-(2**31), 2**31, (16, 1), generator=g).to(torch.int32).to(device)
    tokens = torch.randint(-(2**31), 2**31, (300, 8, 1), generator=g).to(torch.int32).to(device)
    every = maxsim_bits(query, tokens).tolist()
    scores, best = maxsim_bits_top(query, tokens, k=10)
    order = sorted(range(300), key=lambda p: (-every[p], p))[:10]
    assert best.tolist() == order
    assert scores.tolist() == [every[p] for p in order]


def check_gradient(lengths: list[int], words: int, dims: int, kind: torch.dtype, device: str) -> None:
    g = torch.Generator().manual_seed(7)
    offsets = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], device=device)
    query = torch.randn(words, dims, generator=g).to(device, kind).requires_grad_()
    tokens = torch.randn(sum(lengths), dims, generator=g).to(device, kind).requires_grad_()
    slope = torch.randn(len(lengths), words, generator=g).to(device)
    best, where = maxsim_scores(query, tokens, None, offsets, argmax=True)
    filled = torch.tensor(lengths, device=device) > 0
    (best[filled] * slope[filled]).sum().backward()
    wide = [t.detach().double().requires_grad_() for t in (query, tokens)]
    assert where is not None
    rows = wide[1][(offsets[:-1, None] + where)[filled]]
    ((rows * wide[0]).sum(-1) * slope.double()[filled]).sum().backward()
    for name, leaf, twin in zip(("query", "tokens"), (query, tokens), wide, strict=True):
        assert leaf.grad is not None
        assert twin.grad is not None
        close(f"gradient of {name}", leaf.grad, twin.grad, GRADIENT[kind])


@pytest.mark.usefixtures("poisoned")
def test_gradient_reaches_the_best_token_of_each_page(path: str, device: str) -> None:
    check_gradient([3, 0, 70, 1], 18, 32, torch.float32, device)


def test_sums_are_differentiable(path: str, device: str) -> None:
    queries = torch.randn(2, 16, 16, device=device, requires_grad=True)
    tokens = torch.randn(3, 16, 16, device=device, requires_grad=True)
    twins = [t.detach().double().requires_grad_() for t in (queries, tokens)]
    got, expected = maxsim_sums(queries, tokens), sums_in_fp64(twins[0], twins[1], None)
    close("sums", got, expected, 1e-5)
    weight = torch.tensor([[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]], device=device)
    (got * weight).sum().backward()
    (expected * weight).sum().backward()
    assert queries.grad is not None
    assert tokens.grad is not None
    close("queries", queries.grad, twins[0].grad, 1e-5)  # type: ignore[arg-type]
    close("tokens", tokens.grad, twins[1].grad, 1e-5)  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_gpu_gradient(kind: torch.dtype) -> None:
    check_gradient([100, 64, 0, 1, 257, 1000], 200, 64, kind, "cuda")


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.int8], ids=str)
@pytest.mark.parametrize(("queries", "span", "length", "count", "dims"),
                         [(1, 32, 64, 5000, 64), (1, 32, 1024, 130, 128), (16, 32, 1024, 50, 128),
                          (1, 32, 128, 700, 64), (4, 32, 256, 333, 64), (1, 64, 64, 3333, 64), (1, 128, 32, 777, 128),
                          (3, 64, 1024, 70, 64), (1, 128, 512, 41, 64), (2, 16, 16, 1001, 32),
                          (1, 32, 64, 300, 256)])  # fmt: skip
def test_gpu_sums(queries: int, span: int, length: int, count: int, dims: int, kind: torch.dtype) -> None:
    """Every entry of the table of sizes; two runs give the same bits."""
    g = torch.Generator(device="cuda").manual_seed(2)
    scales = None
    if kind == torch.int8:
        asked = torch.randint(-127, 128, (queries, span, dims), generator=g, dtype=kind, device="cuda")
        tokens = torch.randint(-127, 128, (count, length, dims), generator=g, dtype=kind, device="cuda")
        scales = torch.rand(count, length, generator=g, device="cuda").half()
    else:
        asked = torch.randn(queries, span, dims, generator=g, device="cuda").to(kind)
        tokens = torch.randn(count, length, dims, generator=g, device="cuda").to(kind)
    got = maxsim_sums(asked, tokens, scales)
    close("sums", got, sums_in_fp64(asked, tokens, scales), 1e-5)
    assert torch.equal(got, maxsim_sums(asked, tokens, scales))


@pytest.mark.parametrize(("pages", "each", "programs"), [(1, 4, 4), (5, 4, 3), (7, 3, 21), (6, 2, 4), (3, 8, 1)])
def test_parts_of_pages_join(pages: int, each: int, programs: int, device: str) -> None:
    total = pages * each
    share, longer = divmod(total, programs)
    best = torch.randn(total, 256, generator=torch.Generator().manual_seed(9))
    maxima = torch.full((programs + pages, 256), torch.nan)
    program = [p for p in range(programs) for _ in range(share + (p < longer))]
    for tile in range(total):
        row = program[tile] + tile // each
        maxima[row] = torch.fmax(maxima[row], best[tile])
    out = torch.empty(8, pages, device=device)
    join_kernel[(pages, 1)](maxima.to(device), out, pages, share, longer, 256, EACH=each, ROWS=256, SPAN=32)
    close("sums", out, best.view(pages, each, 8, 32).double().amax(1).sum(-1).T.to(device), 1e-6)


@pytest.mark.gpu
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("queries", "span", "length", "count", "dims"),
                         [(16, 32, 1024, 1, 128), (16, 32, 1024, 133, 128), (8, 32, 1536, 7, 128),
                          (4, 64, 512, 300, 64), (32, 16, 1024, 50, 64), (24, 32, 512, 41, 128),
                          (32, 32, 1024, 70, 128)])  # fmt: skip
def test_gpu_sums_of_many_queries(
    queries: int, span: int, length: int, count: int, dims: int, kind: torch.dtype
) -> None:
    """Pages whole and in parts, one group of query tokens and several; a page alone has the bits it has among more."""
    g = torch.Generator(device="cuda").manual_seed(8)
    asked = torch.randn(queries, span, dims, generator=g, device="cuda").to(kind)
    tokens = torch.randn(count, length, dims, generator=g, device="cuda").to(kind)
    got = maxsim_sums(asked, tokens)
    close("sums", got, sums_in_fp64(asked, tokens, None), 1e-5)
    assert torch.equal(got, maxsim_sums(asked, tokens))
    assert torch.equal(got[:, -1:], maxsim_sums(asked, tokens[-1:]))


@pytest.mark.gpu
def test_gpu_best_pages_of_many() -> None:
    tokens = torch.randint(-(2**31), 2**31, (200_000, 64, 2), device="cuda", dtype=torch.int64).to(torch.int32)
    query = torch.randint(-(2**31), 2**31, (32, 2), device="cuda", dtype=torch.int64).to(torch.int32)
    scores, best = maxsim_bits_top(query, tokens, k=100)
    every, page = torch.sort(maxsim_bits(query, tokens), descending=True, stable=True)
    assert torch.equal(best, page[:100])
    assert torch.equal(scores, every[:100])
    few = torch.cat([best[:5], torch.arange(200_000 - 5, 200_000, device="cuda")])

    def signs(words: torch.Tensor) -> torch.Tensor:
        return ((words[..., None].long() >> torch.arange(32, device=words.device)) & 1).flatten(-2).double() * 2 - 1

    exact = torch.einsum("wd,prd->pwr", signs(query), signs(tokens[few])).amax(-1).sum(-1)
    assert maxsim_bits(query, tokens)[few].tolist() == exact.long().tolist()


def test_wrong_shapes_are_refused() -> None:
    tokens, scales, offsets = pages([4], 16, "cpu")
    with pytest.raises(ValueError, match=r"\[words, dims\]"):
        maxsim_scores(torch.randn(2, 8), tokens, scales, offsets)
    with pytest.raises(ValueError, match="scales must be"):
        maxsim_scores(torch.randn(2, 16), tokens, scales[:2], offsets)
    with pytest.raises(ValueError, match="one type"):
        maxsim_sums(torch.randn(1, 32, 16), tokens[None])


@pytest.mark.parametrize("kind", [torch.int8, torch.float16, torch.float32], ids=str)
@pytest.mark.parametrize("dims", [32, 64, 128])
@pytest.mark.parametrize("span", [16, 32, 64, 128])
@pytest.mark.parametrize("length", [64, 1024])
@pytest.mark.parametrize(("chip", "shared"), [(HOPPER, 227 << 10), (AMPERE, 99 << 10)], ids=["9.0", "8.9"])
def test_tiles_lie_in_shared_memory_together(
    kind: torch.dtype, dims: int, span: int, length: int, chip: tuple[int, int], shared: int
) -> None:
    tokens = torch.empty(3, length, dims, dtype=kind)
    config = sizes_for(TABLES[chip][min(kind.itemsize, 2), length > 256], span)
    tiles = config.stages * config.rows * dims * kind.itemsize
    taken = shared_bytes(config, span, tokens) <= SHARED[chip]
    assert not taken or tiles + span * dims * kind.itemsize < shared
    assert taken or kind == torch.float32


def test_tiles_that_do_not_fit_are_left_to_the_kernel_for_any_pages() -> None:
    wide = torch.empty(1, 32, 1024, dtype=torch.float16)
    assert not takes_equal(wide, torch.empty(3, 64, 1024, dtype=torch.float16), None)
    assert takes_equal(wide[..., :256], torch.empty(3, 64, 256, dtype=torch.float16), None)
