"""An engine for tests, and what stands for one."""

import os

# What the library would do at each fork, in a process that speaks gRPC from several threads, ended children of
# tests with SIGABRT now and then. It is read when the library is loaded, which is after this.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
