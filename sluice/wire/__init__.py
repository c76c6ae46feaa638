"""HTTP messages as values, to protobuf and back. No I/O."""
