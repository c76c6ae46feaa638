"""A Worker's files and settings."""
