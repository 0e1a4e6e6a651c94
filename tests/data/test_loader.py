from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from xstilts.config.training import Mixing, Training
from xstilts.core.errors import UserError
from xstilts.data.loader import MicroBatch, StepLoader
from xstilts.data.plan import BatchPlan
from xstilts.data.steps import PackingUnits, check_budget
from xstilts.data.store import FeatureSet
from xstilts.kinds import CHOICE, MLM, PAIR, SPAN, Answer, ChoiceExample, PairExample, SpanExample, TextExample
from xstilts.text.tokenizer import Tokenizer

Features = Callable[..., FeatureSet]
KINDS = {"qqp": PAIR, "copa": CHOICE, "squad_v1": SPAN, "mlm_text": MLM}


@pytest.fixture
def loader(features: Features, tokenizer: Tokenizer) -> StepLoader:
    letters = "abcdefghijklmnopqrstuvwxyz"
    stored = {
        "qqp": features("qqp", [PairExample(f"q{i}", letters[: i + 1], "x", "X") for i in range(9)], ("X",)),
        "copa": features("copa", [ChoiceExample(f"c{i}", "ab", "", ("x", "y" * (i + 1)), 0) for i in range(5)]),
        # 26 letters at 20 tokens a segment: room 15, windows from 0, 4, 8 and 12
        "squad_v1": features(
            "squad_v1", [SpanExample(f"s{i}", "q", letters, (Answer("abc", 0),)) for i in range(4)], max_length=20
        ),
        "mlm_text": features("mlm_text", [TextExample(f"t{i}", letters) for i in range(6)]),
    }
    sizes = {name: len(found) for name, found in stored.items()}
    plan = BatchPlan(5, sizes, Mixing(weighting="uniform", loss_weights={"copa": 0.5}), 16)
    return StepLoader(plan, stored, KINDS, tokenizer, Training(steps=1), token_budget=64)


def same(a: MicroBatch, b: MicroBatch) -> bool:
    return torch.equal(a.batch.tokens_L, b.batch.tokens_L) and (a.index, a.ids) == (b.index, b.ids)


def tokens_of(cut: list[list[PackingUnits]]) -> list[int]:
    return [sum(int(units.num_tokens.sum()) for units in micro) for micro in cut]


def units_of(micro: list[PackingUnits]) -> Iterator[tuple[object, ...]]:
    """(task, row, turn, window) of each unit of a micro-batch."""
    for units in micro:
        windows = [None] * len(units) if units.windows is None else units.windows
        yield from zip([units.task] * len(units), units.rows, units.turns, windows, strict=True)


def test_largest_micro_batch(loader: StepLoader) -> None:
    loader = replace(loader, micro_batches_per_step=6, token_budget=1000)
    sizes = {(step, i): n for step in range(3) for i, n in enumerate(tokens_of(loader.cut(step)))}
    step, index = max(sizes, key=lambda place: sizes[place])
    assert step > 0, "a step alone would do"
    largest = loader.load_largest(0, 3)
    assert same(largest, next(micro for micro in loader.load(step, 0, 1) if micro.index == index))
    assert len(largest.batch.tokens_L) == max(sizes.values())


