"""Malformed files: the message is one line with file, key path, value and remedy.

Those of a single symmetric or affine matrix are in `test_cli.py`, those of data files
in `test_data_files.py`.
"""

import re

import pytest

from eigenfit_serving import InputError

HEAD = "schema = 1\ntargets = [1.0, 2.0, 3.0]\n"
TOEPLITZ = HEAD + '[structure]\nkind = "toeplitz"\norder = 3\n'
BLOCKS = """schema = 1
targets = [1.0, 2.0, 1.0, 2.0, 3.0]
[[blocks]]
label = "a"
structure = {kind = "toeplitz", order = 2}
[[blocks]]
label = "b"
[blocks.structure]
kind = "reparametrized"
matrix = [[1, 0], [0, 1], [0, 1]]
structure = {kind = "toeplitz", order = 3}
"""
JOINT = (
    BLOCKS.replace("1.0, 2.0, 1.0, 2.0, 3.0", "1.0, 2.0")
    + """
[[observations]]
kind = "differences"
pairs = [["a", 1, "a", 0], ["b", 2, "a", 0]]
"""
)
FRAME = (
    HEAD
    + """[structure]
kind = "generalized"
mass = [1.0, 2.0, 1.0]
[structure.stiffness]
kind = "laplacian"
edges = [[0, 1], [1, 2]]
"""
)
BLOCH = """schema = 1
targets = [1.0]
[structure]
kind = "bloch"
vectors = [[0, 0], [1, 0]]
kpoint = [0.5, 0.5]
basis = [[[[1.0]], [[0.5]]]]
"""
ASSEMBLY = (
    HEAD
    + """[structure]
kind = "assembly"
rows = [0, 1, 2]
columns = [0, 1, 2]
parameters = [0, 1, 2]
coefficients = [1.0, 1.0, 1.0]
"""
)


def structure(body: str) -> str:
    return f"{HEAD}[structure]\n{body}\n"


def observed(body: str, targets: str = "[1.0, 2.0, 3.0]") -> str:
    text = TOEPLITZ.replace("[1.0, 2.0, 3.0]", targets)
    return f"{text}[observation]\n{body}\n"


def known(body: str) -> str:
    return f'{TOEPLITZ}[parameters]\nnames = ["A", "B", "C"]\n{body}\n'


