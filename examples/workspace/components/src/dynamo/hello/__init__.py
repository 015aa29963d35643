"""Says which wheels are installed and what they compute.

``dynamo`` itself has no ``__init__.py``: the wheels of ai-dynamo and ai-dynamo-runtime share it.
"""

from __future__ import annotations

from importlib import metadata
from typing import Any

from dynamo import runtime

try:
    from dynamo.hello._build import COMMIT
except ImportError:  # an editable install has no build step that could write it
    COMMIT = "unknown"


def report(text: str, block_size: int = 4) -> dict[str, Any]:
    """Describe the installation and hash a text.

    Args:
        text: Its UTF-8 bytes are taken as tokens.
        block_size: Tokens to a block; only whole blocks are hashed.

    Returns:
        Versions, commit, features of the Rust build, and the chained hashes of the blocks.
    """
    hashes = runtime.block_hashes(list(text.encode()), block_size)
    return {
        "ai-dynamo": metadata.version("ai-dynamo"),
        "ai-dynamo-runtime": runtime.version(),
        "commit": COMMIT,
        "features": list(runtime.features()),
        "blocks": [f"{value:016x}" for value in hashes],
    }
