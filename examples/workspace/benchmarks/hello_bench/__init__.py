"""``hello-bench``: how many tokens a second the Rust core hashes."""

from __future__ import annotations

import time

from dynamo.runtime import block_hashes


def main() -> None:
    """Hash a million tokens and print the rate."""
    tokens = list(range(1_000_000))
    begin = time.perf_counter()
    block_hashes(tokens, 64)
    print(f"{len(tokens) / (time.perf_counter() - begin):.3g} tokens/s")
