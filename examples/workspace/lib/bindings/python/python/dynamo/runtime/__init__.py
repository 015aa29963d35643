"""The Rust core of the tree."""

from dynamo._core import block_hashes, features, pick_worker, version

__all__ = ["block_hashes", "features", "pick_worker", "version"]
