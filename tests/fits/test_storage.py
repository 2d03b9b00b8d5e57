"""Fits in files: every number bit for bit, and clear words for other files."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import eigenfit as ef

PROBLEMS = {
    "levels": ef.Problem(ef.Symmetric(3)),
    "complex": ef.Problem(ef.Hermitian(2), ef.Levels(sigma=0.1)),
    "single": ef.Problem(ef.Symmetric(2, dtype="float32")),
    "known": ef.Problem(
        ef.Affine([np.diag([1.0, 2.0, 3.0]), np.eye(3), np.ones([3, 3])]),
        ef.Levels(sigma=[0.1, 0.2, 0.3]),
        parameters=ef.Parameters(
            ["a", "b", "c"],
            bounds={"a": (0, 5)},
            ties={"c": ("a", 0.5)},
            prior={"b": (0.0, 1.0)},
        ),
    ),
    "blocks": ef.Problem(
        [
            ef.Block(ef.Affine([np.eye(2), np.ones([2, 2])]), label="one"),
            ef.Block(ef.Affine([np.eye(3), np.ones([3, 3])]), label="two"),
        ],
        observations=[ef.Differences([(("one", 1), ("two", 0))])],
    ),
    "function": ef.Problem(ef.Parametric(lambda r: r[..., None] * np.eye(2), 2, 1)),
    "shapes": ef.Problem(
        ef.Affine([np.diag([1.0, 0.0]), np.diag([0.0, 1.0]), np.ones([2, 2])]),
        observations=[ef.Frequencies(), ef.MAC([0], shapes=[[1.0, 0.5]])],
    ),
}


def fitted(name, **options):
    problem, rng = PROBLEMS[name], np.random.default_rng(1)
    targets = np.sort(rng.uniform(0.5, 2.0, problem.num_targets))
    start = rng.uniform(0.5, 1.0, problem.num_parameters)
    return ef.Solver(problem).fit(start, targets, **options)


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", PROBLEMS)
def test_every_field_comes_back(tmp_path, name):
    fit = fitted(name, record_every=1)
    fit.save(tmp_path / "a.fit")
    again = ef.load(tmp_path / "a.fit")
    assert again.report() == fit.report()
    assert again.to_dict() == fit.to_dict()
    for key in (*ef.Solution._fields, "start", "targets", "calculated"):
        own, read = getattr(fit, key), getattr(again, key)
        pairs = zip(own, read, strict=True) if isinstance(own, tuple) else [(own, read)]
        for x, y in pairs:
            assert np.asarray(x).dtype == np.asarray(y).dtype
            np.testing.assert_array_equal(x, y)
    for key, value in vars(fit.uncertainty()).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(again.uncertainty(), key))
    with pytest.raises(ValueError, match="has no problem to compute with"):
        again.uncertainty(rtol=1e-3)


def test_a_batch_comes_back_and_is_a_start(tmp_path):
    solver = ef.Solver(PROBLEMS["levels"])
    starts = np.random.default_rng(2).normal(size=[2, 3, 6])
    starts[1, 1] = np.nan
    fit = solver.fit(starts, [1.0, 2.0, 3.0])
    fit.save(tmp_path / "batch.fit")
    again = ef.load(tmp_path / "batch.fit")
    assert str(again) == str(fit)
    assert again.report((0, 1)) == fit.report((0, 1))
    further = solver.fit(again.parameters[0], [1.0, 2.0, 3.1])
    assert further.success.all()


def test_other_files_are_refused_in_a_line(tmp_path):
    fitted("levels").save(tmp_path / "a.fit")
    whole = (tmp_path / "a.fit").read_bytes()
    with pytest.raises(FileNotFoundError):
        ef.load(tmp_path / "missing.fit")
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    (tmp_path / "text.fit").write_text("no archive")
    (tmp_path / "torn.fit").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.fit").write_bytes(b"")
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object))
    for name in ("other.npz", "text.fit", "torn.fit", "empty.fit", "pickle.npy"):
        with pytest.raises(
            ValueError, match="is not a fit that eigenfit saved"
        ) as told:
            ef.load(tmp_path / name)
        assert "\n" not in str(told.value)


def rewritten(path, change):
    with np.load(path) as file:
        arrays = dict(file)
    content = json.loads(str(arrays["fit"]))
    change(content, arrays)
    arrays["fit"] = np.array(json.dumps(content))
    np.savez(path.with_suffix(".npz"), **arrays)
    return path.with_suffix(".npz")


def test_later_formats_and_missing_parts_are_said(tmp_path):
    path = tmp_path / "a.fit"
    fitted("levels").save(path)
    later = rewritten(path, lambda content, _: content.update(format=99))
    with pytest.raises(ValueError, match="of format 99; this eigenfit reads up to 1"):
        ef.load(later)
    for change in (
        lambda content, _: content.pop("question"),
        lambda content, _: content["question"].pop("parts"),
        lambda _, arrays: arrays.pop("loss"),
        lambda _, arrays: arrays.pop("question.weights"),
    ):
        with pytest.raises(ValueError, match="is damaged"):
            ef.load(rewritten(path, change))


def test_nothing_is_pickled_and_a_failed_write_leaves_the_old_file(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.fit"
    fit = fitted("levels")
    fit.save(path)
    before = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            assert np.lib.format.read_array(archive.open(name)).dtype.char != b"O"

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        fit.save(path)
    assert path.read_bytes() == before
    assert [x.name for x in tmp_path.iterdir()] == ["a.fit"]


def test_a_file_of_the_first_format_is_read():
    """Written when fits had no units yet; the numbers are those that were printed."""
    fit = ef.load(Path(__file__).with_name("format-1.fit"))
    np.testing.assert_allclose(fit.parameters[1], [3.04544655, 1.84870728, 1.14537999])
    np.testing.assert_array_equal(fit.targets[0], [0.5, 2.5, 6.0])
    assert np.asarray(fit.num_steps).tolist() == [563, 572]
    assert fit.question.units == ()
    report = fit.report((1,))
    assert "chi-square 67.7 for 1 degree of freedom" in report
    assert "level 0" not in report  # no label, and no unit either
