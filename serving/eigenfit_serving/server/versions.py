"""Which versions of a model are wanted: names of folders, policies, validation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from eigenfit_serving.server.status import Code, ServingError

PLATFORM = "tensorflow"

_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*", re.ASCII)
_INT64_MAX = 2**63 - 1

# model_type = TENSORFLOW, which preceded model_platform.
_TENSORFLOW_TYPE = 1


@dataclass(frozen=True)
class Latest:
    """The versions with the highest numbers.

    Attributes:
        count: How many.
    """

    count: int = 1

    def choose(self, versions: Iterable[int]) -> list[int]:
        """Chooses among versions; highest first."""
        return sorted(set(versions), reverse=True)[: self.count]


@dataclass(frozen=True)
class All:
    """Every version."""

    def choose(self, versions: Iterable[int]) -> list[int]:
        """Chooses among versions; highest first."""
        return sorted(set(versions), reverse=True)


@dataclass(frozen=True)
class Specific:
    """Versions given by number.

    Attributes:
        wanted: Their numbers.
    """

    wanted: tuple[int, ...]

    def choose(self, versions: Iterable[int]) -> list[int]:
        """Chooses among versions; highest first."""
        return sorted(set(versions) & set(self.wanted), reverse=True)


Policy = Latest | All | Specific


@dataclass(frozen=True)
class ModelSettings:
    """What is configured of one model.

    Attributes:
        name: Under which it is served.
        base_path: Folder of its versions.
        policy: Which versions are wanted.
        labels: Numbers of versions by label.
    """

    name: str
    base_path: str
    policy: Policy = Latest()
    labels: dict[str, int] = field(default_factory=dict)


def parse_version(name: str) -> int | None:
    """Reads the number that a version folder is named by; None if it is none.

    Example:
        >>> parse_version("00000123"), parse_version("v2"), parse_version("1.tmp")
        (123, None, None)
    """
    if not _NUMBER.fullmatch(name):
        return None
    number = int(name)
    return number if 0 <= number <= _INT64_MAX else None


def read_models(config: Any) -> list[ModelSettings]:
    """Reads and checks the list of models of a `ModelServerConfig`.

    Raises:
        ServingError: With the texts of the protocol.
    """
    models: dict[str, ModelSettings] = {}
    for entry in config.model_config_list.config:
        if entry.name in models:
            raise _invalid(
                f"Illegal to list model {entry.name} multiple times in config list"
            )
        models[entry.name] = _read_model(entry)
    for model in models.values():
        if not _is_absolute(model.base_path):
            raise _invalid(
                f"Expected model {model.name} to have an absolute path or URI; got "
                f"base_path()={model.base_path}"
            )
    return list(models.values())


def platform_of(entry: Any) -> str:
    """Reads the platform of a `ModelConfig`.

    Raises:
        ServingError: INVALID_ARGUMENT, if there is none or two.
    """
    if entry.model_type and entry.model_platform:
        raise _invalid(
            "Illegal to set both ModelServerConfig::model_type(deprecated) and "
            "ModelServerConfig::model_platform."
        )
    if entry.model_platform:
        return entry.model_platform
    if entry.model_type == _TENSORFLOW_TYPE:
        return PLATFORM
    if entry.model_type:
        raise _invalid(
            f"ModelServerConfig::model_type choice {entry.model_type} not supported."
        )
    raise _invalid(
        "Illegal setting neither ModelServerConfig::model_type(deprecated) nor "
        "ModelServerConfig::model_platform."
    )


def check_platforms(config: Any) -> None:
    """Checks that all models are TensorFlow's.

    Raises:
        ServingError: INVALID_ARGUMENT or FAILED_PRECONDITION.
    """
    for entry in config.model_config_list.config:
        platform = platform_of(entry)
        if platform != PLATFORM:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"PlatformConfigMap has no entry for platform {platform}",
            )


def check_platforms_kept(old: Any, new: Any) -> None:
    """Checks that no model of two configurations changes its platform.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    before = {entry.name: platform_of(entry) for entry in old.model_config_list.config}
    for entry in new.model_config_list.config:
        platform = platform_of(entry)
        was = before.get(entry.name, platform)
        if platform != was:
            raise _invalid(
                f"Illegal to change a model's platform. For model {entry.name} "
                f"platform was {was} and new platform requested is {platform}"
            )


def _read_model(entry: Any) -> ModelSettings:
    return ModelSettings(
        entry.name, entry.base_path, _read_policy(entry), dict(entry.version_labels)
    )


def _read_policy(entry: Any) -> Policy:
    policy = entry.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return All()
    if choice == "specific":
        return Specific(tuple(policy.specific.versions))
    # Zero means the default, as in TensorFlow Serving.
    return Latest(policy.latest.num_versions or 1 if choice == "latest" else 1)


def _is_absolute(path: str) -> bool:
    return "://" in path or PurePosixPath(path).is_absolute()


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
