"""The three services of the mesh. None imports another."""
