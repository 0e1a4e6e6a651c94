"""Out of memory on a device or a host, in one line that says where and what to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xstilts.core.errors import UserError, reason_of

_BY_TORCH = ("out of memory", "can't allocate memory")
"""In the messages of its allocators, CUDA's and the host's; a host that has overcommitted kills without any."""


@contextmanager
def out_of_memory_at(what: str, remedy: str) -> Iterator[None]:
    """Turns an allocator's error inside into a `UserError`: `what` asked for it, and `remedy` is what to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # that of CUDA's allocator is a RuntimeError
        message = reason_of(error)
        if isinstance(error, RuntimeError) and not any(words in message for words in _BY_TORCH):
            raise
        # What follows is of how the allocator's blocks lie.
        said = message.partition(" Of the allocated memory")[0].rstrip(".")
        raise UserError(f"{what}: {said}; {remedy}") from None


def smaller_batches(num_tokens: int, *, training: bool) -> str:
    """What to change where a forward, in training with its backward, over so many tokens has no room."""
    lower = f"set runtime.tokens_per_micro_batch below {num_tokens}"
    if not training:
        return lower
    return f"{lower}, or runtime.activation_checkpointing=true, or a higher ZeRO stage by runtime.deepspeed"