def test_cut_keeps_the_budget_and_loses_nothing(loader: StepLoader) -> None:
    for step in range(5):
        cut = loader.cut(step)
        assert all(num_tokens <= 64 for num_tokens in tokens_of(cut))
        held = Counter(unit for micro in cut for unit in units_of(micro))
        assert max(held.values()) == 1
        draws = [(d.task, *draw) for d in loader.plan.step(step) for draw in zip(d.rows, d.turns, strict=True)]
        windows = {(*draw, window) for draw in draws if draw[0] == "squad_v1" for window in range(4)}
        assert set(held) == windows | {(*draw, None) for draw in draws if draw[0] != "squad_v1"}


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_ranks_share_one_cut(loader: StepLoader, world_size: int) -> None:
    alone = loader.load(2, 0, 1)
    ranks = [loader.load(2, rank, world_size) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    assert len(ranks[0]) == -(-len(alone) // world_size)
    real = sorted((micro for batches in ranks for micro in batches if micro.index >= 0), key=lambda m: m.index)
    assert len(real) == len(alone) > 2
    assert all(same(ours, theirs) for ours, theirs in zip(real, alone, strict=True))
    fillers = [micro for batches in ranks for micro in batches if micro.index < 0]
    assert len(fillers) == world_size * len(ranks[0]) - len(alone)
    assert all(micro.ids == {} and micro.batch.tokens_L.tolist() == [0, 2] for micro in fillers)


def test_a_step_that_one_micro_batch_would_hold_is_spread_over_the_ranks(loader: StepLoader) -> None:
    whole = replace(loader, token_budget=10_000)
    spread = replace(whole, micro_batches_per_step=4)
    for step in range(5):
        assert [whole.idle_share(step, ranks) for ranks in (1, 2, 4)] == [0, 1 / 2, 3 / 4]
        assert [spread.idle_share(step, ranks) for ranks in (1, 2, 4, 8)] == [0, 0, 0, 1 / 2]
        tokens = tokens_of(spread.cut(step))
        assert max(tokens) < 1.1 * min(tokens)
        units = [unit for cut in (whole.cut(step), spread.cut(step)) for micro in cut for unit in units_of(micro)]
        assert max(Counter(units).values()) == min(Counter(units).values()) == 2
        assert replace(loader, micro_batches_per_step=4).idle_share(step, 4) == 0, "the budget asks for a multiple"


def test_weights_of_a_step(loader: StepLoader) -> None:
    """Each example counts 1/16 of the step, half of that for COPA, however many windows or masked tokens it has."""
    for step in range(3):
        drawn = loader.plan.drawn(step)
        sums = Counter[str]()
        for micro in loader.load(step, 0, 1):
            for name, head in micro.batch.heads.items():
                sums[name] += float(head.weights.sum())
        expected = {name: n / 16 * (0.5 if name == "copa" else 1) for name, n in drawn.items()}
        assert {name: pytest.approx(sums[name], abs=1e-6) for name in KINDS} == expected


@pytest.mark.parametrize("block", [1, 48])
def test_steps_are_the_same_however_many_are_looked_up_together(
    loader: StepLoader, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = (5, 0, 2, 3, 70)
    together = [loader.load(step, 0, 1) for step in steps]
    monkeypatch.setattr("xstilts.data.steps._BLOCK", block)
    fresh = replace(loader)
    for step, expected in zip(steps, together, strict=True):
        found = fresh.load(step, 0, 1)
        assert all(
            same(ours, theirs) and ours.visits == theirs.visits for ours, theirs in zip(found, expected, strict=True)
        )
        assert [micro.ids for micro in found] == [
            {units.task: [feature.id for feature in loader.features[units.task].load(units.rows)] for units in micro}
            for micro in fresh.cut(step)
        ]


def test_reading_ahead_changes_nothing(loader: StepLoader) -> None:
    ahead = list(loader.iterate(3, 7, 1, 2))
    assert len(ahead) == 4
    for step, batches in zip(range(3, 7), ahead, strict=True):
        assert all(same(a, b) for a, b in zip(batches, loader.load(step, 1, 2), strict=True))
    assert list(loader.iterate(3, 3, 0, 1)) == []


def test_masking_differs_from_turn_to_turn(loader: StepLoader) -> None:
    """All six texts are the same letters: their rows differ by masking alone."""
    rows = {
        tuple(micro.batch.heads["mlm_text"].targets.tolist())
        for step in range(6)
        for micro in loader.load(step, 0, 1)
        if len(micro.batch.heads["mlm_text"].targets)
    }
    assert len(rows) > 3


def test_budget_is_checked_against_what_stays_together(loader: StepLoader) -> None:
    check_budget(loader.features, KINDS, 31)
    # the longest text has 26 + 2 tokens; squad's four windows have 20 each and part
    with pytest.raises(UserError, match="task 'mlm_text' has an example of 28 tokens that stays together; raise it"):
        check_budget(loader.features, KINDS, 27)
    with pytest.raises(UserError, match="task 'squad_v1' has an example of 20 tokens"):
        check_budget({"squad_v1": loader.features["squad_v1"]}, KINDS, 19)
