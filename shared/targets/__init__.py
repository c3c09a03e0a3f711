"""The kinds of target. Every module in this folder holds one: its settings, its Target, and ``TARGET``."""

from shared.targets._registry import target_for, targets

__all__ = ["target_for", "targets"]
