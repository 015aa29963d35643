"""``python -m tests.fuzz``: try many inputs, and say what they showed."""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import os
import sys
import tempfile
from pathlib import Path

from tests.fuzz.trying import KINDS, SHARES, bench


def _parsed():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many inputs")
    parser.add_argument("--seed", type=int, default=1, help="number of the first input")
    parser.add_argument("--kind", choices=tuple(KINDS), help="of this kind only")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at once")
    return parser.parse_args()


def numbers(count, seed, kind):
    """The kinds and numbers of the inputs, kinds in their shares."""
    if kind:
        return [(kind, seed + number) for number in range(count)]
    whole = sum(SHARES.values())
    order = [one for one, share in SHARES.items() for _ in range(share)]
    # A step that has no divisor in common with the whole mixes the kinds.
    return [(order[number * 37 % whole], seed + number) for number in range(count)]


def tried(inputs):
    """What *inputs* showed, and how many of each kind there were."""
    counts = collections.Counter()
    found = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, bench(Path(folder)) as trying:
        for kind, number in inputs:
            counts[kind] += 1
            finding = trying.attempt(kind, number)
            if finding is not None:
                found.append(finding)
                print(finding, file=sys.stderr, flush=True)
    return counts, found


def main():
    """Try them, in as many processes as there are processors; 1 where something was found."""
    asked = _parsed()
    inputs = numbers(asked.count, asked.seed, asked.kind)
    jobs = max(1, min(asked.jobs or 1, asked.count))
    counts, found = collections.Counter(), []
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for own, shown in pool.map(tried, [inputs[job::jobs] for job in range(jobs)]):
            counts += own
            found += shown
    print(f"{counts.total()} inputs, {len(found)} findings: {dict(counts)}")
    if found:
        print("again: python -m tests.fuzz --jobs 1 --count 1 --kind KIND --seed NUMBER")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
