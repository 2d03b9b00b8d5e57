"""Arrays from files beside the problem file, in every format."""

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from eigenfit_serving import InputError

OFFSET = np.array([[1.0, 0.5, 0.0], [0.5, 2.0, -0.25], [0.0, -0.25, 3.0]])
Y = np.array([[0.0, -1j], [1j, 2.0]])


def additive(offset: str, targets: str = "[1, 2, 3]") -> str:
    return (
        f'schema = 1\ntargets = {targets}\n[structure]\nkind = "additive"\n'
        f"offset = {offset}\n"
    )


def write_csv(path, text):
    (path / "data.csv").write_text(text, encoding="utf-8")
    return '{file = "data.csv"}'


def write_npy(path):
    np.save(path / "K.npy", OFFSET)
    return '{file = "K.npy"}'


def write_npz(path):
    np.savez(path / "K.npz", M=np.eye(3), K=OFFSET)
    return '{file = "K.npz", key = "K"}'


def write_single_npz(path):
    np.savez(path / "K.npz", K=OFFSET)
    return '{file = "K.npz"}'


def write_sparse_npz(path):
    scipy.sparse.save_npz(path / "K.npz", scipy.sparse.csr_array(OFFSET))
    return '{file = "K.npz"}'


def write_dense_mtx(path):
    scipy.io.mmwrite(path / "K.mtx", OFFSET)
    return '{file = "K.mtx"}'


def write_sparse_mtx(path):
    scipy.io.mmwrite(path / "K.mtx", scipy.sparse.coo_array(OFFSET))
    return '{file = "K.mtx"}'


def write_symmetric_mtx(path):
    matrix = scipy.sparse.coo_array(OFFSET)
    scipy.io.mmwrite(path / "K.mtx", matrix, symmetry="symmetric")
    return '{file = "K.mtx"}'


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_csv(path, "1,0.5,0\n0.5,2,-0.25\n0,-0.25,3\n"),
        lambda path: write_csv(path, "# K\n1; 0.5; 0\n\n0.5;2;-0.25\n0;-0.25;3"),
        lambda path: write_csv(path, "1 .5 0\n5e-1\t2 -.25\n0  -0.25 3\n"),
        lambda path: write_csv(path, "\ufeffa,b,c\n1,0.5,0\n0.5,2,-0.25\n0,-.25,3\n"),
        write_npy,
        write_npz,
        write_single_npz,
        write_sparse_npz,
        write_dense_mtx,
        write_sparse_mtx,
        write_symmetric_mtx,
    ],
)
def test_matrices(read, tmp_path, write):
    content = read(additive(write(tmp_path)))
    np.testing.assert_array_equal(content.structure.offset, OFFSET)


@pytest.mark.parametrize("suffix", ["npy", "npz", "mtx", "csv"])
def test_complex_matrices(read, tmp_path, suffix):
    file = tmp_path / f"Y.{suffix}"
    if suffix == "npy":
        np.save(file, Y)
    elif suffix == "npz":
        np.savez(file, Y=Y)
    elif suffix == "mtx":
        scipy.io.mmwrite(file, scipy.sparse.coo_array(Y))
    else:
        file.write_text("0, -1j\n0+1i, 2\n")
    section = read(additive(f'{{file = "Y.{suffix}"}}', "[1, 2]")).structure
    np.testing.assert_array_equal(section.offset, Y)
    assert section.is_complex


def test_parts_of_arrays_and_of_complex_numbers(read, tmp_path):
    for k in range(2):
        scipy.io.mmwrite(tmp_path / f"K{k}.mtx", (k + 1.0) * OFFSET)
    np.save(tmp_path / "real.npy", np.real(Y))
    np.save(tmp_path / "imag.npy", np.imag(Y))
    basis = '[{file = "K0.mtx"}, {file = "K1.mtx"}]'
    table = f'structure = {{kind = "affine", basis = {basis}}}'
    text = f"schema = 1\ntargets = [1, 2, 3]\n{table}"
    content = read(text)
    np.testing.assert_array_equal(content.structure.basis, [OFFSET, 2 * OFFSET])
    parts = '{real = {file = "real.npy"}, imag = {file = "imag.npy"}}'
    np.testing.assert_array_equal(read(additive(parts, "[1, 2]")).structure.offset, Y)


