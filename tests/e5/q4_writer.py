"""Writes an encoder in the layout of the package's data file: small, with random weights."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

HIDDEN, LAYERS, HEADS, WIDE, POSITIONS, TYPES = 32, 2, 4, 64, 16, 2
SPECIAL = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
ORDINARY = [("▁", -1.0), ("qa", -12.0), ("b", -12.0), ("c", -12.0), ("abc", -1.0), ("é", -3.0), ("fi", -3.0)]
ORDINARY += [("▁de", -2.0), ("f", -5.0), ("zzz", -40.0), ("d", -6.0), ("e", -6.0), ("a", -14.0)]
PIECES = [*SPECIAL, *ORDINARY, ("<mask>", 0.0)]
TABLE = {0x07: "", 0x200B: " ", 0xFB01: "fi"}
"""Dropped, taken for a space, and what NFKC does as well."""


@dataclass
class Written:
    """What goes into a file; tests change it before `content`."""

    sizes: list[int] = field(
        default_factory=lambda: [HIDDEN, LAYERS, HEADS, WIDE, len(PIECES) + 3, POSITIONS, TYPES],
    )
    pieces: list[tuple[str, float]] = field(default_factory=lambda: list(PIECES))
    tensors: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    """Name -> type, elements, bytes."""

    def content(self) -> bytes:
        texts = [text.encode() for text, _ in self.pieces]
        ends = np.cumsum([0, *map(len, texts)], dtype="<u4")
        table = b"".join(struct.pack(f"<IB{len(t)}I", c, len(t), *map(ord, t)) for c, t in TABLE.items())
        head = b"E5S1" + struct.pack("<8ifi", 1, *self.sizes, 1e-12, 32)
        head += struct.pack("<5iQ", len(self.pieces), 0, 2, 1, 3, ends[-1])
        head += ends.tobytes() + np.array([score for _, score in self.pieces], "<f4").tobytes() + b"".join(texts)
        head += struct.pack("<iI", len(TABLE), len(table)) + table + struct.pack("<i", len(self.tensors))
        place = len(head) + sum(2 + len(name) + 21 for name in self.tensors)
        for name, (kind, num_elements, stored) in self.tensors.items():
            head += struct.pack("<H", len(name)) + name.encode()
            head += struct.pack("<BIQQ", kind, num_elements, place, len(stored))
            place += len(stored)
        return head + b"".join(stored for _, _, stored in self.tensors.values())


def random_tensors() -> dict[str, tuple[int, int, bytes]]:
    draw = np.random.default_rng(5)

    def q4(num_elements: int) -> tuple[int, int, bytes]:
        blocks = draw.integers(0, 256, (num_elements // 32, 18), np.uint8)
        blocks[:, :2] = draw.uniform(0.02, 0.06, (len(blocks), 1)).astype("<f2").view(np.uint8)
        return 1, num_elements, blocks.tobytes()

    def f32(num_elements: int, around: float = 0.0) -> tuple[int, int, bytes]:
        return 0, num_elements, (around + draw.normal(0, 0.2, num_elements)).astype("<f4").tobytes()

    tensors = {
        "emb.word": q4((len(PIECES) + 3) * HIDDEN),
        "emb.pos": f32(POSITIONS * HIDDEN),
        "emb.type": f32(TYPES * HIDDEN),
        "emb.ln.w": f32(HIDDEN, 1.0),
        "emb.ln.b": f32(HIDDEN),
    }
    for layer in range(LAYERS):
        for name, rows, columns in (
            *((name, HIDDEN, HIDDEN) for name in ("q", "k", "v", "ao")),
            ("fi", WIDE, HIDDEN),
            ("fo", HIDDEN, WIDE),
        ):
            tensors[f"l{layer}.{name}.w"], tensors[f"l{layer}.{name}.b"] = q4(rows * columns), f32(rows)
        for name in ("aln", "oln"):
            tensors[f"l{layer}.{name}.w"], tensors[f"l{layer}.{name}.b"] = f32(HIDDEN, 1.0), f32(HIDDEN)
    return tensors
