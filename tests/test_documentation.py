"""What the documents show is what happens."""

import ast
import contextlib
import functools
import html
import inspect
import io
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import typer.testing
import yaml

import eigenfit
import eigenfit_export
import eigenfit_serving
from eigenfit_export import exporting

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
)


def blocks(page, language):
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def expected_output(lines, last):
    """Output that a comment beside or below a statement promises, if it is one."""
    beside = lines[last - 1].partition("  # ")[2]
    below = re.match(r"# (.*)", lines[last]) if last < len(lines) else None
    text = beside or (below[1] if below else "")
    # Prose may follow after two spaces.
    found = re.match(r"(\[[^\]]*\]|True|-?\d\S*)(?=$|  )", text)
    return found and found[1]


def run(source, names):
    """Runs each statement; what it prints is what the comment beside it shows."""
    lines = source.splitlines()
    checked = 0
    for node in ast.parse(source).body:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module([node], []), "page", "exec"), names)
        # The last statement of a block, such as one below `with`, counts for it.
        shown = expected_output(lines, node.end_lineno)
        if shown is not None:
            last = printed.getvalue().splitlines()[-1:]
            assert last == [shown], ast.get_source_segment(source, node)
            checked += 1
    return checked


# Number of outputs that the code of a page shows.
OUTPUTS = {
    "CONTRIBUTING.md": 6,
    "README.md": 3,
    "docs/derivatives.md": 3,
    "docs/guide.md": 9,
    "docs/serving.md": 2,
    "docs/tables.md": 2,
}

LONG = ("CONTRIBUTING.md", "docs/guide.md", "docs/serving.md", "docs/tables.md")


def test_every_page_with_code_is_run():
    assert {page for page in PAGES if blocks(page, "python")} == OUTPUTS.keys()


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in LONG)) for page in OUTPUTS],
)
def test_code_prints_what_the_page_shows(tmp_path, monkeypatch, page):
    monkeypatch.chdir(tmp_path)
    # A page adds a format, which is not for other tests.
    monkeypatch.setattr(exporting, "FORMATS", dict(exporting.FORMATS))
    names = {"__name__": "page"}
    assert run("\n".join(blocks(page, "python")), names) == OUTPUTS[page]


def numbers_apart(text):
    """The lines of a text without their numbers, and the numbers."""
    number = r"-?\d+\.?\d*(?:e[+-]?\d+)?"
    words = [re.sub(number, "#", line).strip() for line in text.splitlines()]
    return words, np.array(re.findall(number, text), float)


def test_the_problem_file_of_the_readme_prints_what_it_shows(monkeypatch):
    from eigenfit_serving.cli.app import app

    (shown,) = blocks("README.md", "toml")
    path = ROOT / "examples" / "two_spectra.toml"
    assert shown == path.read_text("utf-8")
    monkeypatch.setenv("COLUMNS", "88")
    result = typer.testing.CliRunner().invoke(app, ["fit", str(path)])
    assert result.exit_code == 0
    expected = blocks("README.md", "")[-1]
    lines = result.stdout.splitlines()[: len(expected.splitlines())]

    def without_time(text):
        return re.sub(r"[\d.]+ s$", "", text, flags=re.MULTILINE)

    words, values = numbers_apart(without_time("\n".join(x.rstrip() for x in lines)))
    shown_words, shown_values = numbers_apart(without_time(expected))
    assert words == shown_words
    np.testing.assert_allclose(values, shown_values, rtol=2e-2)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    for link in links:
        if "://" not in link:
            assert ((ROOT / page).parent / link).exists(), link


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 160


@functools.cache
def tree():
    """Paths of the tree, and the ends of those paths."""
    found = set()
    for folder in (
        "solver",
        "export",
        "serving",
        "benchmarks",
        "examples",
        "docs",
        "tests",
        ".ci",
    ):
        for path in (ROOT / folder).rglob("*"):
            parts = path.relative_to(ROOT).parts
            found |= {"/".join(parts[k:]) for k in range(len(parts))}
    return found


# Files that a reader of CONTRIBUTING.md would add.
TO_BE_ADDED = {
    "formats/arrays.py",
    "solver/eigenfit/methods/steepest_descent.py",
    "solver/eigenfit/observations/ratios.py",
    "solver/eigenfit/structures/circulant.py",
}


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"CHANGELOG.md"}))
def test_files_that_are_named_exist(page):
    text = (ROOT / page).read_text("utf-8")
    named = re.findall(r"[`\s]([\w.-]+(?:/[\w.-]+)*\.(?:py|json|service|conf))\b", text)
    assert {name for name in named if name not in tree()} <= TO_BE_ADDED


