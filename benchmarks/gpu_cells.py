"""The cells of `gpu.py`: what each is given, how long it may take, and how long it is supposed to take on an H100."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TASK = "mnli"
TOKENS_PER_EXAMPLE = 140
"""Of the lengthened pairs, about; a recipe counts examples, and each step says its tokens."""
LANES = (4, 1, 2)
LANE_BATCHES = (32, 4)
RUNGS = {
    "as is": {},
    "varlen": {"attention": "varlen"},
    "varlen + compile": {"attention": "varlen", "compile": True},
}
"""Of the ladder: options of `runtime`."""
BEST = "best rung"
LANE_RUNG = "best rung without compilation"
"""By the speeds of the middle size, found before."""


@dataclass(frozen=True)
class Size:
    """How large everything is."""

    layers: int
    width: int
    pieces: int
    examples: int
    tokens: tuple[int, int, int]
    """Of a step: small, middle, large."""
    steps: int
    lane_steps: int
    batch: int = 32


SIZES = {
    "large": Size(24, 1024, 250_002, 8000, (16_384, 32_768, 65_536), steps=14, lane_steps=110),
    "tiny": Size(2, 64, 3000, 300, (512, 1024, 2048), steps=8, lane_steps=100),
}


@dataclass(frozen=True)
class Cell:
    """One measurement."""

    name: str
    script: str
    about: float
    """Seconds that it is supposed to take on an H100, with its share of the start of its process."""
    given: dict[str, Any] = field(default_factory=dict)
    rung: str = ""

    @property
    def limit(self) -> float:
        """Seconds after which it is given up: another machine may be slower to start."""
        return max(40.0, 2 * self.about)


class Cells:
    """The cells of a size."""

    def __init__(self, size: str, scratch: Path, *, gpu: bool) -> None:
        self._size = SIZES[size]
        self._scratch = scratch
        self._precision = "bf16" if gpu else "bf16_cpu"

    def groups(self) -> list[list[Cell]]:
        """In the order of their worth; those of a group share a process."""
        size = self._size
        small, middle, large = size.tokens
        kinds = {"layers": size.layers, "width": size.width, "pieces": size.pieces, "examples": size.examples}
        return [
            [
                Cell("smoke", "gpu_checks.py", 9, {"check": "smoke"}),
                Cell("group", "gpu_checks.py", 4, {"check": "group"}),
                Cell("ceilings", "gpu_checks.py", 4, {"check": "ceilings"}),
                Cell("data", "gpu_checks.py", 16, {"check": "data", "folder": str(self._scratch), **kinds}),
            ],
            [
                *(self._train(about, rung, middle) for rung, about in zip(RUNGS, (30, 9, 45), strict=True)),
                self._train(8, BEST, batch=size.batch),
                self._train(7, BEST, small),
                self._train(10, BEST, large),
            ],
            [self._lanes(lanes, about) for lanes, about in zip(LANES, (60, 42, 48), strict=True)],
            [
                self._hf(18, "default", size.batch),
                self._hf(7, "best", size.batch),
                self._hf(9, "best", middle // TOKENS_PER_EXAMPLE, tokens=middle),
                self._hf(12, "default", middle // TOKENS_PER_EXAMPLE, tokens=middle),
            ],
            [
                Cell("resume", "gpu_resume.py", 18, self._resume("as is")),
                Cell("resume, varlen", "gpu_resume.py", 5, self._resume("varlen")),
            ],
            [self._evaluation("here", 17), self._evaluation("hf", 14)],
            [self._hf(75, "best", middle // TOKENS_PER_EXAMPLE, tokens=middle, compiled=True)],
            [
                self._train(20, "as is", middle, "ZeRO-2", zero=2),
                self._train(8, "as is", middle, "all rows", vocabulary_rows="all"),
                self._train(8, "as is", middle, "recomputed", activation_checkpointing=True),
                self._train(10, "as is", large),
            ],
            [Cell("resume, varlen + compile", "gpu_resume.py", 25, self._resume("varlen + compile"))],
        ]

    def told(self, cell: Cell, found: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], dict[str, Any]]:
        """Which rung the cell takes, where that follows from what was `found` before, and what its process is told.
        Lanes take the best of those that compile nothing, or each would spend its time on that."""
        given = cell.given
        rungs = {BEST: list(RUNGS), LANE_RUNG: [name for name in RUNGS if "compile" not in name]}.get(cell.rung)
        if rungs is None:
            return {}, given

        def speed(rung: str) -> float:
            return float(found.get(self._name(rung, self._size.tokens[1]), {}).get("tokens_per_second", 0.0))

        rung = max(rungs, key=speed)
        runtime = given["recipe"]["runtime"] | RUNGS[rung]
        return {"rung": rung}, {**given, "recipe": {**given["recipe"], "runtime": runtime}}

    def _name(self, rung: str, tokens: int = 0, more: str = "", batch: int = 0) -> str:
        size = f"batch {batch}" if batch else f"{tokens} tokens"
        return ", ".join(filter(None, [size, rung, more]))

    def _train(
        self, about: float, rung: str, tokens: int = 0, more: str = "", *, batch: int = 0, zero: int = 1, **runtime: Any
    ) -> Cell:
        """A stage of steps of one micro-batch."""
        name = self._name(rung, tokens, more, batch)
        recipe = self._recipe(self._size.steps, batch or tokens // TOKENS_PER_EXAMPLE)
        recipe["runtime"] |= {"deepspeed": f"zero{zero}_{self._precision}", **RUNGS.get(rung, {}), **runtime}
        return Cell(name, "gpu_train.py", about, {"folder": str(self._scratch / "train"), "recipe": recipe}, rung)

    def _lanes(self, lanes: int, about: float) -> Cell:
        """A study of a seed for each lane: a stage of each batch size, one behind the other."""
        recipe = self._recipe(self._size.lane_steps, LANE_BATCHES[0])
        stages = [{"tasks": [TASK], "training": {"batch_size": batch}} for batch in LANE_BATCHES]
        recipe |= {"arms": {"measured": stages}, "baseline": "measured", "seeds": list(range(lanes))}
        given = {"folder": str(self._scratch / "lanes"), "recipe": recipe, "lanes": lanes}
        return Cell(f"lanes {lanes}", "gpu_lanes.py", about, given, LANE_RUNG)

    def _hf(self, about: float, flags: str, batch: int, *, tokens: int = 0, compiled: bool = False) -> Cell:
        size = f"{tokens} tokens" if tokens else f"batch {batch}"
        more = ", compiled" if compiled else ""
        given = {
            "folder": str(self._scratch / "hf"),
            "recipe": self._recipe(self._size.steps, batch),
            "flags": flags,
            "examples": self._size.examples,
            "batch": batch,
            "compile": compiled,
        }
        return Cell(f"HF {flags}, {size}{more}", "gpu_hf.py", about, given)

    def _resume(self, rung: str) -> dict[str, Any]:
        recipe = self._recipe(8, 16)
        width = self._size.width
        config = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": width // 64}
        config |= {"intermediate_size": 4 * width, "max_position_embeddings": 514}
        recipe["model"] = {"tokenizer": str(self._scratch / "world" / "tokenizer"), "config": config}
        recipe["runtime"] |= {"checkpoint_every": 4, "micro_batches_per_step": 2, **RUNGS[rung]}
        return {"folder": str(self._scratch / "resume"), "recipe": recipe}

    def _evaluation(self, who: str, about: float) -> Cell:
        given = {
            "who": who,
            "encoder": str(self._scratch / "encoder"),
            "data": str(self._scratch / "world"),
            "cache": str(self._scratch / "cache"),
            "sources": {},
            "targets": {task: ["qaa_Latn", "qab_Latn"] for task in ("xnli", "xquad")},
            "folder": str(self._scratch / f"evaluation-{who}"),
            "precision": "bf16",
            "budget": max(4096, self._size.tokens[1]),
            "settings": [{"batch": batch, "sorted": is_sorted} for batch, is_sorted in ((8, False), (64, True))],
            "share": 1,
            "process": 0,
            "processes": 1,
            "profile": False,
        }
        return Cell(f"evaluation, {who}", "gpu_predict.py", about, given)

    def _recipe(self, steps: int, batch: int) -> dict[str, Any]:
        targets: Sequence[str] = ["qaa_Latn"]
        return {
            "name": "gpu",
            "model": {"pretrained": str(self._scratch / "encoder")},
            "data": {"root": str(self._scratch / "world"), "cache": str(self._scratch / "cache"), "max_length": 256},
            "runtime": {
                "deepspeed": f"zero1_{self._precision}",
                "tokens_per_micro_batch": max(4096, 2 * batch * TOKENS_PER_EXAMPLE),
                "micro_batches_per_step": 1,
                "checkpoint_every": 10**6,
                "record_visits": False,
                "log_every": 1000,
            },
            "training": {"steps": steps, "batch_size": batch, "lr": 1e-5},
            "arms": {"none": [], "measured": [{"tasks": [TASK]}]},
            "targets": {"tatoeba": {"languages": targets, "max_examples": 4}},
        }
