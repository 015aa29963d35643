"""Whether the tags of a push are another image's already, as the registry says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from dynbuild.build import backoff, failure
from dynbuild.build.backoff import OnRetry
from dynbuild.engine import registry
from dynbuild.engine.builder import Builder
from dynbuild.engine.registry import Answer
from dynbuild.errors import NotReady, RequestError
from dynbuild.image_id import LABEL
from dynbuild.plan.document import PlanDocument

_AT_ONCE = 8
# What a registry says of what it does not have; of a repository that is not there, some refuse.
_ABSENT = re.compile(
    r"not found|manifest unknown|name unknown|does not exist|\b404\b", re.IGNORECASE
)


def check_tags(
    builder: Builder, env: Mapping[str, str], plan: PlanDocument, on_retry: OnRetry
) -> dict[str, Answer]:
    """Raise if a tag that is to be pushed carries another image of dynbuild's.

    Args:
        builder: Who pushes.
        env: The caller's environment.
        plan: What is pushed.
        on_retry: Told of what is asked again.

    Returns:
        What the registry says of each tag that was looked at.

    Raises:
        RequestError: One does; all such are told.
        NotReady: The registry does not answer.
    """
    return check(
        builder,
        env,
        [
            (image.name, tag)
            for image in plan.images
            if image.output == "push" and not image.retag
            for tag in image.tags
        ],
        on_retry,
    )


def check(
    builder: Builder, env: Mapping[str, str], pushed: Sequence[tuple[str, str]], on_retry: OnRetry
) -> dict[str, Answer]:
    """``check_tags`` for the ids of images, each with a tag that it is to get.

    Raises:
        RequestError: A tag is another image's; all such are told.
        NotReady: The registry does not answer.
    """
    if not pushed:
        return {}

    def ask(tag: str) -> Answer:
        return backoff.inspect(lambda: registry.inspect(builder, env, tag), tag, on_retry)

    tags = [tag for _, tag in pushed]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = dict(zip(tags, pool.map(ask, tags), strict=True))
    taken = [
        f"{tag} is {owner}, and would become {name}"
        for name, tag in pushed
        for owner in sorted(_owners(tag, answers[tag]) - {name})
    ]
    if taken:
        first, *more = taken
        raise RequestError(
            f"a tag is another image's: {first}",
            details=tuple(more),
            hint="another --repository or --tag keeps both; --retag moves the tag",
        )
    return answers


def _owners(tag: str, answer: Answer) -> set[str]:
    """The ids of dynbuild's images that *tag* stands for; none where it is not there.

    Raises:
        NotReady: The registry does not answer.
    """
    words = answer.refusal
    if not words:
        return set(registry.labels(answer.images, LABEL))
    known = failure.recognise(words)
    # Who may not read may push all the same; the push itself is refused where it is.
    if _ABSENT.search(words) or (known and known.kind == "auth"):
        return set()
    raise NotReady(
        f"the registry does not say whether {tag} is another image's",
        hint=(known.hint if known else "") or "--retag pushes without asking it",
        details=tuple(words.splitlines()[-3:]),
    )
