"""The three forms of a configuration file."""

from __future__ import annotations

import pytest

from chalicelib.core.config import RunConfig, parse_config
from chalicelib.errors import ConfigError, Problem

LEAST = "APP_NAME = 'Screen'\nAWS_BUCKET = 'my-lab'\nAUTO_MONITOR = 'True'\n"


def python(text: str) -> RunConfig:
    return parse_config(LEAST + text, "config.py").config


def problems(text: str, source: str = "config.py") -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, source)
    assert caught.value.source == source
    return list(caught.value.problems)


def refused(text: str) -> Problem:
    (only,) = problems(LEAST + text)
    return only


def test_an_unedited_sample_of_dcp() -> None:
    sample = """
# Constants
APP_NAME = 'DistributedCP'                # a comment
LOG_GROUP_NAME = APP_NAME
DOCKERHUB_TAG = 'cellprofiler/distributed-cellprofiler:2.2.0_4.2.8'
AWS_REGION = 'us-east-1'
AWS_PROFILE = 'default'
SSH_KEY_NAME = 'your-key-file.pem'
AWS_BUCKET = 'your-bucket-name'
SOURCE_BUCKET = 'bucket-name'
WORKSPACE_BUCKET = 'bucket-name'
DESTINATION_BUCKET = 'bucket-name'
UPLOAD_FLAGS = ''
ECS_CLUSTER = 'default'
CLUSTER_MACHINES = 3
TASKS_PER_MACHINE = 1
MACHINE_TYPE = ['m5.xlarge']
MACHINE_PRICE = 0.20
EBS_VOL_SIZE = 30
DOWNLOAD_FILES = 'False'
ASSIGN_IP = 'True'
DOCKER_CORES = 4
CPU_SHARES = DOCKER_CORES * 1024
MEMORY = 15000
SECONDS_TO_START = 3*60
SQS_QUEUE_NAME = APP_NAME + 'Queue'
SQS_MESSAGE_VISIBILITY = 1*60
SQS_DEAD_LETTER_QUEUE = 'user_DeadMessages'
JOB_RETRIES = 3
AUTO_MONITOR = 'True'
CREATE_DASHBOARD = 'True'
CLEAN_DASHBOARD = 'True'
CHECK_IF_DONE_BOOL = 'False'
EXPECTED_NUMBER_FILES = 7
MIN_FILE_SIZE_BYTES = 1
NECESSARY_STRING = ''
ALWAYS_CONTINUE = 'False'
USE_PLUGINS = 'False'
UPDATE_PLUGINS = 'False'
PLUGINS_COMMIT = 'False'
INSTALL_REQUIREMENTS = 'False'
REQUIREMENTS = ''
"""
    parsed = parse_config(sample, "config.py")
    assert parsed.config.cpu_shares == 4096
    assert parsed.config.seconds_to_start == 180
    assert parsed.config.sqs_queue_name == "DistributedCPQueue"
    assert len([word for word in parsed.warnings if "placeholder" in word]) == 5
    assert len(parsed.warnings) == 5


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("30", 30),
        ("2 * (10 + 5)", 30),
        ("60 / 2", 30),
        ("-(-30)", 30),
        ("+31 - 1", 30),
        ("DOCKER_CORES * 10", 30),
        ("'3' + '0'", 30),
    ],
)
def test_arithmetic(expression: str, value: int) -> None:
    assert python(f"DOCKER_CORES = 3\nEBS_VOL_SIZE = {expression}").ebs_vol_size == value


def test_lists_text_and_booleans() -> None:
    found = python(
        "SMALL = ['m5.xlarge']\nMACHINE_TYPE = SMALL + ['m5a.xlarge', 'm6i' + '.xlarge']\n"
        "DOWNLOAD_FILES = True\nMACHINE_PRICE = None\nWORKSPACE_BUCKET = SOURCE_BUCKET = 'images'\n"
    )
    assert found.machine_type == ("m5.xlarge", "m5a.xlarge", "m6i.xlarge")
    assert found.download_files is True
    assert found.machine_price is None
    assert found.workspace_bucket == found.source_bucket == "images"
    found = python("MACHINE_TYPE = ('m5.large', 'm5a.large')\nMEMORY = 5000\nDOCKER_CORES = 2\n")
    assert found.machine_type == ("m5.large", "m5a.large")
    assert python("EBS_VOL_SIZE: int = 40").ebs_vol_size == 40


