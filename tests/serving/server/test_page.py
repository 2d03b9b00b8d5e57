"""The page at `/`, in headless Chromium."""

import json
import math
import re

import pytest
from tests.export import chromium
from tests.serving.server.page_fakes import runner, solver
from tests.serving.server.rest_fakes import FakeServable, running, signature

from eigenfit import Result

FILES = ("/", "/page/page.js", "/page/page.css", "/page/icon.svg", "/page/results.json")

KIND = "document.getElementById('badge').dataset.kind"
READY = f"!document.getElementById('run').disabled && {KIND} === 'idle'"
ENDED = f"!['idle', 'running'].includes({KIND})"


def text_of(page, name):
    return page.evaluate(f"document.getElementById('{name}').textContent")


def enter(page, **values):
    for name, value in values.items():
        page.evaluate(f"document.getElementById('{name}').value = {json.dumps(value)}")
    page.evaluate("document.getElementById('form').requestSubmit()")


@pytest.fixture(scope="module")
def browser():
    if chromium.executable() is None:
        pytest.skip("no Chromium is installed")
    with chromium.browse("1280,1200") as page:
        yield page


@pytest.fixture
def toy():
    return solver()


@pytest.fixture
def client(toy):
    other = FakeServable("other", 1, {"serving_default": signature({"x": "DT_FLOAT"})})
    with running([toy, other], runner=runner(), page=True) as client:
        yield client


@pytest.fixture
def page(browser, client):
    browser.open(f"http://127.0.0.1:{client.port}/")
    browser.wait_for("document.readyState === 'complete'")
    # Names are sorted: the one that is no solver comes first.
    browser.wait_for(f"{KIND} === 'warn'")
    assert "eigenfit did not export it" in text_of(browser, "text")
    choose = "s.value = 'toy'; s.dispatchEvent(new Event('change'))"
    browser.evaluate(f"(s => {{ {choose} }})(document.getElementById('model'))")
    browser.wait_for(READY)
    return browser


def test_files(client):
    for path in FILES:
        answer = client("GET", path)
        assert answer.status == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in re.sub(r'"http://www\.w3\.org/[^"]*"', "", answer.text)
    page = client("GET", "/").text
    assert not re.search(r"<style|style=|<script(?! type=\"module\" src=)", page)
    assert client("POST", "/").status == 404
    with running() as without:
        assert without("GET", "/").status == 404


def test_texts_of_results_are_those_of_the_solver(client):
    found = json.loads(client("GET", "/page/results.json").body)
    expected = {
        str(int(x)): {"name": x.name, "text": x.text, "success": x.is_success}
        for x in Result
    }
    assert found == expected


def test_converges_before_the_eyes(page, toy):
    help_text = text_of(page, "targets-help")
    assert help_text == "3 ascending numbers, apart by commas or spaces"
    enter(page, targets="-1, 2.5 4", tolerance="1e-3")
    page.wait_for(ENDED)
    assert text_of(page, "badge") == "converged"
    assert text_of(page, "text") == Result.converged.text
    steps = int(text_of(page, "count"))
    assert toy.calls.count("step") == steps > 3
    assert toy.calls.count("init") == 1
    page.wait_for("document.querySelectorAll('#heat rect').length === 9")
    assert (
        page.evaluate("document.querySelectorAll('#levels-chart .level').length") == 3
    )
    drawn = page.evaluate(
        "document.querySelector('#loss-chart .loss').getAttribute('d')"
    )
    assert drawn.count("L") == steps
    label = page.evaluate("document.getElementById('heat').getAttribute('aria-label')")
    assert label.startswith("Matrix of order 3")
    rows = page.evaluate(
        "[...document.querySelectorAll('#levels tbody tr')].map(row => "
        "[...row.cells].map(cell => Number(cell.textContent.replace('−', '-'))))"
    )
    for _, target, reached in rows:
        assert abs(target - reached) < 0.1
    assert "converged" in page.evaluate("document.title")


def test_without_a_tolerance_the_model_decides(page, toy):
    enter(page, targets="-1, 2.5 4", tolerance="")
    page.wait_for(ENDED)
    assert text_of(page, "badge") == "converged"
    assert float(text_of(page, "loss").replace("−", "-")) <= 3 * 4e-10**2
    assert page.evaluate("document.querySelector('#loss-chart .tolerance')") is None
    assert all(given == 0 for given in toy.tolerances)


def test_a_minimum_is_a_success(page, toy):
    toy.minimum = True
    enter(page, targets="1 2 3", tolerance="", steps="3")
    page.wait_for(ENDED)
    shown = [text_of(page, name) for name in ("badge", "text")]
    assert shown == ["minimum", Result.minimum.text]
    assert page.evaluate(KIND) == "good"