# Text of a file, then what the message must hold: key (and value), remedy.
BAD = {
    # Structures.
    "no kind": (structure("order = 3"), "structure.kind: is missing", '"toeplitz"'),
    "misspelt kind": (
        structure('kind = "tridiagonl"\norder = 3'),
        'structure.kind = "tridiagonl"',
        'Did you mean "tridiagonal"?',
    ),
    "bandwidth": (
        structure('kind = "banded"\norder = 3\nbandwidth = 3'),
        "structure.bandwidth = 3",
        "must be less than order",
    ),
    "complex in a real array": (
        FRAME.replace("[1.0, 2.0, 1.0]", '[1.0, "2j", "x"]'),
        'structure.mass[2] = "x"',
        'a complex one in quotes, e.g. "1+2j"',
    ),
    "not Hermitian": (
        structure('kind = "additive"\noffset = [[0, "1j"], ["1j", 0]]'),
        "structure.offset[0][1] =",
        "conjugate of [1][0]",
    ),
    "parts of unlike shape": (
        structure('kind = "additive"\noffset = {real = [[1]], imag = [[0, 1]]}'),
        "structure.offset.imag: has shape [1, 2]",
        "Give both the same",
    ),
    "edge out of range": (
        FRAME.replace("[1, 2]]", "[1, 2]]\norder = 2"),
        "structure.stiffness.edges[1][1] = 2",
        "vertices are 0 to 1",
    ),
    "vertex too far": (
        FRAME.replace("[1, 2]]", "[1, 1000000000]]"),
        "structure.stiffness.edges[1][1] = 1000000000",
        "vertices are 0 to 32767",
    ),
    "more parameters than can be fitted": (
        structure('kind = "symmetric"\norder = 32768'),
        "structure: has 536887296 parameters",
        "Use a smaller order",
    ),
    "loop": (
        FRAME.replace("[1, 2]]", "[1, 1]]"),
        "structure.stiffness.edges[1] = [1, 1]",
        "Leave it out",
    ),
    "edge twice": (
        FRAME.replace("[1, 2]]", "[1, 0]]"),
        "structure.stiffness.edges[1] = [1, 0]",
        "Give each edge once",
    ),
    "edge that is no integer": (
        FRAME.replace("[1, 2]]", "[1, 2.5]]"),
        "structure.stiffness.edges[1][1] = 2.5",
        "must be an integer",
    ),
    "contributions of unlike number": (
        ASSEMBLY.replace("[1.0, 1.0, 1.0]", "[1.0]"),
        "structure.coefficients: has 1 numbers",
        "Give one for each contribution",
    ),
    "contribution out of range": (
        ASSEMBLY + "num_parameters = 2",
        "structure.parameters[2] = 2",
        "parameters are 0 to 1",
    ),
    "number of masses": (
        FRAME.replace("[1.0, 2.0, 1.0]", "[1.0, 2.0]"),
        "structure.mass: has shape [2]",
        "Give 3 masses",
    ),
    "massless": (
        FRAME.replace("[1.0, 2.0, 1.0]", "[1.0, 0.0, 1.0]"),
        "structure.mass[1] = 0.0",
        "Remove degrees of freedom without mass",
    ),
    "indefinite mass": (
        FRAME.replace("[1.0, 2.0, 1.0]", "[[1, 2, 0], [2, 1, 0], [0, 0, 1]]"),
        "structure.mass: must be positive definite",
        "smallest eigenvalue is -1",
    ),
    "mass of other parameters": (
        FRAME.replace("mass = [1.0, 2.0, 1.0]", 'mass = {kind="toeplitz", order=3}'),
        "structure.mass: must have the number of parameters of stiffness, 2",
        'Use kind = "reparametrized"',
    ),
    "unknown key inside": (
        FRAME + "edgs = 3",
        "structure.stiffness.edgs: is not a known key",
        'Did you mean "edges"?',
    ),
    "kpoint": (
        BLOCH.replace("[0.5, 0.5]", "[0.5]"),
        "structure.kpoint: has 1 numbers",
        "k.R is an angle in radians",
    ),
    "opposite vectors": (
        BLOCH.replace("[0, 0], [1, 0]", "[-1, 0], [1, 0]"),
        "structure.vectors[1] = [1.0, 0.0]",
        "Give one of each pair",
    ),
    "basis of a lattice": (
        BLOCH.replace("[[0.5]]", "[[0.5, 1.0]]"),
        "structure.basis[0][1] = [[0.5, 1.0]]",
        "equally long",
    ),
    "rows of a matrix": (
        BLOCKS.replace("[0, 1], [0, 1]]", "[0, 1]]"),
        "blocks[1].structure.matrix: has 2 rows",
        "Give a row for each",
    ),
    # Blocks.
    "structure and blocks": (
        BLOCKS + '[structure]\nkind = "toeplitz"\norder = 2',
        "structure: is given and blocks too",
        "[blocks.structure]",
    ),
    "observation and blocks": (
        BLOCKS + "[observation]\nindices = [0]",
        "observation: is given and blocks too",
        "[[blocks.observations]]",
    ),
    "observation twice": (
        observed("indices = [0]") + "[[observations]]\nindices = [0]",
        "observations: is given and observation too",
        "Write all as [[observations]]",
    ),
    "blocks is no list": (
        HEAD + 'blocks = {label = "a"}',
        'blocks = {"label": "a"}',
        "at least one table [[blocks]]",
    ),
    "block without structure": (
        BLOCKS + '[[blocks]]\nlabel = "c"',
        "blocks[2].structure: is missing",
        "a table with kind",
    ),
    "block is no table": (HEAD + "blocks = [3]", "blocks[0] = 3", "a line [[blocks]]"),
    "label twice": (
        BLOCKS.replace('"b"', '"a"'),
        'blocks[1].label = "a"',
        "Give each one its own",
    ),
    "label is a number": (
        BLOCKS.replace('label = "b"', "label = 2"),
        "blocks[1].label = 2",
        "a name in quotes",
    ),
    "blocks of other parameters": (
        BLOCKS + '[[blocks]]\nstructure = {kind = "toeplitz", order = 4}',
        "blocks[2].structure: has 4 parameters, the first block has 2",
        'use kind = "reparametrized"',
    ),
    "index in a block": (
        BLOCKS + "[[blocks.observations]]\nindices = [3]",
        "blocks[1].observations[0].indices[0] = 3",
        "levels 0 to 2",
    ),
    "kind of observation in a block": (
        BLOCKS + '[[blocks.observations]]\nkind = "diferences"',
        'blocks[1].observations[0].kind = "diferences"',
        'Did you mean "differences"?',
    ),
    "targets of blocks": (
        BLOCKS.replace("[1.0, 2.0, 1.0,", "["),
        "targets: has 2 numbers, but 5 values are observed: 2 of blocks[0]",
        "in this order",
    ),
    "targets of a block descend": (
        BLOCKS.replace("2.0, 3.0]", "3.0, 2.0]"),
        "targets[4] = 2.0",
        "is below targets[3] = 3",
    ),
    # Joint observations.
    "joint levels": (
        JOINT + '[[observations]]\nkind = "levels"',
        'observations[1].kind = "levels"',
        "[[blocks.observations]] of their block",
    ),
    "unknown label": (
        JOINT.replace('["b", 2', '["c", 2'),
        'observations[0].pairs[1][0] = "c"',
        "They are: a, b",
    ),
    "no such level of a block": (
        JOINT.replace('["b", 2', '["b", 3'),
        "observations[0].pairs[1][0] = 3",
        "levels 0 to 2",
    ),
    "pair without blocks": (
        JOINT.replace('["a", 1, "a", 0]', "[1, 0]"),
        "observations[0].pairs[0][0] = 1",
        'write ["label", level]',
    ),
    "pair that is none": (
        JOINT.replace('["a", 1, "a", 0]', '["a", 1, 0]'),
        'observations[0].pairs[0] = ["a", 1, 0]',
        '["upper label", upper, "lower label", lower]',
    ),
    "pair of one level": (
        JOINT.replace('["a", 1, "a", 0]', '["a", 1, "a", 1]'),
        "observations[0].pairs[0] =",
        "Remove it",
    ),
    # Observations.
    "observation is no table": (
        "observation = 3\n" + TOEPLITZ,
        "observation = 3",
        "under a line [observation]",
    ),
    "unknown observation": (
        observed('kind = "gaps"'),
        'observation.kind = "gaps"',
        'must be one of "levels", "frequencies"',
    ),
    "indices are no list": (
        observed("indices = 2"),
        "observation.indices = 2",
        "a list of integers",
    ),
    "pairs with a label": (
        observed('kind = "differences"\npairs = [["a", 1, "a", 0]]'),
        'observation.pairs[0][0] = ["a", 1]',
        "[[observations]] at the top",
    ),
    "level of relative-to": (
        observed('kind = "relative-to"\nlevel = 3'),
        "observation.level = 3",
        "levels 0 to 2",
    ),
    "relative to itself": (
        observed('kind = "relative-to"\nlevel = 0\nindices = [1, -3]'),
        "observation.indices[1] = -3",
        "Leave it out",
    ),
    "empty cluster": (
        observed('kind = "cluster-means"\nclusters = [[0], []]'),
        "observation.clusters[1] = []",
        "must not be empty",
    ),
    "level twice in a cluster": (
        observed('kind = "cluster-means"\nclusters = [[0, 0], [1]]'),
        "observation.clusters[0] = [0, 0]",
        "Give each once",
    ),
    "negative frequency": (
        observed('kind = "frequencies"', "[-1.0, 2.0, 3.0]"),
        "targets[0] = -1.0",
        "must not be negative",
    ),
    "weights and sigma": (
        observed("sigma = 0.1\nweights = 2.0"),
        "observation.sigma: is given and weights too",
        "Remove one",
    ),
    "sigma of zero": (
        observed("sigma = [0.1, 0.0, 0.1]"),
        "observation.sigma = [0.1, 0.0, 0.1]",
        "must be positive",
    ),
    "number of labels": (
        observed('labels = ["a", "b"]'),
        "observation.labels: has 2 texts for 3 observed levels",
        "Give one for each.",
    ),
    "a label twice": (
        observed('labels = ["a", "b", "a"]'),
        'observation.labels[2] = "a"',
        "must be texts, each once",
    ),
    "number of sigma": (
        observed("sigma = [0.1, 0.2]"),
        "observation.sigma: has 2 numbers for 3 observed levels",
        "or a single number for all",
    ),
    "component of a mode": (
        observed('kind = "mode-shapes"\nlevels = [0]\ncomponents = [0, 1, 5]'),
        "observation.components[2] = 5",
        "does not exist",
    ),
    "normalisation": (
        observed('kind = "mode-shapes"\nlevels = [0]\nnormalisation = "norm"'),
        'observation.normalisation = "norm"',
        '"max", "unit" or "mass"',
    ),
    "mode of zeros": (
        observed('kind = "mode-shapes"\nlevels = [1]', "[0, 0, 0]"),
        "targets: hold only zeros for level 1",
        "Correct it",
    ),
    "rows of shapes": (
        TOEPLITZ.replace("targets = [1.0, 2.0, 3.0]\n", "")
        + '[observation]\nkind = "mode-shapes"\nlevels = [1]\ntargets = [[1, 2]]',
        "observation.targets: has shape [1, 2], it must be [1, 3]",
        "a row for each level",
    ),
    "mode of a complex matrix": (
        structure('kind = "hermitian"\norder = 3')
        + '[observation]\nkind = "mode-shapes"\nlevels = [0]',
        'observation.kind = "mode-shapes"',
        "Use levels",
    ),
    "shapes of a MAC": (
        observed('kind = "mac"\nlevels = [0]\nshapes = [[1, 2]]', "[1.0]"),
        "observation.shapes: has shape [1, 2], it must be [1, 3]",
        "a number for each component",
    ),
    "MAC above 1": (
        observed('kind = "mac"\nlevels = [0]\nshapes = [[1, 2, 3]]', "[1.5]"),
        "targets[0] = 1.5",
        "between 0 and 1",
    ),
    "shift of a shift": (
        observed('kind = "free-shift"\nobservation = {kind = "free-shift"}'),
        'observation.observation.kind = "free-shift"',
        "must be one of",
    ),
    "targets in two places": (
        observed("targets = [1.0, 2.0, 3.0]"),
        "observation.targets: is given and targets at the top",
        "Remove one",
    ),
    "targets of one of two": (
        TOEPLITZ.replace("targets = [1.0, 2.0, 3.0]\n", "")
        + "[[observations]]\ntargets = [1, 2, 3]\n"
        + '[[observations]]\nkind = "relative-to"\nlevel = 0',
        "observations[1].targets: is missing",
        "Add it: 2 numbers",
    ),
    # Parameters.
    "number of names": (
        known("").replace(', "C"', ""),
        "parameters.names: has 2 names",
        "Give a name to each",
    ),
    "name twice": (
        known("").replace('"C"', '"A"'),
        'parameters.names[2] = "A"',
        "a name of its own",
    ),
    "name is a number": (
        known("").replace('"C"', "3"),
        "parameters.names[2] = 3",
        "a name in quotes",
    ),
    "misspelt parameter": (
        HEAD
        + '[structure]\nkind = "toeplitz"\norder = 3\n[parameters]\n'
        + 'names = ["B40", "B60", "gap"]\nfixed = {B4 = 1.0}',
        "parameters.fixed.B4: is no name of a parameter",
        'Did you mean "B40"?',
    ),
    "bounds reversed": (
        known("bounds = {A = [1, 0]}"),
        "parameters.bounds.A = [1.0, 0.0]",
        "low < high",
    ),
    "bounds of one": (
        known("bounds = {A = 1}"),
        "parameters.bounds.A = 1",
        "[low, high], -inf or inf where open",
    ),
    "bounds too large": (
        known(f"bounds = {{A = [0, 1{'0' * 400}]}}"),
        "parameters.bounds.A = [0, 1",
        "two numbers",
    ),
    "fixed text": (
        known('fixed = {A = "1"}'),
        'parameters.fixed.A = "1"',
        "must be a finite number",
    ),
    "all fixed": (
        known("fixed = {A = 1, B = 2, C = 3}"),
        "parameters: leave nothing to fit",
        "Leave at least one out",
    ),
    "fixed and tied": (
        known("fixed = {A = 1}\nties = {A = {B = 2}}"),
        "parameters.ties.A: is fixed as well",
        "Remove it from",
    ),
    "tied to a tied one": (
        known("ties = {A = {B = 2}, B = {C = 1}}"),
        "parameters.ties.A.B: is tied itself",
        "in terms of parameters that are not",
    ),
    "tied to itself": (
        known("ties = {A = {A = 2}}"),
        "parameters.ties.A",
        "Name another one",
    ),
    "tie without factor": (
        known('ties = {A = "B"}'),
        'parameters.ties.A = "B"',
        "e.g. {B40 = 5.0}",
    ),
    "tied to nothing": (
        known("ties = {A = {D = 1}}"),
        "parameters.ties.A.D: is no name",
        "They are: A, B, C",
    ),
    "bounds of a fixed one": (
        known("fixed = {A = 1}\nbounds = {A = [0, 2]}"),
        "parameters.bounds.A: is fixed or tied",
        "Remove one",
    ),
    "prior without sigma": (
        known("prior = {A = [1.0, 0.0]}"),
        "parameters.prior.A = [1.0, 0.0]",
        "sigma above 0",
    ),
    "prior is a number": (
        known("prior = 2"),
        "parameters.prior = 2",
        "{name = [mean, sigma]}",
    ),
    "combination without sigma": (
        known("prior = [{coefficients = {A = 1, B = -1}, mean = 0}]"),
        "parameters.prior[0].sigma: is missing",
        "above 0",
    ),
    "combination of nothing": (
        known("prior = [{coefficients = {A = 0}, mean = 0, sigma = 1}]"),
        "parameters.prior[0].coefficients",
        "{a = 1, b = -1}",
    ),
    "combination of a wrong name": (
        known("prior = [{coefficients = {A = 1, D = 2}, mean = 0, sigma = 1}]"),
        "parameters.prior[0].coefficients.D: is no name",
        "They are: A, B, C",
    ),
    "combination with a wrong key": (
        known("prior = [{coeficients = {A = 1}, mean = 0, sigma = 1}]"),
        "parameters.prior[0].coefficients: is missing",
        'coeficients: is not a known key. Did you mean "coefficients"?',
    ),
    "combination of fixed ones": (
        known(
            "fixed = {A = 1}\nprior = [{coefficients = {A = 1}, mean = 0, sigma = 1}]"
        ),
        "parameters.prior[0].coefficients: names fixed parameters only",
        "Leave the prior out",
    ),
    "smoothness of too few": (
        known("smoothness = {sigma = 0.1, order = 3}"),
        "parameters.smoothness: needs more than 3 parameters",
        "got 3",
    ),
    "smoothness of a wrong name": (
        known('smoothness = {sigma = 0.1, names = ["A", "B", "D"]}'),
        "parameters.smoothness.names[2]: is no name",
        "They are: A, B, C",
    ),
    "smoothness without sigma": (
        known("smoothness = {order = 1}"),
        "parameters.smoothness.sigma: is missing",
        "above 0",
    ),
    # Start.
    "start out of bounds": (
        known("bounds = {B = [0, 1]}") + "[start]\nparameters = [1, 2, 3]",
        "start.parameters[1] = 2.0",
        "bounds of B, 0 to 1. Start inside",
    ),
    "start by a wrong name": (
        known("") + "[start.parameters]\nA = 1\nB = 2\nD = 3",
        "start.parameters.D: is no parameter to fit",
        "They are: A, B, C",
    ),
    "start of a fixed one": (
        known("fixed = {C = 1}") + "[start.parameters]\nA = 1\nB = 2\nC = 3",
        "start.parameters.C: is no parameter to fit",
        "They are: A, B",
    ),
    "start without a name": (
        known("") + "[start.parameters]\nA = 1\nB = 2",
        "start.parameters.C: is missing",
        "Add it",
    ),
    "start of all for two unknowns": (
        known("fixed = {C = 1}") + "[start]\nparameters = [1, 2, 3]",
        "start.parameters: has 3 numbers",
        "Give 2",
    ),
    "box of another length": (
        known("") + "[start]\nlow = [0, 1]",
        "start.low: has 2 numbers",
        "Give 3, or a single number",
    ),
    "box outside of bounds": (
        known("bounds = {B = [5, 6]}") + "[start]\nhigh = 2.0",
        "start.high = 2.0",
        "bounds of B, 5 to 6",
    ),
    # Methods.
    "method for levels": (
        observed('kind = "relative-to"\nlevel = 0', "[1.0, 2.0]")
        + '[fit]\nmethod = "cluster-newton"',
        'fit.method = "cluster-newton"',
        'Use "auto"',
    ),
    "method without bounds": (
        known("bounds = [0, 1]") + '[fit]\nmethod = "lbfgs"',
        'fit.method = "lbfgs"',
        "parameters.bounds are given",
    ),
    "method of a free matrix": (
        structure('kind = "symmetric"\norder = 3')
        + '[parameters]\nfixed = {r0 = 1}\n[fit]\nmethod = "isospectral-projection"',
        'fit.method = "isospectral-projection"',
        "no parameter fixed or tied",
    ),
    "too large inside of a table": (
        FRAME.replace("2.0, 1.0]", "1e39, 1.0]") + '[fit]\ndtype = "float32"',
        "structure.mass[1] = 1e+39",
        'Use dtype = "float64"',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file(read, name):
    text, *fragments = BAD[name]
    with pytest.raises(InputError) as caught:
        read(text)
    message = str(caught.value)
    _, key = message.split("problem.toml: ", 1)
    assert key.startswith(fragments[0]), message
    for fragment in fragments[1:]:
        assert fragment in message
    for line in message.split("\n"):
        assert "problem.toml: " in line
        assert len(line) < 500
        assert line.endswith((".", "?", ".)")), line


@pytest.mark.parametrize("text", [TOEPLITZ, BLOCKS, JOINT, FRAME, BLOCH, ASSEMBLY])
def test_what_the_bad_files_are_made_of_is_good(read, text):
    assert read(text).problem() is not None


# What is written, what the hint is; None where there must be none.
HINTS = {
    "levels from 1": (
        TOEPLITZ + '[observation]\nkind = "levels"\nindices = [1, 2, 3]\n',
        r"indices\[2\] = 3: does not exist.*counted from 1",
    ),
    "levels from 0": (
        TOEPLITZ + '[observation]\nkind = "levels"\nindices = [0, 2, 3]\n',
        None,
    ),
    "pairs from 1": (
        TOEPLITZ + '[observation]\nkind = "differences"\n'
        "pairs = [[2, 1], [3, 1], [3, 2]]\n",
        r"pairs\[1\]\[0\] = 3.*counted from 1",
    ),
    "pairs from 0": (
        TOEPLITZ + '[observation]\nkind = "differences"\n'
        "pairs = [[1, 0], [2, 0], [3, 2]]\n",
        None,
    ),
    "clusters from 1": (
        TOEPLITZ + '[observation]\nkind = "cluster-means"\n'
        "clusters = [[1], [2], [3]]\n",
        r"clusters\[2\]\[0\] = 3.*counted from 1",
    ),
    "edges from 1": (
        FRAME.replace("[[0, 1], [1, 2]]", "[[1, 2], [2, 3]]\norder = 3"),
        r"edges\[1\]\[1\] = 3.*counted from 1",
    ),
    "edges, transposed": (
        FRAME.replace("[[0, 1], [1, 2]]", "[[0, 1, 2], [1, 2, 0]]"),
        "transposed: give it as 3 rows of 2",
    ),
    "rows from 1": (
        ASSEMBLY.replace("rows = [0, 1, 2]", "order = 3\nrows = [1, 2, 3]").replace(
            "columns = [0, 1, 2]", "columns = [1, 2, 3]"
        ),
        r"rows\[2\] = 3.*counted from 1",
    ),
    "columns beyond": (
        ASSEMBLY.replace("columns = [0, 1, 2]", "order = 3\ncolumns = [1, 2, 3]"),
        None,
    ),
    "matrix of ties, transposed": (
        BLOCKS.replace("[[1, 0], [0, 1], [0, 1]]", "[[1, 0, 0], [0, 1, 1]]"),
        "transposed: give it as 3 rows of 2",
    ),
    "vectors, transposed": (
        BLOCH.replace("[[0, 0], [1, 0]]", "[[0, 1, 2], [0, 0, 0]]"),
        "vectors look transposed: give it as 3 rows of 2",
    ),
    "starts, transposed": (
        TOEPLITZ + "[start]\nparameters = [[1, 2], [3, 4], [5, 6]]\n",
        "transposed: give it as 2 rows of 3",
    ),
    "matrices, transposed": (
        HEAD + 'structure = {kind = "affine", basis = '
        "[[[1, 2], [0, 0], [0, 0]], [[0, 0], [1, 2], [0, 0]], "
        "[[0, 0], [0, 0], [1, 2]]]}\n",
        "transposed: the first index is that of the 2 matrices",
    ),
    "not symmetric": (
        HEAD + 'structure = {kind = "additive", offset = [[2, -1], [-4, 3]]}\n',
        "other eigenvalues.*generalized",
    ),
    "one triangle": (
        HEAD + 'structure = {kind = "additive", offset = [[2, 0], [-4, 3]]}\n',
        "Only one triangle is there",
    ),
    "rounded": (
        HEAD + 'structure = {kind = "additive", offset = [[2, -1], [-1.0001, 3]]}\n',
        "If that is rounding, give more digits",
    ),
}


@pytest.mark.parametrize("name", HINTS)
def test_likely_mistakes_are_named(read, name):
    text, hint = HINTS[name]
    with pytest.raises(InputError) as caught:
        read(text)
    if hint is None:
        assert "from 1" not in str(caught.value)
    else:
        assert re.search(hint, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("scale", [1e-150, 1e-10, 1.0, 1e150])
def test_lattice_vectors_are_compared_in_their_own_unit(read, scale):
    vectors = f"[[{scale!r}, 0], [0, {scale!r}]]"
    assert read(BLOCH.replace("[[0, 0], [1, 0]]", vectors)).structure.order == 1
    vectors = f"[[{scale!r}, {scale!r}], [{-scale!r}, {-scale!r}]]"
    with pytest.raises(InputError, match=r"vectors\[1\].*equal or opposite to vectors"):
        read(BLOCH.replace("[[0, 0], [1, 0]]", vectors))
