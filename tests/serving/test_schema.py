"""The JSON Schema accepts what is read and is the one that is shipped."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest

from eigenfit_serving.problem_file.schema import (
    SCHEMA_FILE,
    problem_schema,
    schema_text,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("**/*.toml"))
GOOD = """
schema = 1
title = "everything"
targets = {file = "lines.csv", key = "nu"}
[[blocks]]
label = "a"
[blocks.structure]
kind = "generalized"
mass = [1, "1+0j"]
[blocks.structure.stiffness]
kind = "affine"
basis = [{file = "K.npz", key = "K"}, [[0, "1j"], ["-1j", 0]]]
offset = {real = [[1, 0], [0, 1]], imag = {file = "i.npy"}}
[[blocks.observations]]
kind = "levels"
indices = [0, -1]
sigma = 0.1
[[blocks.observations]]
weights = [1.0]
[[observations]]
kind = "differences"
pairs = [["a", 1, "a", 0], [["a", 1], ["a", 0]]]
[[observations]]
kind = "free-shift"
observation = {kind = "differences", pairs = {file = "pairs.csv"}}
[parameters]
names = ["A", "B"]
bounds = {A = [0, 10]}
ties = {B = {A = 5.0, "" = 1.0}}
prior = {A = [1, 2]}
[start.parameters]
A = 1
[fit]
method = "levenberg-marquardt"
levenberg-marquardt = {initial_damping = 1e-2}
"""


@pytest.fixture(scope="module")
def validator():
    schema = problem_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_shipped_schema_is_in_step():
    # If it is not: eigenfit schema --output problem.schema.json, beside schema.py.
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_accepted(validator, path):
    validator.validate(tomllib.loads(path.read_text(encoding="utf-8")))


def test_every_table_is_accepted(validator):
    validator.validate(tomllib.loads(GOOD))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema = 1", "schema = 2"),
        ('"affine"', '"afine"'),
        ("title", "titel"),
        ("mass = [1,", "mass = [true,"),
        ("indices = [0, -1]", "indices = [0.5]"),
        ('key = "K"}', "key = 3}"),
        ("imag = {", "image = {"),
        ("[0, 10]", "[0]"),
        ("A = 5.0", 'A = "5"'),
        ("weights = [1.0]", "weights = []"),
        ('method = "levenberg-marquardt"', 'method = "lm"'),
        ("initial_damping", "damping"),
        ("A = 1\n", 'A = "1"\n'),
    ],
)
def test_mistakes_are_marked(validator, old, new):
    assert old in GOOD
    assert not validator.is_valid(tomllib.loads(GOOD.replace(old, new)))


def test_references_lead_somewhere():
    text = json.dumps(problem_schema())
    for name in problem_schema()["$defs"]:
        text = text.replace(f'"#/$defs/{name}"', "")
    assert "#/$defs/" not in text
    assert '"eigenfit":' not in text  # no mark is left
