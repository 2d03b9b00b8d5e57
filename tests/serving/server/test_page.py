"""The page at `/`, in headless Chromium."""

import json
import math
import re
import shutil
import subprocess

import pytest
from tests.export import chromium
from tests.serving.server.page_fakes import runner, solver
from tests.serving.server.rest_fakes import (
    FakeGate,
    FakeModels,
    FakeServable,
    running,
    signature,
)

from eigenfit import Result
from eigenfit_serving.protocol.status import Code
from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.watching.metrics import Metrics

FILES = (
    "/",
    *(f"/page/{x}.js" for x in ("common", "drawing", "fit", "monitor", "page")),
    *(f"/page/{x}" for x in ("predict.js", "server.js", "page.css", "icon.svg")),
    "/page/results.json",
)

KIND = "document.getElementById('badge').dataset.kind"
READY = f"!document.getElementById('run').disabled && {KIND} === 'idle'"
ENDED = f"!['idle', 'running'].includes({KIND})"
REPLAYED = "(at => at.value === at.max)(document.getElementById('at'))"


def text_of(page, name):
    return page.evaluate(f"document.getElementById('{name}').textContent")


def enter(page, **values):
    for name, value in values.items():
        page.evaluate(f"document.getElementById('{name}').value = {json.dumps(value)}")
    page.evaluate("document.getElementById('form').requestSubmit()")


def choose(page, name, value):
    page.evaluate(
        f"(s => {{ s.value = '{value}'; s.dispatchEvent(new Event('change',"
        f" {{bubbles: true}})) }})(document.getElementById('{name}'))"
    )


