"""Finds the models, or the file that lists them, at a path given to `serve`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from eigenfit_serving.errors import InputError

_MODEL_FILES = ("saved_model.pb", "saved_model.pbtxt")


@dataclass(frozen=True)
class Model:
    """A model to serve.

    Attributes:
        name: Name under which it is served.
        base: Folder of its versions.
        version: Number of the only version to serve; None for the newest.
        folder: Folder of a model without a version number, which becomes version 1;
            None if `base` has version folders.
    """

    name: str
    base: Path
    version: int | None = None
    folder: Path | None = None

    def newest(self) -> tuple[Path, int]:
        """Finds the version to serve: its folder and number."""
        if self.folder is not None:
            return self.folder, 1
        found = {
            int(child.name): child
            for child in self.base.iterdir()
            if _is_version(child) and _is_saved_model(child)
        }
        version = max(found) if self.version is None else self.version
        return found[version], version


@dataclass(frozen=True)
class Models:
    """The models to serve.

    Attributes:
        models: The models, at least one.
        config: The `models.config` that lists them, if the caller gave one.
    """

    models: tuple[Model, ...]
    config: Path | None = None

    def flags(self, scratch: Path) -> list[str]:
        """Returns the flags that name the models, after writing the files they need.

        Args:
            scratch: Folder for such files; must live as long as the server.

        Returns:
            Flags of tensorflow_model_server.
        """
        if self.config is not None:
            return [f"--model_config_file={self.config}"]
        placed = [_with_version(model, scratch) for model in self.models]
        if len(placed) == 1 and placed[0].version is None:
            [model] = placed
            return [f"--model_name={model.name}", f"--model_base_path={model.base}"]
        file = scratch / "models.config"
        file.write_text(config_text(placed), encoding="utf-8")
        return [f"--model_config_file={file}"]

    def folders(self) -> list[Path]:
        """Lists the folders that the server must be able to read."""
        own = [self.config.parent] if self.config is not None else []
        return own + [model.folder or model.base for model in self.models]


def find_models(path: Path, name: str | None = None) -> Models:
    """Finds the models at a path.

    Args:
        path: A folder with version folders, one version, a folder of such models, or
            a `models.config`.
        name: Name for the only model; by default that of its folder.

    Raises:
        InputError: If there is nothing to serve.

    Example:
        >>> import tempfile
        >>> home = Path(tempfile.mkdtemp())
        >>> for version in ("a/1", "a/2", "b/7"):
        ...     (home / version).mkdir(parents=True)
        ...     (home / version / "saved_model.pb").touch()
        >>> [model.name for model in find_models(home).models]
        ['a', 'b']
        >>> find_models(home / "a" / "2").models[0].version
        2
    """
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"PATH = {path}: {str(reason).lower()}. Give the folder that eigenfit "
            f"export wrote, or a models.config."
        ) from None
    if real.is_file():
        if name is not None:
            raise InputError(
                f"PATH = {path}: names its models itself. Leave out --model-name."
            )
        return Models(_configured(path, real), real)
    single = _model_in(real, name)
    if single is not None:
        return Models((single,))
    children = sorted(child for child in real.iterdir() if child.is_dir())
    found = tuple(model for child in children if (model := _model_in(child)))
    if not found:
        raise InputError(
            f"PATH = {path}: has no model: neither saved_model.pb, nor version folders "
            f"such as {path / '1'} that hold one, nor folders of such models. Write "
            f"one: eigenfit export PROBLEM.toml {path}"
        )
    if name is None:
        return Models(found)
    if len(found) > 1:
        raise InputError(
            f"PATH = {path}: has {len(found)} models. --model-name names one only."
        )
    return Models(tuple(replace(model, name=name) for model in found))


def config_text(models: Iterable[Model]) -> str:
    """Writes a `ModelServerConfig` in the text format of protocol buffers."""
    entries = []
    for model in models:
        lines = [
            f"name: {quoted(model.name)}",
            f"base_path: {quoted(str(model.base))}",
            'model_platform: "tensorflow"',
        ]
        if model.version is not None:
            lines.append(
                f"model_version_policy {{ specific {{ versions: {model.version} }} }}"
            )
        body = "".join(f"    {line}\n" for line in lines)
        entries.append(f"  config {{\n{body}  }}\n")
    return f"model_config_list {{\n{''.join(entries)}}}\n"


def quoted(text: str) -> str:
    r"""Writes a string of the text format of protocol buffers.

    Example:
        >>> print(quoted('a "b"\n'))
        "a \"b\"\n"
    """
    return json.dumps(text, ensure_ascii=False)


def _model_in(folder: Path, name: str | None = None) -> Model | None:
    if _is_saved_model(folder):
        if _is_version(folder):
            base = folder.parent
            return Model(name or base.name or "default", base, int(folder.name))
        return Model(name or folder.name, folder, folder=folder)
    if any(_is_version(child) and _is_saved_model(child) for child in _inside(folder)):
        return Model(name or folder.name, folder)
    return None


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:  # not readable
        return []


def _is_version(folder: Path) -> bool:
    return folder.name.isascii() and folder.name.isdigit()


def _is_saved_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _MODEL_FILES)


def _with_version(model: Model, scratch: Path) -> Model:
    if model.folder is None:
        return model
    base = scratch / model.name
    base.mkdir()
    (base / "1").symlink_to(model.folder, target_is_directory=True)
    return Model(model.name, base)


def _configured(path: Path, file: Path) -> tuple[Model, ...]:
    from eigenfit_serving.protocol.messages import ModelServerConfig
    from eigenfit_serving.protocol.text import parse_text

    try:
        text = file.read_text(encoding="utf-8")
        config = parse_text(ModelServerConfig, text, str(path))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"PATH = {path}: is no models.config: {reason}") from None
    listed = config.model_config_list.config
    if not listed:
        raise InputError(f"PATH = {path}: lists no models in model_config_list.")
    return tuple(Model(entry.name, Path(entry.base_path)) for entry in listed)