def test_what_isnt_code_is_passed_over() -> None:
    text = '\ufeff"""A docstring."""\n# comment\n' + LEAST
    assert parse_config(text, "config.py").config.app_name == "Screen"
    assert parse_config(text.replace("\n", "\r\n"), "my/Config.PY").config.app_name == "Screen"


def test_names_of_the_users_own_may_make_keys() -> None:
    text = "project = 'fly'\nAPP_NAME = project + '_qc'\nAWS_BUCKET = 'abc'\n"
    assert parse_config(text, "config.py").config.app_name == "fly_qc"
    # Even in a key's name, if in lower case and beside it.
    text = "app_name = 'fly'\nAPP_NAME = app_name + '_qc'\nAWS_BUCKET = 'abc'\n"
    assert parse_config(text, "config.py").config.app_name == "fly_qc"


def test_a_misspelt_key_is_told_even_where_other_keys_are_made_of_it() -> None:
    found = refused("DOCKER_CORS = 2\nCPU_SHARES = DOCKER_CORS * 1024")
    assert (found.where, found.hint) == ("DOCKER_CORS", "did you mean DOCKER_CORES?")
    assert refused("OWNER = 'me'").where == "OWNER"


def test_a_key_assigned_twice_is_reported() -> None:
    parsed = parse_config(LEAST + "EBS_VOL_SIZE = 30\nEBS_VOL_SIZE = 40\n", "config.py")
    assert parsed.config.ebs_vol_size == 40
    assert parsed.warnings == (
        "EBS_VOL_SIZE is assigned on line 4 and again on line 5; the last one counts.",
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import os",
        "from os import system",
        "EBS_VOL_SIZE = int('30')",
        "EBS_VOL_SIZE = __import__('os').getpid()",
        "ECS_CLUSTER = f'{APP_NAME}'",
        "EBS_VOL_SIZE = 30 if APP_NAME else 40",
        "if APP_NAME:\n    EBS_VOL_SIZE = 30",
        "for EBS_VOL_SIZE in [30]: pass",
        "def EBS_VOL_SIZE(): pass",
        "class Config: pass",
        "EBS_VOL_SIZE = 2 ** 5",
        "EBS_VOL_SIZE = 61 // 2",
        "EBS_VOL_SIZE = 61 % 31",
        "EBS_VOL_SIZE = [30][0]",
        "EBS_VOL_SIZE = APP_NAME.count",
        "EBS_VOL_SIZE = lambda: 30",
        "EBS_VOL_SIZE = {'a': 1}",
        "EBS_VOL_SIZE = [n for n in (30,)]",
        "EBS_VOL_SIZE = (n := 30)",
        "EBS_VOL_SIZE = ~30",
        "EBS_VOL_SIZE = not 30",
        "EBS_VOL_SIZE = 1 < 2",
        "EBS_VOL_SIZE = b'30'",
        "EBS_VOL_SIZE = 30j",
        "EBS_VOL_SIZE = ...",
        "EBS_VOL_SIZE = *[30],",
        "EBS_VOL_SIZE = UNDEFINED",
        "EBS_VOL_SIZE = EBS_VOL_SIZE",
        "EBS_VOL_SIZE += 1",
        "EBS_VOL_SIZE: int",
        "EBS_VOL_SIZE, MEMORY = 30, 1000",
        "del APP_NAME_2",
        "print('hello')",
        "pass",
        "ECS_CLUSTER = 'x' * 10**9",
        "ECS_CLUSTER = 'x' * 9",
        "ECS_CLUSTER = 'x' - 'y'",
        "ECS_CLUSTER = 'x' + 1",
        "ECS_CLUSTER = -'x'",
        "EBS_VOL_SIZE = True + 29",
        "EBS_VOL_SIZE = 30 / 0",
        "EBS_VOL_SIZE = 1e999",
        "EBS_VOL_SIZE = 10000000000 * 10000000000",
        "MACHINE_TYPE = [['m5.xlarge']]",
        "MACHINE_TYPE = ['m5.xlarge'] * 3",
    ],
)
def test_anything_else_is_refused_with_its_line(statement: str) -> None:
    found = refused(statement)
    assert found.where == "line 4"
    assert statement.split("\n")[0] in found.found


