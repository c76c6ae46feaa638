"""Owning Worker processes."""
