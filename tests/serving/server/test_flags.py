import subprocess
import sys
from dataclasses import fields

import pytest

from eigenfit_serving.server.options import WITHOUT_EFFECT, Options
from eigenfit_serving.server.process.flags import FlagError, help_text, parse_flags
from eigenfit_serving.server.process.main import main


def test_no_flags_give_the_defaults():
    command = parse_flags([])
    assert command.options == Options()
    assert not command.has_rest
    assert command.action == ""


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--port=9000"], "port", 9000),
        (["--port", "9000"], "port", 9000),
        (["--port=1", "--port=2"], "port", 2),
        (["--model_name=a=b"], "model_name", "a=b"),
        (["--model_name="], "model_name", ""),
        (["--model_name", "x"], "model_name", "x"),
        (["--strict_shapes"], "strict_shapes", True),
        (["--strict_shapes=true"], "strict_shapes", True),
        (["--strict_shapes=1"], "strict_shapes", True),
        (["--strict_shapes", "false"], "strict_shapes", False),
        (["--enable_model_warmup=false"], "enable_model_warmup", False),
        (["--enable_model_warmup=0"], "enable_model_warmup", False),
        (["--noenable_model_warmup"], "enable_model_warmup", False),
        (["--no-enable_model_warmup"], "enable_model_warmup", False),
        (["--drain_timeout_seconds=2.5"], "drain_timeout_seconds", 2.5),
        (["--file_system_poll_wait_seconds=-1"], "file_system_poll_wait_seconds", -1),
        (["--load_retry_interval_micros=7"], "load_retry_interval_micros", 7),
    ],
)
def test_ways_to_write_a_flag(arguments, name, value):
    command = parse_flags(arguments)
    assert getattr(command.options, name) == value
    assert command.given == {name}
    assert not command.unknown


def test_a_switch_does_not_swallow_what_follows():
    command = parse_flags(["--strict_shapes", "what", "--port", "1"])
    assert command.options.strict_shapes
    assert command.unknown == ("what",)
    assert command.options.port == 1


@pytest.mark.parametrize("name", [field.name for field in fields(Options)])
def test_every_option_is_a_flag_with_a_text(name):
    default = getattr(Options(), name)
    text = {bool: "true", int: "3", float: "3", str: "3"}[type(default)]
    found = parse_flags([f"--{name}={text}"])
    assert getattr(found.options, name) == type(default)(text)
    assert f"--{name}\n" in help_text()


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        ("--port=x", "Couldn't interpret value x for flag port."),
        ("--port=", "Couldn't interpret value  for flag port."),
        ("--port=-1", "Couldn't interpret value -1 for flag port."),
        (
            "--port=65536",
            "Couldn't interpret value 65536 for flag port. Ports end at 65535.",
        ),
        ("--port=1.5", "Couldn't interpret value 1.5 for flag port."),
        (
            "--drain_timeout_seconds=nan",
            "Couldn't interpret value nan for flag drain_timeout_seconds.",
        ),
        (
            "--strict_shapes=maybe",
            "Couldn't interpret value maybe for flag strict_shapes.",
        ),
        ("--port", "--port needs a value, such as --port=8500."),
    ],
)
def test_wrong_values_are_told(argument, text, capsys):
    with pytest.raises(FlagError) as caught:
        parse_flags([argument])
    assert str(caught.value) == text
    assert main([argument]) == 255
    assert capsys.readouterr().err == f"{text}\n"


def test_unknown_and_idle_flags_are_told_and_ignored():
    command = parse_flags(
        ["--what=1", "-x", "word", "--use_alts_credentials", "--nowhere"]
        + [f"--{name}=1" for name in WITHOUT_EFFECT]
    )
    assert command.options == Options()
    *unknown, idle = command.warnings()
    assert unknown == [
        "unknown argument: --what=1",
        "unknown argument: -x",
        "unknown argument: word",
        "unknown argument: --nowhere",
    ]
    assert idle.startswith("Without effect here: --use_alts_credentials (ALTS exists")
    assert all(idle.count(f"--{name} (") == 1 for name in WITHOUT_EFFECT)
    assert "--enable_batching (" in idle
    assert parse_flags(["--port=1"]).warnings() == []


def test_rest_is_there_if_asked_for():
    assert parse_flags(["--rest_api_port=8501"]).has_rest
    assert not parse_flags(["--rest_api_port=0"]).has_rest
    assert not parse_flags(["--free_ports"]).has_rest
    assert parse_flags(["--rest_api_port=0", "--free_ports"]).has_rest


def test_grpc_has_a_port_unless_it_is_0():
    assert parse_flags([]).has_tcp
    assert not parse_flags(["--port=0"]).has_tcp
    assert parse_flags(["--port=0", "--free_ports"]).has_tcp


def test_help_and_version_need_no_tensorflow():
    program = (
        "import sys\n"
        "from eigenfit_serving.server.process.main import main\n"
        "codes = [main(['--help']), main(['--version']), main(['-h'])]\n"
        "heavy = {'tensorflow', 'grpc', 'httptools', 'prometheus_client'}\n"
        "sys.exit(any(codes) or bool(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "--model_base_path=/models/identity" in done.stdout
    assert "\nTensorFlow Library: 2." in done.stdout
