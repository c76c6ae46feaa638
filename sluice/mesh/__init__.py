"""Being a gRPC service: the same for all three."""
