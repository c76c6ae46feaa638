"""Fuzzing of what reads hostile bytes: docs/fuzzing.md."""
