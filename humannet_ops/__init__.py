"""HumanNet Ops: human video in, a curated and explained corpus out."""

__version__ = "0.1.0"
