"""Which steps of a build will run, and why: asked before it begins, of all who can say it.

Nothing is run and nothing is downloaded.  What nobody says in time is told as not known: a step
that depends on it is neither foretold to run nor to come from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from dynbuild.addresses import public
from dynbuild.build import causes, resolution, snapshot
from dynbuild.build.causes import Explanation
from dynbuild.build.context import ContextRecord
from dynbuild.build.resolution import SOON, Asking, Name
from dynbuild.build.result import BuilderResult
from dynbuild.build.snapshot import UNKNOWN, Outlook, Snapshot
from dynbuild.engine import usage
from dynbuild.errors import NotReady
from dynbuild.plan.document import ImagePlan
from dynbuild.plan.job import Job
from dynbuild.render import bake, graph
from dynbuild.render.graph import Graph, Pins

Kept = tuple[tuple[str, ...] | None, tuple[str, ...]]
"""What made each entry of a builder's cache, else ``None``; and what is not known of it."""


def of(
    job: Job,
    texts: Mapping[str, str],
    before: Snapshot,
    asking: Asking,
    *,
    taken: Callable[[], ContextRecord],
    kept: Callable[[], Kept],
) -> Explanation:
    """Which steps of *job* will run, and why, beside the build *before*.

    Args:
        job: What would be built.
        texts: Text of the Dockerfile of each image.
        before: The build to compare with.
        asking: Who says what lies outside of the tree.
        taken: Tells what would be taken from build contexts.
        kept: Tells what the builder has, as ``kept_by`` does.

    Raises:
        ValueError: An ignore file is malformed.
    """
    found = asking.builder
    with ThreadPoolExecutor(1) as pool:
        imports = pool.submit(_imports, job, asking)
        files = taken()
        after = Snapshot(id="", plan=job.plan, texts=texts, files=files)
        names, unpinned = _names(after, before, files)
        moved = asking.moved(names, before.begun)
        entries, untold = kept()
        outlook = Outlook(
            kept=entries,
            absent=imports.result(),
            names={name: why for (name, _), why in moved.unknown.items()},
            untold=(*untold, *unpinned),
        )
    engine = before.network if before.plan.network == "default" else "bridge"
    network = bake.network_of(job.plan, found.network if found else engine)
    pins = {**moved.pins, **dict.fromkeys(moved.unknown, UNKNOWN)}
    builder = BuilderResult.of(found) if found else None
    after = replace(after, network=network, builder=builder, pins=pins, outlook=outlook)
    return causes.explain(before, after)


def kept_by(asking: Asking) -> Kept:
    """What made each entry of the builder's cache; else that nobody says it."""
    question = "whether the builder still has what it had"
    if asking.builder is None:
        return None, (f"{question}: no engine answers",)
    try:
        return usage.made_by(asking.builder, asking.env, SOON), ()
    except NotReady as error:
        return None, (f"{question}: {error.message}",)


def _imports(job: Job, asking: Asking) -> dict[str, str]:
    """What is said of the caches that would be imported and are not there."""
    found = {}
    for one in dict.fromkeys(one for image in job.plan.images for one in image.cache_from):
        try:
            said = asking.absent(one)
        except NotReady:
            continue
        if said:
            found[one] = public(said)
    return found


def _names(
    after: Snapshot, before: Snapshot, files: ContextRecord
) -> tuple[dict[Name, str], tuple[str, ...]]:
    """What the names that *after* has stood for in *before*; what is not known of that.

    A name that the earlier build had not makes a step another one by itself.
    """

    def graph_of(image: ImagePlan, pins: Pins) -> Graph:
        plan = snapshot.without_folders(image, files)
        return graph.of(plan, after.texts[image.name], pins=pins)

    stood = snapshot.every_name(before.pins)
    wanted = {
        name
        for image in after.plan.images
        for name in resolution.open_names(partial(graph_of, image))
    }
    told = {name: stood[name] for name in sorted(wanted) if name in stood}
    if wanted and not before.pins:
        return told, (f"what names of images and refs stood for: {before.id} does not say it",)
    return told, ()
