"""Parses the part of the proto3 language that the message tables use."""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

_TOKEN = re.compile(r"[\w.]+|[{}()<>=;,]")

_SCALARS = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in FieldDescriptorProto.Type.items()
    if name not in ("TYPE_GROUP", "TYPE_MESSAGE", "TYPE_ENUM")
}
_REPEATED = FieldDescriptorProto.LABEL_REPEATED
_OPTIONAL = FieldDescriptorProto.LABEL_OPTIONAL

Names = dict[str, bool]
"""Full names of messages (False) and enumerations (True)."""


def read_schema(
    name: str, package: str, text: str, imported: Names, dependencies: list[str]
) -> tuple[FileDescriptorProto, Names]:
    """Parses one table.

    Args:
        name: Name of the file in the pool.
        package: Package of all that the table declares.
        text: Messages, enumerations and services in the proto3 language.
        imported: Names declared by the dependencies.
        dependencies: Names of the files of the dependencies.

    Returns:
        The file, and `imported` with its own names added.
    """
    file = FileDescriptorProto(
        name=name, package=package, dependency=dependencies, syntax="proto3"
    )
    tokens = iter(_TOKEN.findall(text))
    for kind in tokens:
        if kind == "message":
            _read_message(tokens, file.message_type.add())
        elif kind == "enum":
            _read_enum(tokens, file.enum_type.add())
        else:
            _read_service(tokens, file.service.add(), package)
    names = dict(imported)
    _declare(file, package, names)
    for message in file.message_type:
        _resolve(message, f"{package}.{message.name}", names)
    return file, names


def _read_message(tokens: Iterator[str], message: DescriptorProto) -> None:
    message.name = next(tokens)
    _expect(tokens, "{")
    while (word := next(tokens)) != "}":
        if word == "message":
            _read_message(tokens, message.nested_type.add())
        elif word == "enum":
            _read_enum(tokens, message.enum_type.add())
        elif word == "oneof":
            index = len(message.oneof_decl)
            message.oneof_decl.add(name=next(tokens))
            _expect(tokens, "{")
            while (kind := next(tokens)) != "}":
                _read_field(tokens, message, kind).oneof_index = index
        elif word == "map":
            _read_map(tokens, message)
        elif word == "repeated":
            _read_field(tokens, message, next(tokens)).label = _REPEATED
        else:
            _read_field(tokens, message, word)


def _read_field(
    tokens: Iterator[str], message: DescriptorProto, kind: str
) -> FieldDescriptorProto:
    field = message.field.add(name=next(tokens), label=_OPTIONAL)
    _set_type(field, kind)
    _expect(tokens, "=")
    field.number = int(next(tokens))
    _expect(tokens, ";")
    return field


def _read_map(tokens: Iterator[str], message: DescriptorProto) -> None:
    _expect(tokens, "<")
    key = next(tokens)
    _expect(tokens, ",")
    value = next(tokens)
    _expect(tokens, ">")
    field = _read_field(tokens, message, "string")
    words = field.name.split("_")
    entry = message.nested_type.add(name="".join(map(str.capitalize, words)) + "Entry")
    entry.options.map_entry = True
    for number, (name, kind) in enumerate((("key", key), ("value", value)), start=1):
        _set_type(entry.field.add(name=name, number=number, label=_OPTIONAL), kind)
    field.label = _REPEATED
    field.ClearField("type")
    field.type_name = entry.name


def _read_enum(tokens: Iterator[str], enum: EnumDescriptorProto) -> None:
    enum.name = next(tokens)
    _expect(tokens, "{")
    while (name := next(tokens)) != "}":
        _expect(tokens, "=")
        enum.value.add(name=name, number=int(next(tokens)))
        _expect(tokens, ";")


def _read_service(
    tokens: Iterator[str], service: ServiceDescriptorProto, package: str
) -> None:
    service.name = next(tokens)
    _expect(tokens, "{")
    while next(tokens) == "rpc":
        method = service.method.add(name=next(tokens))
        _expect(tokens, "(")
        method.input_type = f".{package}.{next(tokens)}"
        _expect(tokens, ")")
        _expect(tokens, "returns")
        _expect(tokens, "(")
        answer = next(tokens)
        if answer == "stream":
            method.server_streaming = True
            answer = next(tokens)
        method.output_type = f".{package}.{answer}"
        _expect(tokens, ")")
        _expect(tokens, ";")


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]  # pyright: ignore[reportAttributeAccessIssue]
    else:
        field.type_name = kind


def _declare(
    scope: FileDescriptorProto | DescriptorProto, prefix: str, names: Names
) -> None:
    for enum in scope.enum_type:
        names[f"{prefix}.{enum.name}"] = True
    inner = scope.message_type if isinstance(scope, FileDescriptorProto) else None
    for message in scope.nested_type if inner is None else inner:  # pyright: ignore
        names[f"{prefix}.{message.name}"] = False
        _declare(message, f"{prefix}.{message.name}", names)


def _resolve(message: DescriptorProto, scope: str, names: Names) -> None:
    for field in message.field:
        if field.type_name:
            full = _find(field.type_name, scope, names)
            field.type_name = f".{full}"
            is_enum = names[full]
            field.type = (
                FieldDescriptorProto.TYPE_ENUM
                if is_enum
                else FieldDescriptorProto.TYPE_MESSAGE
            )
    for nested in message.nested_type:
        _resolve(nested, f"{scope}.{nested.name}", names)


def _find(name: str, scope: str, names: Names) -> str:
    """Finds a name, innermost scope first, as the language prescribes."""
    while scope:
        if f"{scope}.{name}" in names:
            return f"{scope}.{name}"
        scope = scope.rpartition(".")[0]
    if name not in names:
        raise ValueError(f"{name} is not declared.")
    return name


def _expect(tokens: Iterator[str], wanted: str) -> None:
    found = next(tokens)
    if found != wanted:
        raise ValueError(f"Expected {wanted}, found {found}.")