def test_columns_of_a_table_of_lines(read, tmp_path):
    (tmp_path / "lines.csv").write_text(
        "upper block,upper,lower block,lower,line,sigma\n"
        "J1,0,J0,0,1.5,0.1\n"
        "J1,2,J1,1,2.5,0.2\n"
    )
    content = read("""
schema = 1
targets = {file = "lines.csv", key = "line"}
[[blocks]]
label = "J0"
structure = {kind = "toeplitz", order = 3}
[[blocks]]
label = "J1"
structure = {kind = "toeplitz", order = 3}
[[observations]]
kind = "differences"
sigma = {file = "lines.csv", key = "sigma"}
pairs = {file = "lines.csv", key = ["upper block", "upper", "lower block", "lower"]}
""")
    np.testing.assert_array_equal(content.targets, [1.5, 2.5])
    np.testing.assert_allclose(content.weights, [100, 25])
    assert content.target_names == ["J1:0 - J0:0", "J1:2 - J1:1"]
    assert content.has_sigma


def test_pairs_inside_a_matrix(read, tmp_path):
    text = 'schema = 1\ntargets = [1, 2]\nstructure = {kind = "toeplitz", order = 3}\n'
    text += '[observation]\nkind = "differences"\npairs = {file = "pairs.%s"}\n'
    (tmp_path / "pairs.csv").write_text("1,0\n2,1\n")
    np.save(tmp_path / "pairs.npy", [[1, 0], [2, 1]])
    for suffix in ("csv", "npy"):
        section = read(text % suffix).observation
        assert section.pairs == [(1, 0), (2, 1)]


def test_integers_and_vectors(read, tmp_path):
    np.save(tmp_path / "edges.npy", [[0, 1], [1, 2]])
    (tmp_path / "targets.csv").write_text("0\n1\n3\n")
    content = read("""
schema = 1
targets = {file = "targets.csv"}
structure = {kind = "laplacian", edges = {file = "edges.npy"}}
""")
    np.testing.assert_array_equal(content.targets, [0, 1, 3])
    assert content.structure.edges.dtype == np.int64
    assert content.structure.order == 3


