"""Checkpoints: whole tensors by name, that know neither ranks nor ZeRO stage."""
