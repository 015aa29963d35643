"""The packet filter's rules that one private engine's network lives on.

A Docker that starts later, or a firewall that is loaded anew, empties chains which all engines
share.  So the rules are saved when the engine starts, and what is gone later is known exactly,
whatever the version of the engine makes of them.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise

from dynbuild import proc
from dynbuild.engine import packages

_PROGRAMS = ("iptables", "ip6tables")
_BUILT_IN = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
# A container's own rules come and go with it.
_OF_CONTAINER = re.compile(r" -d \S+/(?:32|128) ")


def rules(bridge: str) -> tuple[str, ...]:
    """The rules that name *bridge*, and those that lead there, as ``PROGRAM TABLE RULE``."""
    return tuple(
        f"{program} {table} {rule}"
        for program, text in _saved()
        for table, chains in _tables(text).items()
        for rule in _about(bridge, chains)
        if not _OF_CONTAINER.search(f"{rule} ")
    )


def restore(gone: Sequence[str]) -> None:
    """Put back rules that are *gone*, as ``rules`` had them; the others stay where they are.

    Raises:
        ToolFailed: The packet filter refuses them.
    """
    saved = dict(_saved())
    for program, lines in groupby(gone, key=lambda rule: rule.split(" ", 1)[0]):
        tables = _tables(saved.get(program, ""))
        text: list[str] = []
        split = (line.split(" ", 2)[1:] for line in lines)
        for table, rows in groupby(split, key=lambda row: row[0]):
            there = tables.get(table, {})
            own = [rule for _, rule in rows]
            # Naming a chain that is there would empty it.
            chains = dict.fromkeys(chain for rule in own for chain in _chains(rule))
            new = [f":{chain} - [0:0]" for chain in chains if chain not in there]
            text += [f"*{table}", *new, *map(_placed, own), "COMMIT"]
        _restore(program, text)


def remove(bridge: str) -> None:
    """Remove the rules that name *bridge*; everything else stays.

    The engine leaves them behind.  The one that hides a subnet behind the machine's
    address would spoil the traffic of another engine that takes that subnet later.
    """
    for program, text in _saved():
        changes = []
        for line in text.splitlines():
            if line.startswith("-A ") and bridge in line.split():
                changes.append(line.replace("-A", "-D", 1))
            elif line.startswith("*") or line == "COMMIT":
                changes.append(line)
        if any(change.startswith("-D") for change in changes):
            _restore(program, changes)


def _saved() -> Iterable[tuple[str, str]]:
    """What each program says of its rules; nothing of one that this machine lacks."""
    env = {"PATH": packages.search_path({})}
    for program in _PROGRAMS:
        if shutil.which(f"{program}-save", path=env["PATH"]):
            yield program, proc.run((f"{program}-save",), env=env, check=False).stdout


def _restore(program: str, lines: Sequence[str]) -> None:
    env = {"PATH": packages.search_path({})}
    text = "\n".join((*lines, ""))
    proc.run((f"{program}-restore", "--noflush", "--wait"), input=text, env=env)


def _tables(text: str) -> dict[str, dict[str, list[str]]]:
    """The rules of each chain of each table."""
    tables: dict[str, dict[str, list[str]]] = {}
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:], {})
        elif line.startswith(":"):
            chains[line[1:].split()[0]] = []
        elif line.startswith("-A "):
            chains.setdefault(line.split()[1], []).append(line)
    return tables


def _about(bridge: str, chains: dict[str, list[str]]) -> list[str]:
    """The rules that name *bridge*, and the jumps on the way to them."""
    every = [rule for rules in chains.values() for rule in rules]
    found = {rule for rule in every if bridge in rule.split()}
    while True:
        reached = {rule.split()[1] for rule in found}
        more = {rule for rule in every if reached & set(_chains(rule)[1:])} - found
        if not more:
            return [rule for rule in every if rule in found]
        found |= more


def _chains(rule: str) -> tuple[str, ...]:
    """The chain that *rule* is in, and the one of the engine that it jumps to."""
    words = rule.split()
    target = next((b for a, b in pairwise(words) if a in ("-j", "-g")), "")
    return (words[1], *((target,) if target.startswith("DOCKER") else ()))


def _placed(rule: str) -> str:
    """*rule* as it is put back: before what others have in a built-in chain, as Docker does."""
    return rule.replace("-A", "-I", 1) if rule.split()[1] in _BUILT_IN else rule