def test_says_how_else_it_ended(page):
    enter(page, targets="1 2 3", tolerance="1e-30", steps="4")
    page.wait_for(ENDED)
    assert text_of(page, "badge") == "max steps"
    assert text_of(page, "count") == "4"
    assert text_of(page, "text") == Result.max_steps.text
    enter(page, targets="3 2 1")
    page.wait_for(f"{KIND} === 'bad'")
    assert text_of(page, "text") == Result.invalid_input.text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("targets", "1, 2", "This model wants 3 numbers, not 2."),
        ("targets", "1, two, 3", "Entry 2 is not a number."),
        ("targets", "", "Enter the eigenvalues."),
        ("tolerance", "-1", "The tolerance must be a positive number, or empty."),
        ("steps", "1.5", "The steps must be a whole number."),
        ("seed", "x", "The seed must be a whole number."),
    ],
)
def test_names_what_is_wrong_in_the_form(page, toy, field, value, message):
    enter(page, **{field: value})
    assert text_of(page, "targets-error") == message
    assert page.evaluate("document.activeElement.id") == field
    assert page.evaluate(f"document.getElementById('{field}').ariaInvalid") == "true"
    assert (text_of(page, "badge"), text_of(page, "text")) == ("not run", message)
    assert not toy.calls


def test_another_model_begins_with_nothing(page):
    enter(page, targets="1 2 3", tolerance="1e-2")
    page.wait_for(ENDED)
    page.wait_for("document.querySelectorAll('#heat rect').length === 9")
    enter(page, targets="1 2")
    choose = "s.value = 'other'; s.dispatchEvent(new Event('change'))"
    page.evaluate(f"(s => {{ {choose} }})(document.getElementById('model'))")
    page.wait_for("document.getElementById('badge').textContent === 'not a solver'")
    assert [text_of(page, x) for x in ("loss", "count", "time")] == ["–"] * 3
    drawn = "document.querySelectorAll('main svg *, tbody tr').length"
    assert page.evaluate(drawn) == 0
    assert page.evaluate("document.getElementById('targets-error').hidden")
    assert "3" not in text_of(page, "targets-help")


@pytest.mark.parametrize("tolerance", ["1e-3", "1e20"])
def test_losses_are_drawn_where_they_are(page, tolerance):
    enter(page, targets="1 2 3", tolerance=tolerance)
    page.wait_for(ENDED)
    page.wait_for("document.querySelector('#loss-chart .dot') !== null")
    loss = float(text_of(page, "loss").replace("−", "-"))
    # Two labels of the axis tell what a height stands for.
    heights = page.evaluate(
        "[...document.querySelectorAll('#loss-chart text[text-anchor=end]')]"
        ".map(t => [t.textContent.replace('−', '-'), t.getAttribute('y') - 4])"
        ".filter(([t]) => t === '1' || t.startsWith('1e'))"
    )
    (first, low), (last, high) = heights[0], heights[-1]
    span = math.log10(float(last)) - math.log10(float(first))
    dot = float(
        page.evaluate("document.querySelector('#loss-chart .dot').getAttribute('cy')")
    )
    drawn = math.log10(float(first)) + span * (dot - low) / (high - low)
    assert drawn == pytest.approx(math.log10(loss), abs=0.1)


def test_stops(page, toy):
    enter(page, targets="1 2 3", tolerance="1e-300", steps="100000")
    page.wait_for("Number(document.getElementById('count').textContent) > 2")
    page.evaluate("document.getElementById('stop').click()")
    page.wait_for(f"{KIND} === 'warn'")
    assert text_of(page, "badge") == "stopped"
    page.wait_for("!document.getElementById('run').disabled")


def test_asks_for_a_key(browser, tmp_path):
    file = tmp_path / "keys"
    file.write_text("the-key")
    with running(
        [solver()], runner=runner(), page=True, api_key_file=str(file)
    ) as client:
        browser.open(f"http://127.0.0.1:{client.port}/")
        browser.wait_for("document.readyState === 'complete'")
        browser.wait_for("!document.getElementById('key-field').hidden")
        browser.evaluate("document.getElementById('key').value = 'the-key'")
        browser.evaluate("document.getElementById('use-key').click()")
        browser.wait_for(READY)
        assert browser.evaluate("document.getElementById('key-field').hidden")


def test_shows_an_error_of_the_server(page, client, toy):
    del toy.signatures["step"]
    enter(page, targets="1 2 3")
    page.wait_for(f"{KIND} === 'bad'")
    expected = 'Serving signature name: "step" not found in signature def'
    assert text_of(page, "text") == expected


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_fits_the_screen(page, width):
    size = {
        "width": width,
        "height": 900,
        "deviceScaleFactor": 1,
        "mobile": width < 500,
    }
    page._call("Emulation.setDeviceMetricsOverride", **size)
    try:
        enter(page, targets="1 2 3", tolerance="1e-2")
        page.wait_for(ENDED)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    finally:
        page._call("Emulation.clearDeviceMetricsOverride")


def test_everything_has_a_label(page):
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button, svg[role]')]"
        ".filter(x => !(x.labels?.length || x.ariaLabel || x.textContent.trim() ||"
        " x.getAttribute('aria-label'))).map(x => x.outerHTML)"
    )
    assert unnamed == []
