"""The benchmark: the mesh beside the same Workers in one plain workerd process."""
