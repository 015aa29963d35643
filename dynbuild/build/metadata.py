"""What bake writes down of a build (``metadata.json``): digests, and what went into it.

Read as far as it can be: a good build is not lost with a file that is cut off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, unquote

from dynbuild import masking, paths
from dynbuild.addresses import public
from dynbuild.build.record import Record
from dynbuild.build.result import Material

_PURL = re.compile(r"pkg:(?:docker|oci)/([^@?]+)(?:@([^?]*))?(?:\?(.*))?")
_HUB = re.compile(r"(?:docker\.io/)?(?:library/)?")


@dataclass(frozen=True, slots=True)
class Metadata:
    """The answers of bake by target.

    Attributes:
        targets: What it says of each target.
        damaged: Whether there is a file that cannot be read as a whole.
    """

    targets: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    damaged: bool = False

    @classmethod
    def read(cls, path: Path) -> Metadata:
        """The metadata in *path*; empty where there is no such file."""
        try:
            text = paths.regular(path).read_bytes()
        except FileNotFoundError:
            return cls()
        except OSError:
            return cls(damaged=True)
        return cls.parse(text)

    @classmethod
    def parse(cls, text: bytes) -> Metadata:
        """The metadata that *text* holds."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            return cls(damaged=True)
        targets = {name: said for name, said in document.items() if isinstance(said, dict)}
        return cls(targets)

    def digest(self, target: str) -> str:
        """Digest of what the target was exported as; empty where it is not known."""
        digest = self.targets.get(target, {}).get("containerimage.digest")
        return digest if isinstance(digest, str) else ""

    def materials(self) -> tuple[Material, ...]:
        """What went into the targets from elsewhere, each once."""
        every = (one for target in self.targets.values() for one in _materials(target))
        return tuple(dict.fromkeys(every))


def redact(record: Record) -> None:
    """Take logins out of the metadata of *record*.

    Bake writes down which proxies it was given, those of docker's own configuration among them,
    and a proxy's address may hold a password.

    Raises:
        OSError: It cannot be read, or not be written again; then it is gone.
    """
    if not record.metadata.is_file():
        return
    text = record.metadata.read_bytes()
    try:
        document: object = json.loads(text)
        kept = json.dumps(_public(document), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        kept = masking.scrub_message(text.decode(errors="replace"))
    try:
        record.write(record.metadata, kept)
    except OSError:
        record.metadata.unlink()
        raise


def _public(value: object) -> object:
    """*value*, which was JSON, with no login in any of its texts."""
    if isinstance(value, str):
        return public(value)
    if isinstance(value, list):
        return [_public(one) for one in value]
    if isinstance(value, dict):
        return {name: _public(one) for name, one in value.items()}
    return value


def _materials(target: Mapping[str, object]) -> Iterator[Material]:
    """From the provenance of a target; one of several platforms has one for each."""
    for key, provenance in target.items():
        if not key.startswith("buildx.build.provenance") or not isinstance(provenance, dict):
            continue
        # The second version of SLSA's format calls them dependencies, deeper inside.
        inner = provenance.get("buildDefinition")
        deeper = inner.get("resolvedDependencies") if isinstance(inner, dict) else None
        listed = provenance.get("materials") or deeper
        for one in listed if isinstance(listed, list) else ():
            uri, digests = (one.get("uri"), one.get("digest")) if isinstance(one, dict) else (0, 0)
            if isinstance(uri, str) and isinstance(digests, dict):
                for algorithm, value in digests.items():
                    yield Material(uri=uri, digest=f"{algorithm}:{value}")


def pins(materials: tuple[Material, ...]) -> dict[tuple[str, str], str]:
    """What *materials* say of images, by name and platform, and of addresses."""
    found: dict[tuple[str, str], str] = {}
    for one in materials:
        image = _PURL.fullmatch(one.uri)
        if image is None:
            found[one.uri, ""] = one.digest
            continue
        name, tag, more = unquote(image[1]), unquote(image[2] or ""), image[3] or ""
        platform = parse_qs(more).get("platform", [""])[0]
        found[f"{_plain(name)}:{tag or 'latest'}", platform] = one.digest
    return found


def _plain(reference: str) -> str:
    """The name of an image without what Docker Hub's may leave out."""
    return _HUB.sub("", reference, count=1)
