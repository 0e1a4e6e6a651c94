"""Cells of `gpu.py` that HF Trainer trains, in a process without any of this trainer's settings.

    python benchmarks/gpu_hf.py CELLS.json

Real tokens are those of the attention mask, at whatever padding. The device is waited for before the first step that
counts and after the last alone.
"""

from __future__ import annotations

import gc
import time
from pathlib import Path
from typing import Any

import torch
from gpu_cell import NUM_WARM, run_cells
from hf_trainer import pad, read_model, read_rows, with_lengths
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
        per_device_train_batch_size=given["per_device"],
        gradient_accumulation_steps=given["batch"] // given["per_device"],
        learning_rate=recipe["training"]["lr"],
        use_cpu=not on_gpu,
        bf16=True,
        logging_steps=1000,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        torch_compile=given.get("compile", False),
        **(BEST if best else {}),
    )
    clock = Clock()
    model = read_model(encoder, _rows[task])
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    Counting(
        model, arguments, train_dataset=with_lengths(_rows[task]), callbacks=[clock], processing_class=tokenizer,
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
    "train_sampling_strategy": "group_by_length",
    "dataloader_num_workers": 2,
    "dataloader_pin_memory": torch.cuda.is_available(),
}


class Padding:
    """To the longest of the batch; goes to the loader's workers."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: list[Any]) -> dict[str, Any]:
        return pad(rows, self._pad_id)


class Clock(TrainerCallback):
    """Seconds, real tokens and places of the steps that count."""

    def __init__(self) -> None:
        self._begun = self._ended = 0.0
        self._num_steps = 0
        self._tokens: list[torch.Tensor] = []
        self._num_places = 0

    def see(self, mask: torch.Tensor) -> None:
        """A batch; read from the device when all is over."""
        if self._begun:
            self._tokens.append(mask.sum())
            self._num_places += mask.numel()

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        if state.global_step in (NUM_WARM, state.max_steps) and torch.cuda.is_available():
            torch.cuda.synchronize()
        if state.global_step == NUM_WARM:
            self._begun = time.perf_counter()
        self._num_steps = state.global_step - NUM_WARM
        self._ended = time.perf_counter()

    def found(self) -> dict[str, Any]:
        seconds, num_tokens = self._ended - self._begun, int(sum(self._tokens))
        return {
            "tokens_per_step": num_tokens / self._num_steps,
            "seconds_per_step": seconds / self._num_steps,
            "tokens_per_second": num_tokens / seconds,
            "places_per_token": self._num_places / num_tokens,
        }


class Counting(Trainer):
    """Shows the clock every batch."""

    def training_step(self, model: Any, inputs: dict[str, Any], *rest: Any, **named: Any) -> Any:
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, Clock):
                callback.see(inputs["attention_mask"])
        return super().training_step(model, inputs, *rest, **named)


if __name__ == "__main__":
    run_cells(measure)
