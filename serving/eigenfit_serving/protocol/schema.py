"""Reads the part of the proto3 language that the message tables use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

_STATEMENT = re.compile(r"[^{};]+[{;]|}")
_WORD = re.compile(r"[\w.]+")

_REPEATED = FieldDescriptorProto.LABEL_REPEATED
_OPTIONAL = FieldDescriptorProto.LABEL_OPTIONAL
_TYPES = dict(FieldDescriptorProto.Type.items())


def read_schema(
    name: str, package: str, text: str, dependencies: list[str]
) -> FileDescriptorProto:
    """Reads one table.

    Args:
        name: Name of the file in the pool.
        package: Package of all that the table declares.
        text: Messages, enumerations and services in the proto3 language.
        dependencies: Names of the files of the dependencies.

    Returns:
        The file; names of types in it are resolved by the pool.
    """
    file = FileDescriptorProto(
        name=name, package=package, dependency=dependencies, syntax="proto3"
    )
    _read(map(_WORD.findall, _STATEMENT.findall(text)), file)
    return file


def _read(
    statements: Iterator[list[str]], scope: Any, oneof: int | None = None
) -> None:
    """Reads statements, as lists of words, up to the end of a scope."""
    for words in statements:
        match words:
            case []:
                return
            case ["message", name]:
                is_file = isinstance(scope, FileDescriptorProto)
                messages = scope.message_type if is_file else scope.nested_type
                _read(statements, messages.add(name=name))
            case ["enum", name]:
                _read(statements, scope.enum_type.add(name=name))
            case ["service", name]:
                _read(statements, scope.service.add(name=name))
            case ["oneof", name]:
                scope.oneof_decl.add(name=name)
                _read(statements, scope, len(scope.oneof_decl) - 1)
            case ["rpc", name, request, "returns", *stream, response]:
                method = scope.method.add(name=name, server_streaming=bool(stream))
                method.input_type, method.output_type = request, response
            case ["map", key, value, name, number]:
                entry = f"{name.title().replace('_', '')}Entry"
                pair = scope.nested_type.add(name=entry, options={"map_entry": True})
                _add_field(pair, key, "key", "1")
                _add_field(pair, value, "value", "2")
                _add_field(scope, entry, name, number).label = _REPEATED
            case ["repeated", kind, name, number]:
                _add_field(scope, kind, name, number).label = _REPEATED
            case [kind, name, number]:
                field = _add_field(scope, kind, name, number)
                if oneof is not None:
                    field.oneof_index = oneof
            case [name, number]:
                scope.value.add(name=name, number=int(number))
            case _:
                raise ValueError(f"This is no statement: {words}")


def _add_field(message: Any, kind: str, name: str, number: str) -> FieldDescriptorProto:
    field = message.field.add(name=name, number=int(number), label=_OPTIONAL)
    scalar = _TYPES.get(f"TYPE_{kind.upper()}")
    if scalar is None:
        field.type_name = kind
    else:
        field.type = scalar
    return field
