"""The base class of all tables of a problem file, and the types they share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, description="a number above 0")]
Fraction = Annotated[float, Field(ge=0, lt=1, description="in [0, 1), e.g. 0.9")]
MAX_ORDER = 2**15
MAX_PARAMETERS = 2**24
Order = Annotated[
    int, Field(ge=1, le=MAX_ORDER, description="an integer from 1 to 32768, e.g. 3")
]
Name = Annotated[
    str, Field(min_length=1, max_length=80, description="a name in quotes")
]


class Section(BaseModel):
    """A table of the file: strict, frozen, finite numbers only."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
    )

    def arrays(self, key: str) -> Iterator[tuple[str, np.ndarray]]:
        """Lists the arrays of real or complex numbers in this table and those inside.

        Args:
            key: Key of this table.

        Yields:
            The key of each array, and the array.
        """
        for name, info in type(self).model_fields.items():
            value, path = getattr(self, name), f"{key}.{info.alias or name}"
            if isinstance(value, Section):
                yield from value.arrays(path)
            elif isinstance(value, np.ndarray) and value.dtype.kind in "fc":
                yield path, value
