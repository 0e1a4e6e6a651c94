"""The micro-batches of a step for one rank: plan -> features -> packed rows, one step ahead of the trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from xstilts.config.training import Training
from xstilts.core.errors import UserError
from xstilts.core.seeds import derive_seed
from xstilts.data.batch import Item, PackedBatch, collate
from xstilts.data.encode import Feature
from xstilts.data.packing import divide, pack, spread
from xstilts.data.plan import BatchPlan, Draw
from xstilts.data.store import FeatureSet
from xstilts.tasks import Kind
from xstilts.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class MicroBatch:
    """A packed row with its place in the step."""

    index: int
    """Place in the step's cut, the same on any number of ranks: seeds dropout."""
    batch: PackedBatch
    example_ids: tuple[tuple[str, str], ...]
    """(task, id) of each piece in it; empty for a filler."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a micro-batch holds of a draw."""

    draw: Draw
    num_tokens: int
    window: int | None = None
    """Which window of a long context; None for the whole example."""


@dataclass(frozen=True)
class StepLoader:
    """Turns steps into micro-batches; a pure function of the step apart from reading ahead."""

    plan: BatchPlan
    features: Mapping[str, FeatureSet]
    kinds: Mapping[str, Kind]
    tokenizer: Tokenizer
    training: Training
    token_budget: int
    micro_batches_per_step: int | None = None
    """`runtime.micro_batches_per_step`."""

    def cut(self, step: int) -> list[list[Piece]]:
        """The step's draws, cut into micro-batches from lengths alone."""
        pieces = self._pieces(self.plan.step(step))
        lengths = [piece.num_tokens for piece in pieces]
        if self.micro_batches_per_step is None:
            bins = pack(lengths, self.token_budget)
        else:
            bins = spread(lengths, self.token_budget, self.micro_batches_per_step)
        return [[pieces[i] for i in members] for members in bins]

    def load(self, step: int, rank: int, world_size: int) -> list[MicroBatch]:
        """This rank's micro-batches; every rank gets the same number, filled up with empty ones."""
        cut = self.cut(step)
        mine = divide([sum(piece.num_tokens for piece in pieces) for pieces in cut], world_size)[rank]
        num_forwards = -(-len(cut) // world_size)
        loaded = [self._pack(index, cut[index]) for index in mine]
        filler = [
            MicroBatch(-1, collate([], self.kinds, self.tokenizer), ()) for _ in range(num_forwards - len(loaded))
        ]
        return loaded + filler

    def idle_share(self, step: int, world_size: int) -> float:
        """Share of the ranks' forwards in a step that are fillers, because the step has too few micro-batches."""
        num_forwards = -(-len(self.cut(step)) // world_size) * world_size
        return 1 - len(self.cut(step)) / num_forwards

    def iterate(self, first: int, last: int, rank: int, world_size: int) -> Iterator[list[MicroBatch]]:
        """`load` for the steps [first, last), the next one prepared while the current one trains."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            ahead: Future[list[MicroBatch]] | None = None
            for step in range(first, last):
                current = ahead.result() if ahead else self.load(step, rank, world_size)
                ahead = pool.submit(self.load, step + 1, rank, world_size) if step + 1 < last else None
                yield current

    def _pieces(self, draws: list[Draw]) -> list[Piece]:
        """An example whole, but for a long context each window by itself: its loss is a sum over windows, while options
        are compared with each other and a sentence's words may share a segment."""
        pieces = []
        for task, drawn in _by_task(draws).items():
            rows = [draw.example for draw in drawn]
            if self.kinds[task] is Kind.SPAN:
                for draw, lengths in zip(drawn, self.features[task].segment_lengths(rows), strict=True):
                    pieces += [Piece(draw, length, window) for window, length in enumerate(lengths)]
            else:
                pieces += [
                    Piece(draw, int(n)) for draw, n in zip(drawn, self.features[task].num_tokens[rows], strict=True)
                ]
        return pieces

    def _pack(self, index: int, pieces: list[Piece]) -> MicroBatch:
        items = []
        for task, drawn in _by_task([piece.draw for piece in pieces]).items():
            rows = sorted({draw.example for draw in drawn})
            features = dict(zip(rows, self.features[task].load(rows), strict=True))
            items += [self._item(piece, features[piece.draw.example]) for piece in pieces if piece.draw.task == task]
        batch = collate(items, self.kinds, self.tokenizer, self.training.mlm_probability)
        return MicroBatch(index, batch, tuple((item.task, item.feature.id) for item in items))

    def _item(self, piece: Piece, feature: Feature) -> Item:
        task = piece.draw.task
        weight = self.plan.mixing.loss_weights.get(task, 1.0) / self.plan.batch_size
        if piece.window is not None:
            return Item(task, feature.window(piece.window), weight / feature.num_targets)
        if self.kinds[task] is Kind.MLM:
            seed = derive_seed(self.plan.seed, "masking", task, piece.draw.turn)
            return Item(task, feature, weight, np.random.default_rng(seed))
        return Item(task, feature, weight)


def check_budget(features: Mapping[str, FeatureSet], kinds: Mapping[str, Kind], token_budget: int) -> None:
    """An error where something that stays together is longer than a micro-batch may be."""
    for name, stored in features.items():
        longest = stored.longest_segment if kinds[name] is Kind.SPAN else int(stored.num_tokens.max())
        if longest > token_budget:
            problem = f"task '{name}' has an example of {longest} tokens that stays together"
            raise UserError(f"runtime.tokens_per_micro_batch is {token_budget}, but {problem}; raise it")


def _by_task(draws: list[Draw]) -> dict[str, list[Draw]]:
    grouped: dict[str, list[Draw]] = {}
    for draw in draws:
        grouped.setdefault(draw.task, []).append(draw)
    return grouped
