"""Namespaces, Workers and versions."""