def test_paths_are_relative_to_the_problem_file(read, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_npy(tmp_path)
    assert read(additive('{file = "K.npy"}')).structure.order == 3


# Bytes of a file, table, what the message must hold.
BAD_DATA = {
    "missing": (None, '{file = "K.npy"}', "offset.file", "no such file", "Give its"),
    "suffix": (b"", '{file = "K.dat"}', "offset.file", ".mtx, .npy or .npz", "Convert"),
    "no path": (None, "{file = 3}", "offset.file = 3", "path of a data file"),
    "unknown key": (
        None,
        '{file = "K.npy", column = 1}',
        "offset.column",
        "file and key",
    ),
    "key of npy": (b"", '{file = "K.npy", key = "a"}', "offset.key", "Remove it"),
    "key is a number": (
        b"",
        '{file = "K.npz", key = 1}',
        "offset.key = 1",
        "in quotes",
    ),
    "not npy": (
        b"abc",
        '{file = "K.npy"}',
        "offset.file",
        "is not a .npy file",
        "Save",
    ),
    "empty npz": (b"", '{file = "K.npz"}', "offset.file", "is not a .npz file", "Save"),
    "not mtx": (b"%%Matrix", '{file = "K.mtx"}', "offset.file", "not a .mtx", "Save"),
    "no utf-8": (b"\xff1", '{file = "K.csv"}', "offset.file", "UTF-8", "Save it"),
    "empty csv": (b"# a\n", '{file = "K.csv"}', "offset.file", "holds no numbers"),
    "ragged csv": (b"1,2\n#\n3\n", '{file = "K.csv"}', "1 cells in line 3", "equally"),
    "text in csv": (
        b"1,2\n3,x\n",
        '{file = "K.csv"}',
        'holds "x" in line 2, column 2, which',
        "Correct it",
    ),
    "text in a named column": (
        b"# made by hand\n\nf,sigma\n1,2\n3,x\n",
        '{file = "K.csv"}',
        'holds "x" in line 5, column 2 ("sigma"), which',
    ),
    "short line under a header": (
        b"a,b\n1,2\n3\n",
        '{file = "K.csv"}',
        "has 1 cells in line 3, but 2 in its header",
    ),
    "nan in csv": (b"1,nan\n1,2\n", '{file = "K.csv"}', "nan at [0][1]", "be finite"),
    "no header": (b"1,2\n", '{file = "K.csv", key = "a"}', "offset.key", "no header"),
    "no column": (b"a,b\n1,2\n", '{file = "K.csv", key = "c"}', "It has: a, b"),
    "not square": (b"1,2\n", '{file = "K.csv"}', "structure.offset", "be square"),
    "not symmetric": (
        b"1,2\n3,4\n",
        '{file = "K.csv"}',
        "offset[0][1] = 2",
        "symmetric",
    ),
    "real and more": (
        None,
        "{real = 1, other = 2}",
        "offset.real",
        "both real and imag",
    ),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_files(read, tmp_path, name):
    data, table, *fragments = BAD_DATA[name]
    if data is not None:
        (tmp_path / table.split('"')[1]).write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(additive(table, "[1, 2]"))
    message = str(caught.value)
    assert "problem.toml: structure.offset" in message
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message, message


def test_arrays_in_npz_are_named(read, tmp_path):
    np.savez(tmp_path / "K.npz", K=OFFSET, M=np.eye(3))
    for table, expected in (
        ('{file = "K.npz"}', "several arrays: K, M. Choose one"),
        ('{file = "K.npz", key = "C"}', 'structure.offset.key = "C": is no array'),
        ('{file = "K.npz", key = ["K"]}', "the name of one array"),
    ):
        with pytest.raises(InputError, match=r"structure\.offset") as caught:
            read(additive(table))
        assert expected in str(caught.value)


def test_pickles_are_not_loaded(read, tmp_path):
    np.save(tmp_path / "K.npy", np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match=r"K\.npy.*is not a \.npy file"):
        read(additive('{file = "K.npy"}'))


def test_a_matrix_too_large_to_be_dense_is_refused(read, tmp_path):
    (tmp_path / "K.mtx").write_text(
        "%%MatrixMarket matrix coordinate real general\n100000 100000 1\n1 1 1.0\n"
    )
    with pytest.raises(InputError, match=r"100000 rows.*give a smaller one"):
        read(additive('{file = "K.mtx"}'))


def test_a_large_sparse_npz_is_refused(read, tmp_path):
    scipy.sparse.save_npz(tmp_path / "K.npz", scipy.sparse.eye_array(10**5))
    with pytest.raises(InputError, match=r"100000 rows.*give a smaller one"):
        read(additive('{file = "K.npz"}'))


@pytest.mark.parametrize("suffix", ["mtx", "npz", "csv"])
def test_a_basis_of_one_file_needs_no_list(read, tmp_path, suffix):
    if suffix == "mtx":
        scipy.io.mmwrite(tmp_path / "K.mtx", scipy.sparse.coo_array(OFFSET))
    elif suffix == "npz":
        scipy.sparse.save_npz(tmp_path / "K.npz", scipy.sparse.csr_array(OFFSET))
    else:
        np.savetxt(tmp_path / "K.csv", OFFSET)
    basis = f'{{file = "K.{suffix}"}}'
    for table in (basis, f"[{basis}]"):
        text = f'structure = {{kind = "affine", basis = {table}}}\n'
        structure = read(f"schema = 1\ntargets = [1, 2, 3]\n{text}").structure
        np.testing.assert_array_equal(structure.basis, [OFFSET])


def test_a_list_in_one_of_several_columns_says_which_there_are(read, tmp_path):
    text = 'schema = 1\ntargets = {file = "t.csv"}\n'
    text += 'structure = {kind = "toeplitz", order = 3}\n'
    (tmp_path / "t.csv").write_text("line,sigma\n1,.1\n2,.1\n3,.1\n")
    with pytest.raises(InputError) as caught:
        read(text)
    wanted = 'has the columns line, sigma. Choose one with key, e.g. key = "line".'
    assert f'targets.file = "t.csv": {wanted}' in str(caught.value)
    (tmp_path / "t.csv").write_text("1,.1\n2,.1\n3,.1\n")
    with pytest.raises(InputError, match=r"has 2 columns without names.*first"):
        read(text)
