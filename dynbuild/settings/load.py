"""Read the catalog and its overlays, lay the environment and flags over them.

What it returns is complete and checked:
a ``Catalog`` and, for every leaf, where its value came from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dynbuild import names, paths
from dynbuild.errors import TemplateError
from dynbuild.quick import dataclass
from dynbuild.settings import environment, files, layers, lines, models, problems, validation
from dynbuild.settings.layers import Layer, Origin, Setting
from dynbuild.settings.models import Catalog

OVERLAY_NAME = "dynbuild.toml"
"""The overlay that is taken from the build context without being asked for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The combined settings.

    Attributes:
        catalog: The values, typed and checked.
        origins: For the path of every leaf, where its value came from.
        layers: The layers in order, lowest first.
        default_line: The release line of the catalog itself.
        tree_file: The settings file of the source tree itself, if it was taken unasked.
    """

    catalog: Catalog
    origins: Mapping[layers.KeyPath, Origin]
    layers: tuple[Layer, ...]
    default_line: str
    tree_file: Path | None = None

    def lowest(self, *path: str) -> Any:
        """What the catalog itself says at *path*, before anything was laid over it."""
        setting = self.layers[0].get(path)
        return None if setting is None else setting.value

    def origin(self, *path: str) -> Origin:
        """Where the leaf at *path* came from; a default of the model has no layer."""
        return self.origins.get(path, Origin("catalog", "default"))


def templates_dir(override: str | None = None) -> Path:
    """The folder of the catalog and the templates: *override*, else those of dynbuild.

    Raises:
        TemplateError: *override* is not a folder.
    """
    if override:
        path = paths.expanded(override, origin="templates")
        if not path.is_dir():
            raise TemplateError(
                f"the template folder {path} does not exist",
                hint="--templates names a folder shaped like dynbuild's own templates/",
            )
        return path
    return files.own()


def own_file(context: Path, given: Iterable[Path]) -> Path | None:
    """The settings file that a source tree has itself, unless it is among those *given*."""
    own = context / OVERLAY_NAME
    if not own.is_file() or any(file.is_file() and file.samefile(own) for file in given):
        return None
    return own


def load(
    *,
    templates: Path,
    overlays: Sequence[Path],
    env: Mapping[str, str],
    flags: Layer,
    tree_file: Path | None = None,
    cache: Path | None = None,
    context: Path | None = None,
) -> Settings:
    """Combine all layers and check the result, for the one release line that they say.

    Args:
        templates: The folder with ``catalog.toml``.
        overlays: Settings files, lowest first.
        env: The environment; only ``DYNBUILD_…`` variables are looked at.
        flags: What the command line says.
        tree_file: The settings file of the source tree itself, lower than *overlays*.
        cache: Where the catalog's values are kept once it is parsed.
        context: The source tree, whose version chooses the line where nothing else does.

    Raises:
        TemplateError: There is no catalog in *templates*.
        RequestError: A file is malformed, a key unknown, a value of the wrong type. All
            problems are reported at once.
    """
    found = Lines(
        templates=templates,
        overlays=overlays,
        env=env,
        flags=flags,
        tree_file=tree_file,
        cache=cache,
        context=context,
    )
    return found.of(found.said)


def with_layer(settings: Settings, layer: Layer) -> Settings:
    """*settings* with a layer more, above all files.

    Raises:
        RequestError: A key of it is unknown, or a value of the wrong type.
    """
    *below, env, flags = settings.layers
    stack = (*below, layer, env, flags)
    return _combined(stack, settings.default_line, settings.tree_file)


class Lines(Mapping[str, Settings]):
    """The settings of every release line, each combined when it is asked for.

    Attributes:
        said: What the layers say of the line, or of several, and where.
        chosen: The lines of the request.
        why: Why it is this line, where nobody says it and it is not the catalog's own.
    """

    def __init__(
        self,
        *,
        templates: Path,
        overlays: Sequence[Path],
        env: Mapping[str, str],
        flags: Layer,
        tree_file: Path | None = None,
        cache: Path | None = None,
        context: Path | None = None,
        builds: bool = False,
    ) -> None:
        """Read the files, once for all lines, and find out which lines there are.

        The arguments are those of ``load``, and *builds*: something is to be built, which without
        a source tree takes a line with published wheels.
        """
        self._templates, self._cache, self._tree_file = templates, cache, tree_file
        self._base, self._above = _files(templates, _ordered(tree_file, overlays), cache)
        self._env, self._flags = env, flags
        self._own = str(self._base[lines.KEY].value)
        known = lines.known(templates, env)
        self._known = (self._own, *(line for line in known if line != self._own))
        said = (*self._above, lines.of_environment(env), flags)
        derived: Layer = {}
        if builds and context and not lines.is_tree(context):
            derived = lines.without_tree(self._base, said, templates, cache, env=env)
        elif context:
            derived = lines.of_tree(context, templates, self._base, env)
        self.said = layers.resolve((self._base, derived, *said)).get(
            lines.KEY, self._base[lines.KEY]
        )
        self.chosen = names.items(str(self.said.value)) or (self._own,)
        nobody = self.said.origin.layer == "derived"
        self.why = self.said.origin.source if nobody else ""
        self._combined: dict[str, Settings] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, line: str) -> Settings:
        """The settings of a line.

        Raises:
            RequestError: There is no such line, or the settings are wrong.
        """
        return self.of(Setting(line, self.said.origin))

    def of(self, said: Setting) -> Settings:
        """The settings of the line that somebody *said*.

        Raises:
            RequestError: There is no such line, or the settings are wrong.
        """
        line = str(said.value)
        if line not in self._combined:
            base = lines.with_line(self._base, said, self._templates, self._cache, env=self._env)
            args = _keys_below(base, "args") | models.PASSED_THROUGH
            every = (base, *self._above, environment.layer(self._env, args), self._flags)
            stack = tuple(lines.override(layer, line) for layer in every)
            self._combined[line] = _combined(stack, self._own, self._tree_file, self._cache)
        return self._combined[line]


def _ordered(tree_file: Path | None, overlays: Sequence[Path]) -> Sequence[Path]:
    """All settings files, lowest first."""
    return overlays if tree_file is None else (tree_file, *overlays)


def _files(
    templates: Path, overlays: Iterable[Path], cache: Path | None
) -> tuple[Layer, list[Layer]]:
    """The catalog's layer, and those of the settings files."""
    catalog_file = templates / "catalog.toml"
    if not catalog_file.is_file():
        raise TemplateError(
            f"there is no catalog at {catalog_file}",
            hint="a template folder needs its own catalog.toml; copy dynbuild's to start from",
        )
    above = [files.read(path, "overlay") for path in overlays]
    return files.read(catalog_file, "catalog", cache), above


