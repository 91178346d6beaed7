"""The groups of the ``humannet`` command: one file a noun."""
