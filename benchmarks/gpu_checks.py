"""Cells of `gpu.py` that train nothing."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from gpu_cell import run_cells
from torch.nn import functional

ATTENTIONS: tuple[Literal["rectangles", "varlen"], ...] = ("rectangles", "varlen")
NUM_FILLERS = 20_000
"""Words beside the world's own, each a piece of the vocabulary."""


def smoke() -> dict[str, Any]:
    """Each way of attention on the device: how far output and gradients are from a dense mask's on the CPU in fp64, how
    far the gradients are from those of the masks that dropout drew, and what dropout makes of the mean of ones."""
    from xstilts.model.attention import Segmentation
    from xstilts.model.layout import segment
    from xstilts.model.multitask import to_device

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lengths = (5, 17, 9, 16, 2, 17, 30, 1, 128)
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(sum(lengths), 4, 64, generator=generator) for _ in range(3)]
    weight = torch.randn(sum(lengths), 4, 64, generator=generator)

    def attend(way: Segmentation | None, where: torch.device, dtype: torch.dtype, rate: float) -> list[torch.Tensor]:
        """Output, and gradients of queries, keys and values."""
        values = [copy.deepcopy(each).to(where, dtype).requires_grad_() for each in given]
        query, key, value = values
        out = dense(values) if way is None else way.attend(query, key, value, 0.125, rate)
        gradients = torch.autograd.grad(out, values, weight.to(where, dtype))
        return [each.detach().double().cpu() for each in (out, *gradients)]

    def dense(values: list[torch.Tensor]) -> torch.Tensor:
        of = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        query, key, value = (each.transpose(0, 1) for each in values)
        return functional.scaled_dot_product_attention(
            query, key, value, attn_mask=of[:, None] == of[None, :], scale=0.125
        ).transpose(0, 1)

    exact = attend(None, torch.device("cpu"), torch.float64, 0.0)
    found: dict[str, Any] = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"}
    for attention in ATTENTIONS:
        way = segment(attention, lengths).moved(to_device(device))
        for dtype in (torch.float32, torch.bfloat16):
            ours = attend(way, device, dtype, 0.0)
            cell = f"{attention} {str(dtype).removeprefix('torch.')}"
            found[cell] = max(float((a - b).norm() / b.norm()) for a, b in zip(ours, exact, strict=True))
            if attention == "varlen" and dtype == torch.float32 and device.type == "cuda":
                continue  # its kernel gets no dropout
            # The output is linear in the values: what they are and their gradients make the same product.
            out, *_, of_value = attend(way, device, dtype, 0.1)
            product = (out * weight).sum()
            found[f"{cell} dropout masks off"] = float(((of_value * given[2]).sum() - product).abs() / product.abs())
            ones = [torch.ones(sum(lengths), 4, 64, device=device, dtype=dtype) for _ in range(3)]
            mean = way.attend(ones[0], ones[1], ones[2], 0.125, 0.1).double().mean()
            found[f"{cell} mean of ones under dropout"] = float(mean)
    return found


def ceilings() -> dict[str, Any]:
    """What a matrix product and a copy reach."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    gemm = timed(lambda: functional.linear(a, b), device)
    source = torch.empty(2**30 if device.type == "cuda" else 2**24, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = timed(lambda: target.copy_(source), device)
    return {"gemm_flops": 2 * size**3 / gemm, "copy_bytes": 2 * source.numel() / copied}


def timed(work: Any, device: torch.device, repeats: int = 20) -> float:
    """Median seconds."""
    seconds = []
    for _ in range(repeats):
        if device.type == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    return sorted(seconds)[repeats // 2]


def group() -> dict[str, Any]:
    """The process group as a run sets it up (NCCL on a GPU, gloo on a CPU), and a sum over it."""
    from xstilts.distributed import dist

    dist.set_up()
    ones = torch.ones(1 << 20, device=dist.device())
    torch.distributed.all_reduce(ones)
    found = {
        "backend": torch.distributed.get_backend(),
        "sum_is_right": bool((ones == dist.world_size()).all()),
        "bookkeeping_is_right": dist.sum_over_ranks([2.0]) == [2.0 * dist.world_size()],
    }
    dist.tear_down()
    return found


def data(folder: str, layers: int, width: int, pieces: int, examples: int) -> dict[str, Any]:
    """The artificial world's files, longer training pairs, and random weights with a vocabulary of so many pieces."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    from xstilts.synthetic import World, write_world

    world, encoder = Path(folder) / "world", Path(folder) / "encoder"
    languages = {"qaa_Latn": 0.2, "qab_Latn": 0.5}
    write_world(World.model_validate({"languages": languages, "num_train": 500, "num_test": examples // 4}), world)
    encoder.mkdir(exist_ok=True)
    for path in (world / "tokenizer").iterdir():
        (encoder / path.name).write_bytes(path.read_bytes())
    path = encoder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    mask = vocabulary.pop()
    fillers = [f"filler{i}" for i in range(pieces - len(vocabulary) - 1)]
    vocabulary += [[f"\u2581{filler}", -9.0] for filler in fillers] + [mask]
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    lengthen(world / "mnli" / "train.tsv", fillers[:NUM_FILLERS], examples)
    config = XLMRobertaConfig(
        vocab_size=pieces, hidden_size=width, num_hidden_layers=layers, num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
    )  # fmt: skip
    model = XLMRobertaForMaskedLM(config)
    model.save_pretrained(encoder)
    return {"parameters": sum(parameter.numel() for parameter in model.parameters())}


def lengthen(path: Path, fillers: list[str], num_examples: int) -> None:
    """Pairs whose premises have 4 to 24 sentences, log-uniform, a fifth of their words fillers: lengths and rows of the
    vocabulary as real tasks have them. Nothing is to be learnt from them."""
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    column = header.split("\t").index("sentence1")
    rows = [line.split("\t") for line in lines]
    sentences = [sentence for row in rows for sentence in row[column].rstrip(".").split(". ")]
    dice = random.Random(0)
    made = [header]
    for number in range(num_examples):
        fields = list(dice.choice(rows))
        fields[0] = fields[1] = fields[2] = str(number)
        num_sentences = round(4 * 6 ** dice.random())
        words = " . ".join(dice.choices(sentences, k=num_sentences)).split()
        fields[column] = " ".join(dice.choice(fillers) if dice.random() < 0.2 else word for word in words)
        made.append("\t".join(fields))
    path.write_text("\n".join(made) + "\n", encoding="utf-8")


def measure(given: dict[str, Any]) -> dict[str, Any]:
    checks: dict[str, Callable[..., dict[str, Any]]] = {
        "smoke": smoke, "group": group, "ceilings": ceilings, "data": data,
    }  # fmt: skip
    return checks[given.pop("check")](**given)


if __name__ == "__main__":
    run_cells(measure)
