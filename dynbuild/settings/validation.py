"""The combined settings as a catalog, checked by pydantic, or as they were for the same values."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from dynbuild import disk_cache
from dynbuild.checked import adapter
from dynbuild.settings.models import Catalog

_CODE = (
    Path(__file__).parent,
    *(Path(__file__).parent.parent / name for name in ("checked.py", "quick.py")),
)
"""Where what settings may be is decided."""


def checked(values: Mapping[str, Any], cache: Path | None) -> Catalog:
    """The catalog of *values*, which is kept as it is found right.

    Args:
        values: The settings as a tree.
        cache: The folder where catalogs are kept; ``None``: nowhere.

    Raises:
        ValueError: pydantic's, with all that is wrong.
    """
    try:
        text = repr(values).encode()
    except ValueError:  # a number with more digits than are written
        return _checked(values)
    if cache is None:
        return _checked(values)
    made_of = hashlib.sha256(text + disk_cache.code(*_CODE)).hexdigest()
    # Two digits: so many catalogs are kept at most, and each is some ten thousand bytes.
    file = cache / f"catalog-{made_of[:2]}.pickle"
    kept = disk_cache.kept(file, made_of, lambda: pickle.dumps(_checked(values)))
    # Its folder is the user's own, as are the compiled modules of Python beside it.
    return cast("Catalog", pickle.loads(kept))  # noqa: S301


def _checked(values: Mapping[str, Any]) -> Catalog:
    catalog: Catalog = adapter(Catalog).validate_python(values)
    return catalog
