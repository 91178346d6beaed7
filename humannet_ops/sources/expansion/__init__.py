"""How keywords are proposed: one short file a strategy."""