def _combined(
    stack: tuple[Layer, ...], default_line: str, tree_file: Path | None, cache: Path | None = None
) -> Settings:
    """The layers of a release line as one checked catalog."""
    known = {table: _keys_below(stack[0], table) for table in models.CLOSED_TABLES}
    known["args"] |= models.PASSED_THROUGH
    resolved = layers.resolve(stack)
    unknown = dict(problems.unknown_keys(resolved, known))
    wrong = [*unknown.values(), *problems.nul_characters(resolved)]
    # What is unknown is said once; the rest is looked at all the same.
    kept = {
        path: setting
        for path, setting in resolved.items()
        if not any(path[: len(bad)] == bad for bad in unknown)
    }
    try:
        catalog = validation.checked(
            layers.nest({path: setting.value for path, setting in kept.items()}), cache
        )
    except ValueError as error:
        wrong += problems.wrong_types(error, kept)
    else:
        wrong += problems.unknown_references(catalog, kept)
        if not wrong:
            origins = {path: setting.origin for path, setting in resolved.items()}
            return Settings(catalog, origins, stack, default_line, tree_file)
    raise problems.as_error(wrong)


def args_of(settings: Settings, framework: str, device: str, cuda: str) -> dict[str, Setting]:
    """Every build argument as it stands for one image, with its origin.

    Each layer is folded from the general to the special scope, and the layers in their
    order, so that an overlay's ``[args]`` wins over the catalog's per-framework value.
    """
    scopes = (
        ("args",),
        ("frameworks", framework, "args"),
        ("frameworks", framework, "devices", device, "args"),
        ("frameworks", framework, "devices", device, "cuda", cuda),
    )
    result: dict[str, Setting] = {}
    for layer in settings.layers:
        for scope in scopes:
            for path, setting in layer.items():
                if path[:-1] == scope:
                    result[path[-1]] = setting
    return result


def _keys_below(layer: Layer, table: str) -> frozenset[str]:
    return frozenset(path[1] for path in layer if path[0] == table and len(path) > 1)