def cells(page, table):
    return page.evaluate(
        f"[...document.querySelectorAll('#{table} tbody tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )


@pytest.fixture(scope="module")
def browser():
    if chromium.executable() is None:
        pytest.skip("no Chromium is installed")
    with chromium.browse("1280,1200") as page:
        yield page


@pytest.fixture
def toy():
    return solver()


class MeasuringGate(FakeGate):
    """A gate with metrics."""

    def __init__(self):
        super().__init__()
        self.metrics = Metrics()

    def render(self) -> bytes:
        return self.metrics.render()


@pytest.fixture
def gate():
    return MeasuringGate()


@pytest.fixture
def client(toy, gate):
    other = FakeServable(
        "other", 1, {"serving_default": signature({"x": "DT_FLOAT"}, {"x": "DT_FLOAT"})}
    )
    models = FakeModels([toy, other, solver("zoo")], {("zoo", 1): "LOADING"})
    with running(models, gate=gate, runner=runner(), page=True) as client:
        yield client


def opened(browser, client):
    browser.complaints.clear()
    browser.open(f"http://127.0.0.1:{client.port}/")
    browser.wait_for("document.readyState === 'complete'")
    browser.wait_for(READY)
    return browser


@pytest.fixture
def page(browser, client, toy):
    page = opened(browser, client)
    # Names are sorted: the one that is no solver comes first.
    assert page.evaluate("document.getElementById('model').value") == "toy"
    assert toy.calls == ["fit_from_random"]
    yield page
    assert page.complaints == []


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


def test_a_run_is_one_request_that_is_replayed(page, toy):
    help_text = text_of(page, "targets-help")
    assert help_text == "3 ascending numbers, apart by commas or spaces"
    toy.calls.clear()
    enter(page)
    page.wait_for(f"{ENDED} && {REPLAYED}")
    assert toy.calls == ["fit_trace"]
    assert text_of(page, "badge") == "converged"
    assert text_of(page, "text") == Result.converged.text
    steps = int(text_of(page, "count"))
    assert steps > 3
    assert text_of(page, "at-step") == f"step {steps}"
    assert re.fullmatch(r"[\d.]+ m?s", text_of(page, "time"))
    assert page.evaluate("document.querySelectorAll('#heat rect').length") == 9
    levels = "document.querySelectorAll('#levels-chart .level:not(.rest)').length"
    assert page.evaluate(levels) == 3
    drawn = page.evaluate(
        "document.querySelector('#loss-chart .loss:not(.rest)').getAttribute('d')"
    )
    assert drawn.count("L") == steps
    label = page.evaluate("document.getElementById('heat').getAttribute('aria-label')")
    assert label.startswith("Matrix of order 3")
    for _, target, reached in cells(page, "levels"):
        assert abs(float(target) - float(reached)) < 1e-6
    assert "converged" in page.evaluate("document.title")


def test_a_snapshot_can_be_looked_at(page):
    enter(page, tolerance="1e-12")
    page.wait_for(f"{ENDED} && {REPLAYED}")
    last = float(cells(page, "levels")[0][2])
    page.evaluate(
        "(at => { at.value = 1; at.dispatchEvent(new Event('input')) })"
        "(document.getElementById('at'))"
    )
    assert text_of(page, "at-step") == "step 1"
    first = float(cells(page, "levels")[0][2].replace("−", "-"))
    assert abs(first - 1) > 1e3 * abs(last - 1)
    drawn = page.evaluate(
        "document.querySelector('#loss-chart .loss:not(.rest)').getAttribute('d')"
    )
    assert drawn.count("L") == 1


def test_the_time_is_that_of_the_server(page, client):
    answer = client("POST", "/v1/models/other:predict", '{"instances": [1.0]}')
    assert re.fullmatch(r"total;dur=\d+\.\d{3}", answer.headers["server-timing"])
    page.evaluate(
        "void Object.defineProperty(Response.prototype, 'headers', {get: () => "
        "new Headers({'server-timing': 'total;dur=1234.5'})})"
    )
    enter(page)
    page.wait_for(ENDED)
    assert text_of(page, "time") == "1.23 s"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_request_can_be_pasted(page):
    enter(page, targets="-1, 2.5 4", starts="2")
    page.wait_for(ENDED)
    command = ["bash", "-c", text_of(page, "curl")]
    done = subprocess.run(command, capture_output=True, check=True)
    outputs = json.loads(done.stdout)["outputs"]
    assert outputs["result"] == [0, 0]
    assert outputs["num_steps"] == [int(text_of(page, "count"))] * 2
    assert outputs["eigenvalues"][0] == pytest.approx([-1, 2.5, 4])


def test_solutions_that_differ_are_told_apart(page, toy):
    toy.signs = [[1], [-1], [1], [1], [1]]
    enter(page, starts="5", seed="7")
    page.wait_for(ENDED)
    assert text_of(page, "found") == "2 from 5 starts"
    rows = cells(page, "solutions")
    assert [row[:3] for row in rows] == [
        ["7", "4", "converged"],
        ["8", "1", "converged"],
    ]
    assert rows[0][5] == "1, 2, 3"
    chosen = (
        "[...document.querySelectorAll('#solutions tbody tr')].map(x => x.ariaCurrent)"
    )
    assert page.evaluate(chosen) == ["true", "false"]
    page.evaluate("document.querySelectorAll('#solutions button')[1].click()")
    assert page.evaluate(chosen) == ["false", "true"]


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
        ("starts", "0", "The starts must be a whole number from 1 to 64."),
        ("seed", "x", "The seed must be a whole number."),
    ],
)
def test_names_what_is_wrong_in_the_form(page, toy, field, value, message):
    toy.calls.clear()
    enter(page, **{field: value})
    assert text_of(page, "targets-error") == message
    assert page.evaluate("document.activeElement.id") == field
    assert page.evaluate(f"document.getElementById('{field}').ariaInvalid") == "true"
    assert (text_of(page, "badge"), text_of(page, "text")) == ("not run", message)
    assert not toy.calls


def test_another_model_begins_with_nothing(page):
    enter(page, targets="1 2 3", tolerance="1e-2")
    page.wait_for(f"{ENDED} && {REPLAYED}")
    enter(page, targets="1 2")
    choose(page, "model", "other")
    page.wait_for(READY)
    choose(page, "model", "toy")
    page.wait_for(f"{READY} && document.querySelectorAll('main svg *').length === 0")
    names = ("loss", "count", "time", "found")
    assert [text_of(page, x) for x in names] == ["–"] * 4
    assert page.evaluate("document.querySelectorAll('tbody tr').length") == 0
    assert page.evaluate("document.getElementById('targets-error').hidden")


