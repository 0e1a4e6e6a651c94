"""How a stage ends that another launch has taken over."""

from __future__ import annotations


class Superseded(Exception):
    """Another launch has taken over what this one was at; what this one makes of it is to be thrown away."""
