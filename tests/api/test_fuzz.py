"""2,000 hostile requests: each is refused clearly, and none makes anything."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from chalicelib.core.api.routes import ROUTES, Route
from tests.api.conftest import Api
from tests.aws.samples import config_keys, job_file

REQUESTS = 2_000

NAMES = [
    "..", ".", "...", "%2e%2e", "%2e%2e%2f%2e%2e", "..%2f..%2fruns", "a%00b", "%00", "a%0ab", "App%0a",
    "%20", "a b", "-App", "_App", "x" * 61, "x" * 5_000, "App%2f..%2fOther", "%c3%84pp", "%f0%9f%98%80",
    "%ff%fe", "a;b", "a'--", "$(id)", "%24%7Bx%7D", "{app}", "*", "?", "App%3f", "App%23", "a\\b",
    "%5c..%5c", "%e2%80%ae", "%ed%a0%80", "null", "con:", "a@b", "a,b", "'", "%22", "<script>",
]  # fmt: skip

VALUES: list[Any] = [
    None, True, 0, -1, 10**400, 1.5, 1e308, "", " ", "../../etc/passwd", "\x00", "x" * 100_000,
    "\u202e", "\U0001f600", [], [[]], {}, {"a": {}}, [None] * 1_000, "NaN", "${jndi:ldap://x}",
    {"__class__": "os"}, "a\nb", "s3://other-bucket/x", {"Metadata": ["../.."]},
]  # fmt: skip

RAW: list[bytes] = [
    b"{", b"}", b"[", b"null", b"true", b"7", b'"text"', b"[]", b"{}x", b"\xff\xfe", b"\x00", b"NaN",
    b'{"config": NaN}', b'{"machines": Infinity}', b'{"machines": 1, "machines": 2}',
    b'{"config": {}, "config": {}}', b'{"groups": [], "groups": []}', b"[" * 50_000, b'{"a":' * 5_000,
    b'{"machines": ' + b"9" * 5_000 + b"}", b'{"config": {"APP_NAME": "\\ud800"}}', b"\xef\xbb\xbf{",
    b'{"fleet": 1e999}', b'{"groups": [NaN]}', b"<xml/>", b"a=b&c=d", b"{" + b" " * 600_000 + b"x",
]  # fmt: skip

QUERIES = [
    "limit=0", "limit=101", "limit=-1", "limit=x", "limit=1&limit=2", "limit=1e3", "after=..", "after=%00",
    "after=../../apps", "app=..", "app=App%2F..", "app=", "live=maybe", "unknown=1", "outcome=all",
    "start=maybe", "name=..", "name=a%2Fb", "name=" + "x" * 200, "after=" + "9" * 3_000, "%00=1", "=",
]  # fmt: skip


def hostile(seed: int) -> Iterator[tuple[str, str, bytes]]:
    """Method, path and body of requests of which each has something wrong."""
    chance = random.Random(seed)
    ways: list[Callable[[random.Random, Route], tuple[str, bytes] | None]] = [
        bad_name,
        bad_query,
        bad_body,
        bad_value,
        bad_job_file,
    ]
    while True:
        route = chance.choice(ROUTES)
        made = chance.choice(ways)(chance, route)
        if made is not None:
            yield route.method, made[0], made[1]


def bad_name(chance: random.Random, route: Route) -> tuple[str, bytes] | None:
    if not route.variables:
        return None
    name = chance.choice(NAMES)
    path = route.path
    for variable in route.variables:
        path = path.replace("{" + variable + "}", name)
    return quote(path, safe="/%;:@,*'$()"), good_body(route)


def bad_query(chance: random.Random, route: Route) -> tuple[str, bytes] | None:
    # Each is wrong for every route: a name of one is unknown to the others.
    query = chance.choice(QUERIES)
    return f"{good_path(route)}?{query}", good_body(route)


def bad_body(chance: random.Random, route: Route) -> tuple[str, bytes] | None:
    if route.method == "GET":
        return None
    return good_path(route), chance.choice(RAW)


def bad_value(chance: random.Random, route: Route) -> tuple[str, bytes] | None:
    """One key of a good configuration, or of the body, has a value that can't be."""
    if route.body is None:
        return None
    value = chance.choice(VALUES)
    key = chance.choice([*route.body.model_fields, "unknown", "__proto__"])
    body = {**json.loads(good_body(route)), key: value}
    return good_path(route), json.dumps(body).encode()


def bad_job_file(chance: random.Random, route: Route) -> tuple[str, bytes] | None:
    if not route.job_file:
        return None
    key = chance.choice(["pipeline", "data_file", "output", "groups", "config", "fleet"])
    body = job_file(config=config_keys("Nobody")) | {key: chance.choice(VALUES)}
    return good_path(route), json.dumps(body).encode()


def good_path(route: Route) -> str:
    path = route.path
    good = {
        "app": "Nobody",
        "run": "Nobody-20260301T12000000ff",
        "submission": "0123456789abcdef",
        "name": "none",
    }
    for variable in route.variables:
        path = path.replace("{" + variable + "}", good[variable])
    return path


def good_body(route: Route) -> bytes:
    if route.job_file:
        return json.dumps(job_file()).encode()  # without a configuration: nobody set Nobody up
    bodies = {
        "validate_config": {"config": config_keys("Nobody", EBS_VOL_SIZE=1)},
        "set_up_app": {"config": config_keys("Nobody", EBS_VOL_SIZE=1)},
        "offer_upload": {"name": "../x"},
        "scale_run": {"machines": 1},
    }
    return json.dumps(bodies.get(route.name, {})).encode()


def test_hostile_requests_are_refused_and_make_nothing(api: Api) -> None:
    before = api.everything()
    statuses: Counter[int] = Counter()
    for number, (method, path, body) in enumerate(hostile(seed=4)):
        if number == REQUESTS:
            break
        reply = api.call(method, path, body, key="k" if number % 5 == 0 else None)
        statuses[reply.status] += 1
        assert 400 <= reply.status < 500, (method, path, body[:200], reply)
        if reply.status != 403:  # API Gateway's own: there is no such route
            assert reply.body["message"], reply
            assert reply.body["error"], reply
            assert reply.status != 400 or reply.body["problems"], reply
    assert statuses.total() == REQUESTS
    assert set(statuses) == {400, 404, 413}
    assert api.everything() == before
