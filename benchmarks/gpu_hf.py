"""Cells of `gpu.py` that HF Trainer trains, in a process without any of this trainer's settings.

Real tokens are those of the attention mask, at whatever padding. At the best flags batches are of like length, cut as
`group_by_length` cuts them and drawn at random (see `hf_trainer.py`).
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import torch
from gpu_cell import NUM_WARM, run_cells, speed
from hf_trainer import batches, pad, read_model, read_rows
from transformers import PreTrainedTokenizerFast, Trainer, TrainerCallback, TrainingArguments

_rows: dict[str, Any] = {}


def measure(given: dict[str, Any]) -> dict[str, Any]:
    recipe, folder = given["recipe"], Path(given["folder"])
    encoder = recipe["model"]["pretrained"]
    (task,) = recipe["arms"]["measured"][0]["tasks"]
    if task not in _rows:
        _rows[task] = read_rows(recipe, folder, task, given["examples"])
    on_gpu, best = torch.cuda.is_available(), given["flags"] == "best"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(encoder)
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=recipe["training"]["steps"],
        per_device_train_batch_size=1 if best else given["batch"],
        learning_rate=recipe["training"]["lr"],
        use_cpu=not on_gpu,
        bf16=True,
        logging_steps=1000,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        torch_compile=given["compile"],
        **(BEST if best else {}),
    )
    data = batches({task: _rows[task]}, given["batch"], grouped=True) if best else _rows[task]
    clock = Clock(every=given["compile"])
    model = read_model(encoder, _rows[task])
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    Counting(
        model, arguments, train_dataset=data, callbacks=[clock], processing_class=tokenizer,
        data_collator=Padding(tokenizer.pad_token_id),
    ).train()  # fmt: skip
    found = clock.found() | {"attention": model.config._attn_implementation}
    if on_gpu:
        found["peak_bytes"] = torch.cuda.max_memory_allocated()
    del model
    gc.collect()
    return found


BEST = {
    "optim": "adamw_torch_fused",
    "dataloader_num_workers": 2,
    "dataloader_pin_memory": torch.cuda.is_available(),
}


class Padding:
    """To the longest of the batch, which may be one that was made before; goes to the loader's workers."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: list[Any]) -> dict[str, Any]:
        return pad(rows[0] if isinstance(rows[0], list) else rows, self._pad_id)


class Clock(TrainerCallback):
    """The time at the end of each step, its real tokens and its places.

    The device is waited for where counting begins and at the end; in `every` step where something may be compiled in
    the middle, so that such a step can be told from the others.
    """

    def __init__(self, *, every: bool) -> None:
        self._every = every
        self._ends: list[float] = []
        self._tokens: list[torch.Tensor] = []
        self._places: list[int] = []

    def see(self, mask: torch.Tensor) -> None:
        """A batch; its sum is read from the device when all is over."""
        step = len(self._ends)
        if step == len(self._tokens):
            self._tokens.append(torch.zeros((), dtype=torch.int64, device=mask.device))
            self._places.append(0)
        self._tokens[step] += mask.sum()
        self._places[step] += mask.numel()

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        if torch.cuda.is_available() and (self._every or state.global_step in (NUM_WARM, state.max_steps)):
            torch.cuda.synchronize()
        self._ends.append(time.perf_counter())

    def found(self) -> dict[str, Any]:
        tokens = [int(each) for each in self._tokens]
        found = speed(self._ends, tokens, leaving_out_slow=self._every)
        return found | {"places_per_token": sum(self._places) / sum(tokens)}


class Counting(Trainer):
    """Shows the clock every batch."""

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, Clock):
                callback.see(inputs["attention_mask"])
        return super().training_step(model, inputs, *rest, **named)


if __name__ == "__main__":
    run_cells(measure)
