"""Probe, decode, measure and encode video. Knows no database."""
