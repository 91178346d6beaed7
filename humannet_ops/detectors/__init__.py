"""One file a model, behind a small protocol."""
