"""The options that say how a matrix is run: those of ``matrix`` beside those of ``build``."""

from __future__ import annotations

from dynbuild.settings.option import Option

RUNNING = "How it runs"

BUILDER = Option(
    name="builder",
    flags=("--builder",),
    help="The buildx builder that solves it; BUILDX_BUILDER names one too.",
    panel=RUNNING,
    metavar="NAME",
)
NO_TESTS = Option(
    name="no_tests",
    kind="switch",
    switches=(("--no-tests", True),),
    help="Run no test in the images before their tags move.",
    panel=RUNNING,
)
"""``BUILDER`` and ``NO_TESTS`` are options of ``matrix`` and of ``build``."""

MATRIX_RUN = (
    BUILDER,
    Option(
        name="shard",
        flags=("--shard",),
        help="The second of three parts is 2/3: cells that share their work stay together.",
        panel=RUNNING,
        metavar="PART",
        default="all",
    ),
    Option(
        name="if_changed",
        kind="switch",
        switches=(("--if-changed", True),),
        help="With --push: build no cell of which a tag has its content already.",
        panel=RUNNING,
    ),
    Option(
        name="jobs",
        flags=("--jobs", "-j"),
        help="Solves at once (default 24).",
        panel=RUNNING,
        metavar="NUMBER",
        default="24",
    ),
    Option(
        name="fail_fast",
        kind="switch",
        switches=(("--fail-fast", True),),
        help="End with the first cell that fails.",
        panel=RUNNING,
    ),
    Option(
        name="timeout",
        flags=("--timeout",),
        help="For each cell, such as 90m; without one it has all the time it needs.",
        panel=RUNNING,
        metavar="TIME",
        default="none",
    ),
    Option(
        name="retries",
        flags=("--retries",),
        help="Tries more where a server or the network failed (default 2).",
        panel=RUNNING,
        metavar="NUMBER",
        default="2",
    ),
    Option(
        name="tag_when",
        flags=("--tag-when",),
        choices=("all", "each"),
        help="With --push: tags move when all cells are there, or each cell's when it is.",
        panel=RUNNING,
        default="all",
    ),
    NO_TESTS,
    Option(
        name="resume",
        flags=("--resume",),
        help="Go on with that run of a matrix; 'last' is the last one.",
        panel=RUNNING,
        metavar="ID",
        words=("last",),
    ),
    Option(
        name="junit",
        flags=("--junit",),
        help="Write the result as JUnit's XML: each cell is a case.",
        panel=RUNNING,
        metavar="FILE",
        source="file",
    ),
    Option(
        name="summary",
        flags=("--summary",),
        help="Write it as Markdown; $GITHUB_STEP_SUMMARY is taken by itself.",
        panel=RUNNING,
        metavar="FILE",
        source="file",
    ),
)
"""The options of ``matrix`` that no other command has."""
