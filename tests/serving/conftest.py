"""What the tests of problem files share."""

import pytest

from eigenfit_serving import ProblemFile, read_problem


@pytest.fixture
def read(tmp_path):
    """Writes a text as a problem file and reads it."""

    def write_and_read(text: str, **fit) -> ProblemFile:
        path = tmp_path / "problem.toml"
        path.write_text(text, encoding="utf-8")
        return read_problem(path, **fit)

    return write_and_read