def test_the_notes_are_short_and_list_known_limits():
    notes = (ROOT / "BUILD_NOTES.md").read_text("utf-8")
    assert len(notes.splitlines()) < 300
    assert "\n## Known limits\n" in notes


def test_the_picture_shows_the_rooms_of_the_tree():
    script = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    svg = script["PICTURE"].read_text("utf-8")
    ids = map(html.unescape, re.findall(r'<g id="(eigenfit[^"]*)"', svg))
    # If this fails run docs/draw_architecture.py.
    assert set(ids) == script["content"]()


def test_the_version_to_cite_is_that_of_the_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    assert f'version = "{cited["version"]}"\n' in project


# What is public and has no example of its own, by name, and why.
WITHOUT_EXAMPLE = {
    r"eigenfit\.Abstract\w+(\.\w+)?": "CONTRIBUTING.md has worked examples of each",
    r"eigenfit\.(Deflation|Multistart)Result(\.\w+)?": "shown by what returns it",
    r"eigenfit\.(DistinctSolutions|MatchedFit)": "shown by what returns it",
    r"eigenfit\.Uncertainty(\.member)?": "shown by what returns it",
    r"eigenfit\.(Evaluation|Gradient|LevelDerivatives)": "shown by what returns it",
    r"eigenfit\.(Affine\.(basis|offset)|Reparametrized\.inner)": "an attribute",
    r"eigenfit\.Alternating\.\w+": "for the loop of a fit only",
    r"eigenfit\.(Comparison|Contours|Posterior|Profile)(\.\w+)?": "what returns it",
    r"eigenfit\.(Fit\.\w+|load)": "docs/guide.md",
    r"eigenfit\.Explorer(\.\w+)?": "the example of explore",
    r"eigenfit\.FitError": "Solution.raise_for_result raises one",
    r"eigenfit\.Levels\.(positions|slope|spread|nearest_spectrum)": "for methods only",
    r"eigenfit\.(Levels\.(residual|jacobian)|\w+\.matrix)": "for problems only",
    r"eigenfit\.Frequencies\.indices": "for problems only",
    r"eigenfit\.Parameters\.(priors|resolve)": "for problems only",
    r"eigenfit\.Result\.\w+": "the example of Result",
    r"eigenfit\.Solution\.success": "the example of Solution",
    r"eigenfit_export\.(\w+_solver|\w+_model|verify_export)": "that of the package",
    r"eigenfit_export\.(run_stablehlo|StableHlo(\.\w+)?)": "needs JAX, an extra",
    r"eigenfit_export\.(LoadedSolver|Finding|Start)\.\w+": "the example of the class",
    r"eigenfit_serving\.(Async)?Client\.\w+": "docs/serving.md; they need a server",
    r"eigenfit_serving\.InProcess\.\w+": "the example of the class",
    r"eigenfit_serving\.Served(\.\w+)?": "the example of the package",
    r"eigenfit_serving\.Tls\.read": "for transports only",
}


def public():
    """Yields what the packages offer, name and docstring, and what it overrides."""
    for package in (eigenfit, eigenfit_export, eigenfit_serving):
        for name in package.__all__:
            offered = getattr(package, name)
            yield f"{package.__name__}.{name}", inspect.getdoc(offered) or ""
            members = vars(offered) if inspect.isclass(offered) else {}
            for key, member in members.items():
                inherited = any(hasattr(base, key) for base in offered.__bases__)
                documented = isinstance(member, property | classmethod | staticmethod)
                if key.startswith("_") or inherited:
                    continue
                if documented or inspect.isfunction(member):
                    found = inspect.getdoc(member) or ""
                    yield f"{package.__name__}.{name}.{key}", found


def test_what_is_public_has_an_example_or_a_reason():
    without = {name for name, text in public() if ">>>" not in text}
    excused = {
        reason: {name for name in without if re.fullmatch(reason, name)}
        for reason in WITHOUT_EXAMPLE
    }
    assert without == set().union(*excused.values())
    assert all(excused.values()), "a reason that nothing needs"
