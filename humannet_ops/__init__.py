"""HumanNet Ops: human video in, a curated and explained corpus out."""