def test_what_is_no_solver_has_a_form_of_its_inputs(page):
    choose(page, "model", "other")
    page.wait_for("document.getElementById('text').textContent.startsWith('No solver')")
    assert text_of(page, "inputs") == "x: float [?]"
    assert page.evaluate("document.getElementById('loss-chart').checkVisibility()") is (
        False
    )
    page.evaluate("document.querySelector('#inputs textarea').value = '[1.5, NaN'")
    enter(page)
    assert text_of(page, "text") == "The input x is not JSON."
    page.evaluate("document.querySelector('#inputs textarea').value = '[1.5, NaN]'")
    enter(page)
    page.wait_for(f"{KIND} === 'good'")
    assert text_of(page, "outputs") == "x = [1.5, NaN]"
    assert '"inputs": {"x": [1.5, NaN]}' in text_of(page, "curl")


def test_the_server_is_looked_at(page, gate):
    for model, signature_name, code, seconds in (
        ("toy", "fit_trace", Code.OK, 0.25),
        ("toy", "fit_trace", Code.OK, 0.75),
        ("toy", "step", Code.OK, 0.004),
        ("other", "serving_default", Code.INTERNAL, 0.1),
    ):
        context = RequestContext("predict", "REST", "id", None, model)
        context.version, context.signature = 1, signature_name
        gate.metrics.begin()
        gate.metrics.end(context, code, seconds)
    page.evaluate("location.hash = '#server'")
    page.wait_for("document.querySelectorAll('#requests tbody tr').length === 2")
    assert not page.evaluate("document.getElementById('form').checkVisibility()")
    assert cells(page, "models") == [
        ["other", "1", "available", "–"],
        ["toy", "1", "available", "–"],
        ["zoo", "1", "loading", "–"],
    ]
    assert cells(page, "requests") == [
        ["toy", "fit_trace", "2", "500 ms", "≤ 256 ms", "≤ 1.02 s"],
        ["toy", "step", "1", "4 ms", "≤ 4 ms", "≤ 4 ms"],
    ]
    counted = [text_of(page, x) for x in ("answered", "failed", "flight")]
    assert counted == ["3", "1", "0"]
    megabytes = int(text_of(page, "memory").removesuffix(" MiB"))
    assert 50 < megabytes < 50_000
    page.evaluate("location.hash = ''")
    page.wait_for("document.getElementById('form').checkVisibility()")


@pytest.mark.parametrize("tolerance", ["1e-3", "1e20"])
def test_losses_are_drawn_where_they_are(page, tolerance):
    enter(page, targets="1 2 3", tolerance=tolerance)
    page.wait_for(ENDED)
    page.wait_for(REPLAYED)
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
    toy.released.clear()
    enter(page)
    page.wait_for(f"{KIND} === 'running'")
    page.evaluate("document.getElementById('stop').click()")
    page.wait_for(f"{KIND} === 'warn'")
    assert text_of(page, "badge") == "stopped"
    page.wait_for("!document.getElementById('run').disabled")
    toy.released.set()


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
        assert client("GET", "/page/metrics").status == 401
        assert client("GET", "/page/metrics", x_api_key="the-key").status == 200


def test_shows_an_error_of_the_server(page, toy):
    del toy.signatures["fit_trace"]
    enter(page, targets="1 2 3")
    page.wait_for(f"{KIND} === 'bad'")
    expected = 'Serving signature name: "fit_trace" not found in signature def'
    assert text_of(page, "text") == expected
    page.complaints.clear()


@pytest.mark.parametrize("width", [320, 400, 768, 1280])
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
        for view in ("#fit", "#server"):
            page.evaluate(f"location.hash = '{view}'")
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
