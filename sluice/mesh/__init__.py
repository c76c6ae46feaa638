"""Being a gRPC service: the same for all three."""

import os

# gRPC reads it at import. Isolates are started by fork and exec, for which its handlers do nothing
# but print that they were skipped.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
