"""The encoder's forward pass in numpy, from the bytes of the 4-bit file; shares no code with what it is compared to."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from scipy.special import erf


class NumpyEncoder:
    """float64 arithmetic on the weights of one file."""

    def __init__(self, content: bytes) -> None:
        self.hidden, self.layers, self.heads = struct.unpack_from("<3i", content, 8)
        (self.eps,) = struct.unpack_from("<f", content, 36)
        (num_pieces,) = struct.unpack_from("<i", content, 44)
        (blob,) = struct.unpack_from("<Q", content, 64)
        place = 72 + 4 * (num_pieces + 1) + 4 * num_pieces + blob
        (table,) = struct.unpack_from("<I", content, place + 4)
        place += 8 + table
        (num_tensors,) = struct.unpack_from("<i", content, place)
        place += 4
        self.content = content
        self.directory: dict[str, tuple[Any, ...]] = {}
        for _ in range(num_tensors):
            (length,) = struct.unpack_from("<H", content, place)
            name = content[place + 2 : place + 2 + length].decode()
            _, *where = struct.unpack_from("<BIQQ", content, place + 2 + length)
            self.directory[name] = tuple(where)
            place += 2 + length + 21

    def tensor(self, name: str, first: int = 0, last: int | None = None) -> np.ndarray:
        """Elements [first, last), multiples of 32."""
        num_elements, offset, num_bytes = self.directory[name]
        last = num_elements if last is None else last
        if num_bytes == 4 * num_elements:
            return np.array(struct.unpack_from(f"<{last - first}f", self.content, offset + 4 * first))
        blocks = self.content[offset + first // 32 * 18 : offset + last // 32 * 18]
        bytes_B18 = np.frombuffer(blocks, np.uint8).reshape(-1, 18)
        scale_B1 = bytes_B18[:, :2].copy().view("<f2").astype(np.float64)
        packed_B16 = bytes_B18[:, 2:].astype(np.int64)
        return ((np.hstack([packed_B16 % 16, packed_B16 // 16]) - 8) * scale_B1).ravel()

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        bias = self.tensor(f"{name}.b")
        return x @ self.tensor(f"{name}.w").reshape(len(bias), -1).T + bias

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self.eps)
        return scaled * self.tensor(f"{name}.w") + self.tensor(f"{name}.b")

    def hidden_states(self, ids: list[int]) -> list[np.ndarray]:
        """[tokens, hidden size] of the embeddings and of every layer, for one text."""
        width = self.hidden
        words = np.stack([self.tensor("emb.word", i * width, (i + 1) * width) for i in ids])
        positions = self.tensor("emb.pos").reshape(-1, width)[: len(ids)]
        x = self.norm("emb.ln", words + positions + self.tensor("emb.type")[:width])
        states = [x]
        for layer in range(self.layers):
            at = f"l{layer}"
            query, key, value = (
                self.linear(f"{at}.{name}", x).reshape(len(ids), self.heads, -1).swapaxes(0, 1) for name in "qkv"
            )
            scores = query @ key.swapaxes(1, 2) / np.sqrt(width / self.heads)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            mixed = (weights @ value).swapaxes(0, 1).reshape(len(ids), width)
            x = self.norm(f"{at}.aln", x + self.linear(f"{at}.ao", mixed))
            inner = self.linear(f"{at}.fi", x)
            x = self.norm(f"{at}.oln", x + self.linear(f"{at}.fo", inner * (1 + erf(inner / np.sqrt(2))) / 2))
            states.append(x)
        return states
