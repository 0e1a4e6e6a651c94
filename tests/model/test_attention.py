"""Block attention over packed rows, against separate runs and against a dense mask."""

from __future__ import annotations

import copy
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import XLMRobertaModel

from xstilts.data.batch import PackedBatch
from xstilts.model.attention import cut_rectangles, packed_attention

LENGTHS = (5, 17, 9, 16, 2, 17, 30, 1)


@settings(deadline=None)
@given(st.lists(st.integers(1, 80), min_size=1, max_size=40))
def test_rectangles_hold_every_token_once_and_little_padding(lengths: list[int]) -> None:
    rectangles = cut_rectangles(lengths)
    num_tokens = sum(lengths)
    assert torch.equal(rectangles.index_P[rectangles.place_T], torch.arange(num_tokens))
    assert len(set(rectangles.place_T.tolist())) == num_tokens
    first = 0
    for rectangle in rectangles.each:
        size = rectangle.num_rows * rectangle.width
        places = sorted(place - first for place in rectangles.place_T.tolist() if first <= place < first + size)
        assert (size - len(places)) / size <= 0.15
        if rectangle.mask_B11M is None:
            assert len(places) == size
        else:
            assert rectangle.mask_B11M.flatten().nonzero().squeeze(1).tolist() == places
        first += size
    assert first == len(rectangles.index_P)


def test_segments_of_one_length_share_a_rectangle_without_mask() -> None:
    rectangles = cut_rectangles([4, 4, 4])
    (rectangle,) = rectangles.each
    assert (rectangle.num_rows, rectangle.width, rectangle.mask_B11M) == (3, 4, None)
    assert rectangles.index_P.tolist() == rectangles.place_T.tolist() == list(range(12))


def test_a_rectangle_is_padded_up_to_the_bound_and_not_beyond() -> None:
    # 10 and 7: 3 of 20 places are padding, 15 %. 10 and 6: 4 of 20, 20 %.
    together = cut_rectangles([7, 10])
    assert len(together.each) == 1
    assert together.index_P.tolist() == [*range(7, 17), *range(7), 0, 0, 0]
    assert together.place_T.tolist() == [*range(10, 17), *range(10)]
    assert len(cut_rectangles([6, 10]).each) == 2


def packed(vocab_size: int, first_position: int) -> PackedBatch:
    tokens = torch.randint(4, vocab_size, (sum(LENGTHS),), generator=torch.Generator().manual_seed(0))
    positions = torch.cat([torch.arange(first_position, first_position + length) for length in LENGTHS])
    return PackedBatch(tokens, positions, LENGTHS, {}, torch.zeros(len(tokens)))


def run_packed(encoder: XLMRobertaModel, batch: PackedBatch) -> torch.Tensor:
    rectangles = cut_rectangles(batch.lengths_S)
    return encoder(
        input_ids=batch.tokens_L[None], position_ids=batch.positions_L[None], segmentation=rectangles
    ).last_hidden_state[0]


def run_apart(encoder: XLMRobertaModel, batch: PackedBatch) -> torch.Tensor:
    """Each segment by itself through the library's own attention, which derives position ids from the tokens."""
    eager = copy.deepcopy(encoder)
    eager.set_attn_implementation("eager")
    pieces = [eager(input_ids=tokens[None]).last_hidden_state[0] for tokens in batch.tokens_L.split(list(LENGTHS))]
    return torch.cat(pieces)


@torch.no_grad()
def test_a_packed_row_equals_its_segments_run_apart(encoder: XLMRobertaModel) -> None:
    batch = packed(encoder.config.vocab_size, encoder.config.pad_token_id + 1)
    encoder.eval()
    torch.testing.assert_close(run_packed(encoder, batch), run_apart(encoder, batch), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("first_position", [0, 1, 3])
def test_positions_that_do_not_start_behind_the_padding_index_show(
    encoder: XLMRobertaModel, first_position: int
) -> None:
    batch = packed(encoder.config.vocab_size, first_position)
    encoder.eval()
    assert (run_packed(encoder, batch) - run_apart(encoder, batch)).abs().max() > 0.1


def test_gradients_equal_those_of_a_dense_block_mask() -> None:
    length = sum(LENGTHS)
    segment = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    mask = segment[:, None] == segment[None, :]
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(1, 4, length, 8, generator=generator, requires_grad=True) for _ in range(3)]
    above = torch.randn(1, length, 4, 8, generator=generator)

    ours, _ = packed_attention(torch.nn.Module(), *inputs, None, scaling=0.3, segmentation=cut_rectangles(LENGTHS))
    ours_gradients = torch.autograd.grad(ours, inputs, above)
    dense = functional.scaled_dot_product_attention(*inputs, attn_mask=mask, scale=0.3).transpose(1, 2)
    dense_gradients = torch.autograd.grad(dense, inputs, above)

    torch.testing.assert_close(ours, dense, rtol=0, atol=1e-5)
    for one, other in zip(ours_gradients, dense_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_some_queries_attend_as_they_do_among_all(lengths: list[int], random: Random) -> None:
    read = random.sample(range(sum(lengths)), random.randint(1, sum(lengths)))
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, sum(lengths), 4, generator=generator) for _ in range(3))
    all_of_them = cut_rectangles(lengths)
    some = all_of_them.reading(torch.tensor(read))
    every, _ = packed_attention(torch.nn.Module(), query, key, value, None, scaling=0.3, segmentation=all_of_them)
    ours, _ = packed_attention(torch.nn.Module(), query[:, :, read], key, value, None, scaling=0.3, segmentation=some)
    torch.testing.assert_close(ours, every[:, read], rtol=0, atol=1e-6)
    widest = sum(rectangle.num_rows * rectangle.num_queries for rectangle in some.each)
    assert len(some.query_Q) == widest <= len(all_of_them.query_Q)


def test_dropout_comes_from_the_seed() -> None:
    heads = [torch.ones(1, 2, 6, 4) for _ in range(3)]

    def run(seed: int, dropout: float) -> torch.Tensor:
        torch.manual_seed(seed)
        rectangles = cut_rectangles([4, 2])
        options = {"scaling": 1.0, "dropout": dropout, "segmentation": rectangles}
        return packed_attention(torch.nn.Module(), *heads, None, **options)[0]

    torch.testing.assert_close(run(0, 0.0), torch.ones(1, 6, 2, 4))
    assert torch.equal(run(0, 0.5), run(0, 0.5))
    assert not torch.equal(run(0, 0.5), run(1, 0.5))
