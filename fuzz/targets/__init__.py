"""What is fuzzed: a module each, with a `TARGET`."""
