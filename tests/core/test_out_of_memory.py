from __future__ import annotations

import pytest
import torch

from xstilts.core.errors import UserError
from xstilts.core.out_of_memory import out_of_memory_at, smaller_batches

OF_CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.20 GiB is free."
    " Of the allocated memory 70.00 GiB is allocated by PyTorch, and 5.00 GiB is reserved by PyTorch but unallocated. "
    "If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF=expandable_segments:True"
)


def test_allocator_of_a_device() -> None:
    with pytest.raises(UserError) as caught, out_of_memory_at("stage 'x', micro-batch of 9 tokens", "set y"):
        raise torch.OutOfMemoryError(OF_CUDA)
    assert str(caught.value) == (
        "stage 'x', micro-batch of 9 tokens: CUDA out of memory. Tried to allocate 2.00 GiB. "
        "GPU 0 has a total capacity of 79.10 GiB of which 1.20 GiB is free; set y"
    )


def test_allocator_of_the_host() -> None:
    said = r"^here: .*can't allocate memory: you tried to allocate \d+ bytes.*; set y$"
    with pytest.raises(UserError, match=said), out_of_memory_at("here", "set y"):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"^here: MemoryError; set y$"), out_of_memory_at("here", "set y"):
        raise MemoryError


def test_other_errors_are_left() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"), out_of_memory_at("here", "set y"):
        torch.ones(2) + torch.ones(3)


def test_remedies_name_settings() -> None:
    assert smaller_batches(12_345, training=False) == "set runtime.tokens_per_micro_batch below 12345"
    assert "runtime.activation_checkpointing=true" in smaller_batches(12_345, training=True)
