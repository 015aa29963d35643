"""The id of an image: what it is, in one word that names it everywhere.

``framework-target-device[cuda][+variant]``, such as ``vllm-runtime-cuda12.9``,
``none-local-dev-aws-cpu`` or ``none-runtime-cpu+1.5+index``.  The variant is what sets an
image apart from the default one of the same cell: another release line, Dynamo's wheels from
an index.  Two images of one id are the same image; everything that is named after an image
(its Dockerfile, its target for bake, its build cache, its last build) is named after the id.
"""

from __future__ import annotations

import fnmatch
import re

from dynbuild.errors import RequestError
from dynbuild.quick import dataclass, regex

AWS = "-aws"
"""Suffix of a stage, an image and a tag that has AWS's EFA user space."""
LABEL = "dynbuild.image"
"""The label with the id of an image that dynbuild built."""

_WORD = "[a-z0-9_]+"
_CUDA = r"[0-9]+(?:\.[0-9]+)*"
# A device ends in a letter, so that the digits after it are the CUDA version.
_DEVICE = "(?:[a-z0-9_]*[a-z_])"
_MARK = "[a-z0-9]+(?:[.-][a-z0-9]+)*"
_VARIANT = rf"{_MARK}(?:\+{_MARK})*"
_TARGET = f"{_WORD}(?:-{_WORD})*"
_FORM = regex(
    rf"(?P<framework>{_WORD})-(?P<target>{_TARGET})-(?P<device>{_DEVICE})(?P<cuda>{_CUDA})?"
    rf"(?:\+(?P<variant>{_VARIANT}))?"
)
_PARTS = {
    "framework": re.compile(_WORD),
    "target": re.compile(_TARGET),
    "device": re.compile(_DEVICE),
    "cuda": re.compile(f"(?:{_CUDA})?"),
    "variant": re.compile(f"(?:{_VARIANT})?"),
}


@dataclass(frozen=True, slots=True, order=True)
class ImageId:
    """One image.

    Attributes:
        framework: Such as ``vllm``.
        target: The stage that becomes the image, ``runtime`` or ``local-dev-aws``.
        device: ``cuda``, ``xpu`` or ``cpu``.
        cuda: CUDA version as in the catalog; empty on a device without.
        variant: What is not the default: the marks of ``variant_of``, joined by ``+``; empty
            for the default.

    Raises:
        RequestError: A part has a character that an id cannot have.
    """

    framework: str
    target: str
    device: str
    cuda: str = ""
    variant: str = ""

    def __post_init__(self) -> None:
        for part, pattern in _PARTS.items():
            text = getattr(self, part)
            if not pattern.fullmatch(text):
                raise RequestError(
                    f"'{text}' cannot be the {part} in the id of an image",
                    hint="it has lower-case letters and digits; a device ends in a letter, a "
                    "CUDA version has digits and dots only",
                )

    def __str__(self) -> str:
        end = f"+{self.variant}" if self.variant else ""
        return f"{self.framework}-{self.target}-{self.device}{self.cuda}{end}"

    @classmethod
    def parse(cls, text: str) -> ImageId:
        """The id that is written *text*.

        Raises:
            RequestError: It has not the form of one.
        """
        parts = _FORM.fullmatch(text)
        if parts is None:
            raise RequestError(
                f"'{text}' is no id of an image",
                hint="it is FRAMEWORK-TARGET-DEVICE[CUDA][+VARIANT]: vllm-runtime-cuda12.9",
            )
        return cls(**{part: found or "" for part, found in parts.groupdict().items()})

    def matches(self, glob: str) -> bool:
        """Whether *glob*, with ``*``, ``?`` and ``[…]``, means the id as it is written."""
        return fnmatch.fnmatchcase(str(self), glob)

    def tag_suffix(self, default_cuda: str) -> str:
        """What sets the tag of the image apart from that of its framework's default cell.

        Args:
            default_cuda: The CUDA version of that cell, whose device is cuda.
        """
        is_default = (self.device, self.cuda) == ("cuda", default_cuda)
        device = "" if is_default else f"-{self.device}{self.cuda}"
        return device + "".join(f"-{mark}" for mark in self.variant.split("+") if mark)

    def latest_tag(self, default_cuda: str) -> str:
        """The tag that moves to the newest image of the cell; dev is no part of it."""
        target = self.target.removesuffix(AWS)
        named = "" if target == "dev" else f"-{target}"
        aws = self.target.removeprefix(target)
        return f"latest-{self.framework}{named}{self.tag_suffix(default_cuda)}{aws}"

    @property
    def bake_target(self) -> str:
        """The id as the name of a bake target, which has neither a dot nor a plus sign.

        No two ids have the same: a variant has no ``_``, and no part has ``--``.
        """
        return str(self).replace(".", "_").replace("+", "--")


def variant_of(*marks: str) -> str:
    """The variant with those *marks*; empty ones are left out."""
    return "+".join(mark for mark in marks if mark)
