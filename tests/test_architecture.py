"""The rooms hold, and each rule notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests import architecture
from tests.syntax import Source, sources

Rule = Callable[[Source], Iterator[str]]

CORE = "chalicelib/core/decide.py"
AWS = "chalicelib/aws/queue.py"
HANDLER = "chalicelib/handlers/tick.py"
WORKER = "worker/lease.py"
TEST = "tests/aws/test_queue.py"


@pytest.mark.parametrize("rule", architecture.RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Rule) -> None:
    files = sources()
    assert "chalicelib/contract/__init__.py" in {source.path for source in files}
    assert [offence for source in files for offence in rule(source)] == []


BAD: list[tuple[Rule, str, str]] = [
    (architecture.rooms, CORE, "import boto3"),
    (architecture.rooms, CORE, "from chalicelib.aws import queue"),
    (architecture.rooms, CORE, "from chalicelib.operations import submit"),
    (architecture.rooms, CORE, "from ..aws.queue import send"),
    (architecture.rooms, CORE, "def f():\n    import requests"),
    (architecture.rooms, "chalicelib/contract/__init__.py", "import pydantic"),
    (architecture.rooms, "chalicelib/contract/__init__.py", "from chalicelib import errors"),
    (architecture.rooms, "chalicelib/errors.py", "import botocore.exceptions"),
    (architecture.rooms, "chalicelib/new_room.py", "import boto3"),
    (architecture.rooms, AWS, "from chalicelib.handlers import tick"),
    (architecture.rooms, AWS, "import worker.supervisor"),
    (architecture.rooms, HANDLER, "import boto3"),
    (architecture.rooms, HANDLER, "from local import aws"),
    (architecture.rooms, AWS, "from mypy_boto3_sqs import SQSClient"),
    (architecture.rooms, WORKER, "from chalicelib.core import naming"),
    (architecture.rooms, WORKER, "from chalicelib import errors"),
    (architecture.rooms, WORKER, "import psutil"),
    (architecture.rooms, "local/aws.py", "from chalicelib.handlers import tick"),
    (architecture.rooms, "scripts/pin.py", "from local import aws"),
    (architecture.rooms, "app.py", "import local"),
    (architecture.pure_core, CORE, "import os"),
    (architecture.pure_core, CORE, "from pathlib import Path"),
    (architecture.pure_core, CORE, "from time import monotonic"),
    (architecture.pure_core, CORE, "from random import shuffle"),
    (architecture.pure_core, CORE, "import datetime as dt\nnow = dt.datetime.now(dt.UTC)"),
    (architecture.pure_core, CORE, "from datetime import datetime\nnow = datetime.now()"),
    (architecture.pure_core, CORE, "def read(name):\n    return open(name)"),
    (architecture.pure_core, "chalicelib/settings.py", "from os import environ"),
    (architecture.pure_core, CORE, "from uuid import uuid4\nname = uuid4()"),
    (architecture.no_client_at_import, AWS, "import boto3\nsqs = boto3.client('sqs')"),
    (architecture.no_client_at_import, AWS, "from boto3 import Session as S\ns = S()"),
    (architecture.no_client_at_import, AWS, "import boto3\nclass Q:\n    s3 = boto3.client('s3')"),
    (architecture.no_client_at_import, AWS, "import boto3 as b\ndef f(c=b.client('s3')): ..."),
    (architecture.no_patching_of_aws, TEST, "from botocore.stub import Stubber"),
    (architecture.no_patching_of_aws, TEST, "from botocore import stub"),
    (architecture.no_patching_of_aws, TEST, "from moto import mock_aws"),
    (architecture.no_patching_of_aws, TEST, "def t(mp): mp.setattr('boto3.client', None)"),
    (architecture.no_patching_of_aws, TEST, "import boto3\ndef t(mp): mp.setattr(boto3, 'x', 1)"),
    (architecture.no_patching_of_aws, TEST, "def t(mp): mp.setattr(queue, 'boto3', None)"),
    (
        architecture.no_patching_of_aws,
        TEST,
        "from unittest import mock\n@mock.patch('chalicelib.aws.queue.boto3.client')\ndef t(c): ...",
    ),
    (
        architecture.no_patching_of_aws,
        TEST,
        "from unittest.mock import patch\nfrom botocore.client import BaseClient\n"
        "def t():\n    with patch.object(BaseClient, '_make_api_call'): ...",
    ),
    (architecture.no_patching_of_aws, TEST, "import boto3\nboto3.client = None"),
    (architecture.python_3_8, WORKER, "match x:\n    case 1: ..."),
    (architecture.python_3_8, WORKER, "with (open('a') as a, open('b') as b): ..."),
    (architecture.python_3_8, WORKER, "name = 'x.csv'.removesuffix('.csv')"),
    (architecture.python_3_8, WORKER, "both = a | {'k': 1}"),
    (architecture.python_3_8, WORKER, "a |= dict(k=1)"),
    (architecture.python_3_8, WORKER, "def f(x: list[int]) -> None: ..."),
    (architecture.python_3_8, WORKER, "def f(x: str | None) -> None: ..."),
    (architecture.python_3_8, WORKER, "from __future__ import annotations\nRows = list[int]"),
    (architecture.python_3_8, WORKER, "from functools import partial\nzip(a, b, strict=True)"),
    (architecture.python_3_8, WORKER, "@dataclasses.dataclass(kw_only=True)\nclass A: ..."),
    (architecture.python_3_8, WORKER, "from datetime import UTC"),
    (architecture.python_3_8, WORKER, "with contextlib.chdir(folder): ..."),
    (architecture.python_3_8, "chalicelib/contract/__init__.py", "import zoneinfo"),
]

GOOD: list[tuple[Rule, str, str]] = [
    (architecture.rooms, CORE, "import json\nimport pydantic\nfrom chalicelib.errors import E"),
    (architecture.rooms, CORE, "from . import naming\nfrom .config import RunConfig"),
    (
        architecture.rooms,
        HANDLER,
        "from chalicelib.aws import queue\nfrom chalicelib.core import x",
    ),
    (architecture.rooms, WORKER, "from chalicelib import contract\nimport boto3"),
    (architecture.rooms, "app.py", "from chalicelib.handlers import tick\nimport chalice"),
    (
        architecture.rooms,
        AWS,
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mypy_boto3_sqs import SQSClient",
    ),
    (architecture.pure_core, CORE, "from datetime import datetime, timedelta\nnow: datetime"),
    (architecture.pure_core, AWS, "import os, time\nopen('x')"),
    (architecture.no_client_at_import, AWS, "import boto3\ndef sqs(): return boto3.client('sqs')"),
    (architecture.no_client_at_import, AWS, "from botocore.config import Config\nC = Config()"),
    (architecture.no_patching_of_aws, TEST, "def t(mp): mp.setattr('time.sleep', None)"),
    (architecture.no_patching_of_aws, TEST, "import boto3\ndef t(): boto3.client('s3')"),
    (
        architecture.python_3_8,
        WORKER,
        "if (n := 1): ...\nos.chdir('/')\nx = flags | os.O_CREAT\nd = {**a, 'k': 1}",
    ),
    (architecture.python_3_8, WORKER, "from __future__ import annotations\nx: list[str] | None"),
    (architecture.python_3_8, WORKER, "Settings(slots=2, strict=True)"),
    (architecture.python_3_8, CORE, "name.removesuffix('.csv')"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_a_rule_reports(rule: Rule, path: str, text: str) -> None:
    (offence, *_) = rule(Source(path, text))
    assert offence.startswith(f"{path}:")


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_a_rule_lets_pass(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source(path, text))) == []
