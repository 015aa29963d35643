"""The shell script that leads what a build step calls to the addresses of a site.

Its shell is in ``templates/site/``, as it is; what the settings name goes into the data of
sed, git and cargo, which this writes with quotes that nothing in them can end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dynbuild import paths
from dynbuild.errors import RequestError, TemplateError
from dynbuild.plan import mirrors
from dynbuild.settings.load import Settings
from dynbuild.settings.models import PASSED_THROUGH

FOLDER = "/run/site"
"""Where the script writes: a temporary file system of the step."""

_END = "END_OF_FILE"


def script(config: Settings, templates: Path) -> str:
    """The script for the steps of a build; empty if none is wanted.

    It puts programs of its own in front of apt-get, dnf, cargo, curl and wget, which call
    the real ones with other addresses, and gives git its own configuration.  All it writes
    is in ``FOLDER``.

    Args:
        config: The settings.
        templates: The folder with the templates; the shell is in its folder ``site``.

    Raises:
        RequestError: A setting is no address.
        TemplateError: The folder lacks a part of the script.
    """
    if not mirrors.needs_script(config.catalog):
        return ""
    mirrors.check_site(config)
    table = mirrors.table(config)
    urls = {key: str(entry.value) for key, entry in table.items() if "://" in key}
    parts = [_shell(templates, "head.sh")]
    netrc = _netrc(config)
    if netrc:
        parts += [_shell(templates, "home.sh"), _file("home/.netrc", netrc)]
        parts += [_in_front(templates, ("at_home.sh", "exec.sh"), "git")]
    if urls:
        parts += [_file("urls.sed", _sed(urls)), _file("gitconfig", _git(urls))]
        parts += [_shell(templates, "git.sh")]
    if urls or netrc:
        first = ("at_home.sh",) if netrc else ()
        last = "fetch.sh" if urls else "exec.sh"
        parts += [_in_front(templates, (*first, last), "curl", "wget")]
    parts += _lists(config, templates, urls)
    cargo = _cargo(config.catalog.site.crates_index, by_git=bool(urls or netrc))
    if cargo:
        parts += [_file("cargo.toml", cargo), _in_front(templates, ("cargo.sh",), "cargo")]
    return "".join((*parts, _shell(templates, "tail.sh")))


def _lists(config: Settings, templates: Path, urls: Mapping[str, str]) -> Iterator[str]:
    """The package sources of apt and dnf."""
    site = config.catalog.site
    # What is at the site already stays as it is.
    kept = dict(urls) | {value: value for value in (*urls.values(), *_own(config)) if value}
    apt, dnf = site.apt_mirror.rstrip("/"), site.dnf_mirror.rstrip("/")
    if apt or urls or site.netrc:
        yield _file("apt.sed", _sed(kept | ({apt: apt} if apt else {}), apt))
        yield _in_front(templates, ("apt.sh",), "apt-get", "apt")
    if dnf or urls:
        before = _shell(templates, "dnf.sed") if dnf else ""
        yield _file("dnf.sed", before + _sed(kept | ({dnf: dnf} if dnf else {}), dnf))
        yield _in_front(templates, ("dnf.sh",), "dnf")


def _git(urls: Mapping[str, str]) -> str:
    return "".join(
        f'[url "{value}{_end(key)}"]\n\tinsteadOf = {key}{_end(key)}\n'
        for key, value in urls.items()
    )


def _netrc(config: Settings) -> str:
    """The logins of the site.

    Raises:
        RequestError: The file cannot be read, or is no text.
    """
    path = config.catalog.site.netrc
    if not path:
        return ""
    try:
        text = paths.content(Path(path)).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(
            f"site.netrc cannot be read: {path}",
            origin=str(config.origin("site", "netrc")),
            hint="it names a file such as ~/.netrc",
        ) from error
    if "\0" in text or _END in text.splitlines():
        raise RequestError(
            f"site.netrc is no file of logins: {path}", origin=str(config.origin("site", "netrc"))
        )
    return f"{text.rstrip()}\n"


def _cargo(index: str, *, by_git: bool) -> str:
    text = "[net]\ngit-fetch-with-cli = true\n" if by_git else ""
    if index:
        text += '[source.crates-io]\nreplace-with = "site"\n'
        text += f'[source.site]\nregistry = "{index}"\n'
    return text


def _end(key: str) -> str:
    """What makes a prefix end at a boundary, for git."""
    return "" if key.endswith(".git") else "/"


def _own(config: Settings) -> Iterator[str]:
    """Addresses in arguments that somebody set."""
    for layer in config.layers:
        for path, setting in layer.items():
            if path[0] not in ("args", "frameworks") or path[-1] in PASSED_THROUGH:
                continue
            if setting.origin.layer != "catalog" and "://" in str(setting.value):
                yield str(setting.value).rstrip("/")


def _sed(pairs: Mapping[str, str], rest: str = "") -> str:
    """A sed program: each prefix by what replaces it, every other host by *rest*.

    Two passes, so that a replacement is never itself replaced.
    """
    ordered = sorted(pairs.items(), key=lambda pair: len(pair[0]), reverse=True)
    lines = []
    for number, (key, _) in enumerate(ordered):
        pattern = re.sub(r"([][\\.*^$+?(){}|#])", r"\\\1", key)
        lines.append(rf"s#{pattern}([^A-Za-z0-9.:_-]|$)#<site:{number}>\1#g")
    if rest:
        lines.append(rf"s#(https?|ftp)://[^/[:space:]]+#{_literal(rest)}#g")
    lines += [f"s#<site:{number}>#{_literal(value)}#g" for number, (_, value) in enumerate(ordered)]
    return "".join(f"{line}\n" for line in lines)


def _literal(text: str) -> str:
    """*text* as what sed puts in the place of a match."""
    return re.sub(r"([\\&#])", r"\\\1", text)


def _shell(templates: Path, name: str) -> str:
    path = templates / "site" / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(
            f"the template folder has no {path}",
            hint="copy the folder site/ of dynbuild's own templates",
        ) from error


def _file(name: str, text: str) -> str:
    """Shell that writes a file; *text* stays as it is."""
    assert _END not in text.splitlines()
    return f"cat > {FOLDER}/{name} <<'{_END}'\n{text}{_END}\n"


def _in_front(templates: Path, names: tuple[str, ...], *programs: str) -> str:
    """Shell that puts the program of the files *names* in front of those *programs*."""
    text = "".join(_shell(templates, name) for name in ("real.sh", *names))
    return f"{_file('shim', text)}in_front {' '.join(programs)}\n"
