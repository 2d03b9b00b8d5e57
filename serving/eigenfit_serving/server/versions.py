"""Which versions of a model are wanted: names of folders, policies, validation."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from eigenfit_serving.protocol.status import Code, ServingError, invalid

PLATFORM = "tensorflow"

# Python refuses to convert thousands of digits, even if they are zeros.
_NUMBER = re.compile(r"\s*([+-]?)0*([0-9]{1,19})\s*", re.ASCII)
_INT64_MAX = 2**63 - 1

# model_type = TENSORFLOW, which preceded model_platform.
_TENSORFLOW_TYPE = 1


@dataclass(frozen=True)
class ModelSettings:
    """The configuration of one model.

    Attributes:
        name: Name under which it is served.
        base_path: Folder of its versions.
        count: How many of the highest versions are wanted; None for all.
        only: Versions that may be wanted; None for any.
        labels: Numbers of versions by label.
    """

    name: str
    base_path: str
    count: int | None = 1
    only: frozenset[int] | None = None
    labels: dict[str, int] = field(default_factory=dict)

    def choose(self, versions: Iterable[int]) -> list[int]:
        """Chooses the versions that are wanted, highest first.

        Example:
            >>> ModelSettings("m", "/m", count=2).choose([7, 1, 5])
            [7, 5]
        """
        found = set(versions) if self.only is None else self.only.intersection(versions)
        return sorted(found, reverse=True)[: self.count]


def parse_version(name: str) -> int | None:
    """Parses the number of a version; None if it is none of 63 bits.

    Example:
        >>> parse_version("00000123"), parse_version("v2"), parse_version("1.tmp")
        (123, None, None)
    """
    match = _NUMBER.fullmatch(name)
    number = int("".join(match.groups())) if match is not None else -1
    return number if 0 <= number <= _INT64_MAX else None


def read_models(config: Any, known: Collection[str] = ()) -> list[ModelSettings]:
    """Reads and checks the list of models of a `ModelServerConfig`.

    Those with a name that is known must keep their platform.

    Raises:
        ServingError: With the texts of the protocol.
    """
    entries = config.model_config_list.config
    models: dict[str, ModelSettings] = {}
    for entry in entries:
        if entry.name in models:
            raise invalid(
                f"Illegal to list model {entry.name} multiple times in config list"
            )
        models[entry.name] = _read_model(entry)
    for model in models.values():
        if "://" not in model.base_path and not model.base_path.startswith("/"):
            raise invalid(
                f"Expected model {model.name} to have an absolute path or URI; got "
                f"base_path()={model.base_path}"
            )
    for entry in entries:
        platform = _platform_of(entry)
        if platform == PLATFORM:
            continue
        if entry.name in known:
            raise invalid(
                "Illegal to change a model's platform. For model "
                f"{entry.name} platform was {PLATFORM} and new platform requested is "
                f"{platform}"
            )
        text = f"PlatformConfigMap has no entry for platform {platform}"
        raise ServingError(Code.FAILED_PRECONDITION, text)
    return list(models.values())


def _read_model(entry: Any) -> ModelSettings:
    policy, only = entry.model_version_policy, None
    choice = policy.WhichOneof("policy_choice")
    # No number means the default, as in TensorFlow Serving.
    count = None if choice in ("all", "specific") else policy.latest.num_versions or 1
    if choice == "specific":
        only = frozenset(policy.specific.versions)
    labels = dict(entry.version_labels)
    return ModelSettings(entry.name, entry.base_path, count, only, labels)


def _platform_of(entry: Any) -> str:
    old = "ModelServerConfig::model_type(deprecated)"
    new = "ModelServerConfig::model_platform"
    if entry.model_type and entry.model_platform:
        raise invalid(f"Illegal to set both {old} and {new}.")
    if entry.model_platform:
        return entry.model_platform
    if entry.model_type == _TENSORFLOW_TYPE:
        return PLATFORM
    fault = f"Illegal setting neither {old} nor {new}."
    if entry.model_type:
        kind = entry.model_type
        fault = f"ModelServerConfig::model_type choice {kind} not supported."
    raise invalid(fault)