def test_every_refused_line_is_told_together_with_the_wrong_keys() -> None:
    text = "import os\nAPP_NAME = os.getlogin()\nSQS_QUEUE_NAME = APP_NAME + 'Queue'\nMEMORY = 0\n"
    # What is made of a refused name isn't told again, nor is it missing.
    assert [problem.where for problem in problems(text)] == [
        "line 1",
        "line 2",
        "MEMORY",
        "AWS_BUCKET",
    ]


def test_a_syntax_error_is_told_with_its_line() -> None:
    (found,) = problems(LEAST + "EBS_VOL_SIZE = = 3\n")
    assert found.where == "line 4"
    assert found.found == "EBS_VOL_SIZE = = 3"
    assert problems("A = 1\x00")[0].expected.startswith("must be")


@pytest.mark.parametrize(
    "value",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "[" * 5000 + "]" * 5000,
        "-" * 60000 + "1",
        "1+" * 30000 + "1",
        "1+" * 300 + "1",
        "'a'+" * 15000 + "'a'",
        "2**" * 20000 + "1",
        "a" + ".b" * 30000,
        "a" + "()" * 30000,
        "not " * 15000 + "1",
        "9" * 60000,
        "1" * 5000,
    ],
)
def test_hostile_nesting_is_refused(value: str) -> None:
    assert problems(f"{LEAST}MEMORY = {value}\n")


def test_growth_by_doubling_is_refused() -> None:
    doubling = "A = 'x'\n" + "A = A + A\n" * 60
    assert any("4000" in problem.expected for problem in problems(doubling))
    doubling = "A = [1]\n" + "A = A + A\n" * 60
    assert any("4000" in problem.expected for problem in problems(doubling))


def test_json() -> None:
    text = '{"APP_NAME": "Screen", "AWS_BUCKET": "my-lab", "_comment": 1, "_comment": 2, "MEMORY": 9000}'
    assert parse_config(text, "config.json").config.memory == 9000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"APP_NAME": "a", "APP_NAME": "b"}', "'APP_NAME': must be given once"),
        ('{"MEMORY": NaN}', "NaN is not a value"),
        ('{"MEMORY": -Infinity}', "-Infinity is not a value"),
        ("[1]", "must be a JSON object"),
        ("{", "must be JSON: "),
        ("", "must be JSON: "),
        ("[" * 60000, "deep nesting"),
        ('{"MEMORY": ' + "1" * 5000 + "}", "must be JSON: "),
    ],
)
def test_json_that_isnt_read(text: str, words: str) -> None:
    (found,) = problems(text, "config.json")
    assert words in str(found)


def test_json_numbers_beyond_all_bounds_are_refused() -> None:
    assert problems('{"MEMORY": 1e999}', "config.json")[0].where == "MEMORY"


def test_toml() -> None:
    text = 'APP_NAME = "Screen"\nAWS_BUCKET = "my-lab"\nMACHINE_TYPE = ["m5.xlarge"]\nASSIGN_IP = false\n'
    found = parse_config(text, "config.toml").config
    assert found.machine_type == ("m5.xlarge",)
    assert found.assign_ip is False


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "APP_NAME = 1\nAPP_NAME = 2",
        "[APP_NAME]\nx = 1",
        "MEMORY = nan",
        "MEMORY = 2020-01-01",
        "A = " + "[" * 30000,
    ],
)
def test_toml_that_isnt_read(text: str) -> None:
    assert problems(text, "config.toml")


def test_other_files_are_refused() -> None:
    for source in ("config.yaml", "config", "config.pyc"):
        assert "must be a .py, .json or .toml file" in str(problems(LEAST, source)[0])
    assert "65536 characters" in str(problems("#" * 70000)[0])
