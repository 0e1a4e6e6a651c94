"""Cells of `gpu.py` that need no run: each prints one JSON object.

python benchmarks/gpu_checks.py smoke | ceilings | data FOLDER LAYERS WIDTH PIECES
"""

from __future__ import annotations

import copy
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional


def smoke() -> dict[str, Any]:
    """Attention and its gradients on the device against the CPU in fp64, and the mean of dropout."""
    from xstilts.model.attention import cut_rectangles, packed_attention

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    lengths = (5, 17, 9, 16, 2, 17, 30, 1, 128)
    generator = torch.Generator().manual_seed(0)
    given = [torch.randn(1, 4, sum(lengths), 64, generator=generator) for _ in range(3)]
    weight = torch.randn(1, sum(lengths), 4, 64, generator=generator)

    def attend(where: torch.device, dtype: torch.dtype, rate: float = 0.0) -> list[torch.Tensor]:
        values = [copy.deepcopy(each).to(where, dtype).requires_grad_() for each in given]
        out, _ = packed_attention(
            torch.nn.Module(), *values, None, scaling=0.125, dropout=rate, rectangles=cut_rectangles(lengths).to(where)
        )
        (out * weight.to(where, dtype)).sum().backward()
        gradients = [value.grad for value in values if value.grad is not None]
        return [each.detach().double().cpu() for each in (out, *gradients)]

    exact = attend(torch.device("cpu"), torch.float64)
    found: dict[str, Any] = {"device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu"}
    for dtype in (torch.float32, torch.bfloat16):
        ours = attend(device, dtype)
        off = [float((a - b).norm() / b.norm()) for a, b in zip(ours, exact, strict=True)]
        found[str(dtype).removeprefix("torch.")] = max(off)
    values = [torch.ones(1, 4, sum(lengths), 64, device=device) for _ in range(3)]
    out, _ = packed_attention(
        torch.nn.Module(), *values, None, scaling=0.125, dropout=0.1, rectangles=cut_rectangles(lengths).to(device)
    )
    found["mean_of_ones_under_dropout"] = float(out.float().mean())
    return found


def ceilings() -> dict[str, Any]:
    """What a matrix product and a copy reach."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    gemm = timed(lambda: functional.linear(a, b), device)
    source = torch.empty(2**28 if device.type == "cuda" else 2**24, dtype=torch.uint8, device=device)
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


def data(folder: Path, num_layers: int, width: int, num_pieces: int) -> dict[str, Any]:
    """The artificial world's files, and random weights with a vocabulary of so many pieces."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    from xstilts.synthetic import World, write_world

    languages = {"qaa_Latn": 0.2, "qab_Latn": 0.5}
    write_world(
        World.model_validate({"languages": languages, "num_train": 20_000 if num_layers > 2 else 500}), folder / "world"
    )
    encoder = folder / "encoder"
    encoder.mkdir(exist_ok=True)
    for path in (folder / "world" / "tokenizer").iterdir():
        (encoder / path.name).write_bytes(path.read_bytes())
    path = encoder / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    mask = vocabulary.pop()
    vocabulary += [[f"\u2581filler{i}", -99.0] for i in range(num_pieces - len(vocabulary) - 1)] + [mask]
    path.write_text(json.dumps(tokenizer), encoding="utf-8")
    config = XLMRobertaConfig(
        vocab_size=num_pieces, hidden_size=width, num_hidden_layers=num_layers, num_attention_heads=max(1, width // 64),
        intermediate_size=4 * width, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
    )  # fmt: skip
    XLMRobertaForMaskedLM(config).save_pretrained(encoder)
    return {"parameters": sum(p.numel() for p in XLMRobertaForMaskedLM(config).parameters())}


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if name == "data":
        said = data(Path(rest[0]), *map(int, rest[1:]))
    else:
        said = {"smoke": smoke, "ceilings": ceilings}[name]()
    print(json.dumps(said))
