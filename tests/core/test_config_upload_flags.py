"""UPLOAD_FLAGS as arguments of an upload."""

from __future__ import annotations

from typing import Any

import pytest
from boto3.s3.transfer import S3Transfer
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.config import parse_keys
from chalicelib.core.upload_flags import (
    IGNORED,
    SUPPORTED,
    UploadFlagsError,
    parse_upload_flags,
)
from chalicelib.errors import ConfigError

#: Each supported flag, and the arguments it stands for.
FLAGS: list[tuple[str, dict[str, Any]]] = [
    ("--acl bucket-owner-full-control", {"ACL": "bucket-owner-full-control"}),
    ("--acl=private", {"ACL": "private"}),
    ("--storage-class STANDARD_IA", {"StorageClass": "STANDARD_IA"}),
    ("--sse", {"ServerSideEncryption": "AES256"}),
    (
        "--sse aws:kms --sse-kms-key-id alias/lab",
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/lab"},
    ),
    ("--content-type 'text/csv; charset=utf-8'", {"ContentType": "text/csv; charset=utf-8"}),
    ("--content-encoding gzip", {"ContentEncoding": "gzip"}),
    ("--content-language en", {"ContentLanguage": "en"}),
    ("--content-disposition attachment", {"ContentDisposition": "attachment"}),
    ("--cache-control max-age=60,public", {"CacheControl": "max-age=60,public"}),
    ("--expires 2030-01-31T00:00:00Z", {"Expires": "2030-01-31T00:00:00Z"}),
    (
        "--expires 'Thu, 31 Jan 2030 00:00:00 GMT'",
        {"Expires": "Thu, 31 Jan 2030 00:00:00 GMT"},
    ),
    ("--website-redirect /index.html", {"WebsiteRedirectLocation": "/index.html"}),
    ("--request-payer", {"RequestPayer": "requester"}),
    ("--request-payer requester", {"RequestPayer": "requester"}),
    ("--checksum-algorithm SHA256", {"ChecksumAlgorithm": "SHA256"}),
    ("--metadata lab=core,plate=P1", {"Metadata": {"lab": "core", "plate": "P1"}}),
    ("""--metadata '{"lab": "core"}'""", {"Metadata": {"lab": "core"}}),
    (
        "--grants read=uri=http://acs.amazonaws.com/groups/global/AllUsers full=id=79a59,id=12b3",
        {
            "GrantRead": "uri=http://acs.amazonaws.com/groups/global/AllUsers",
            "GrantFullControl": "id=79a59,id=12b3",
        },
    ),
]


@pytest.mark.parametrize(("text", "arguments"), FLAGS)
def test_supported_flags(text: str, arguments: dict[str, Any]) -> None:
    found = parse_upload_flags(text)
    assert found.arguments == arguments
    assert found.ignored == ()
    assert set(arguments) <= set(S3Transfer.ALLOWED_UPLOAD_ARGS)


def test_every_supported_flag_is_tried_above() -> None:
    words = " ".join(text for text, _ in FLAGS).replace("=", " ").split()
    assert set(SUPPORTED) <= set(words)


def test_dcps_documented_flags() -> None:
    found = parse_upload_flags("--acl bucket-owner-full-control --metadata-directive REPLACE")
    assert found.arguments == {"ACL": "bucket-owner-full-control"}
    assert found.ignored == ("--metadata-directive REPLACE",)


def test_flags_without_effect_on_an_upload_are_ignored_and_reported() -> None:
    for flag, values in IGNORED.items():
        text = " ".join([flag, *["1"] * values])
        assert parse_upload_flags(f"{text} --acl private {text}").ignored == (text,)
    with pytest.raises(UploadFlagsError, match="'two' belongs to no flag"):
        parse_upload_flags("--region one two")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("--acl", "--acl needs a value"),
        ("--acl --quiet", "--acl needs a value"),
        ("--acl everyone", "must be one of private"),
        ("--acl-x private", "isn't supported (supported: --acl"),
        ("bucket-owner-full-control", "belongs to no flag"),
        ("--acl 'private", "no closing quotation"),
        ("--acl private --grants read=id=1", "can't be used together"),
        ("--sse-kms-key-id alias/lab", "needs --sse aws:kms"),
        ("--sse aes", "must be one of AES256"),
        ("--sse-c AES256 --sse-c-key 0123", "readable in the run's records"),
        ("--exclude *.tif", "the pipeline save only"),
        ("--profile other", "task's role"),
        ("--dryrun", "nothing would be uploaded"),
        ("--expires soon", "must be a date"),
        ("--metadata lab", "must be KEY=VALUE"),
        ("--metadata '{\"a\": 1}'", "must be KEY=VALUE"),
        ("--metadata lab=grün", "must be KEY=VALUE"),
        ("--grants", "needs a value"),
        ("--grants all=id=1", "must be read|readacl|writeacl|full=id="),
        ("--grants read=1", "must be read|readacl|writeacl|full=id="),
    ],
)
def test_flags_that_cant_be_used(text: str, words: str) -> None:
    with pytest.raises(UploadFlagsError) as caught:
        parse_upload_flags(text)
    assert words in str(caught.value)


def test_every_reason_is_told_and_reaches_the_user() -> None:
    keys = {"APP_NAME": "A", "AWS_BUCKET": "abc", "UPLOAD_FLAGS": "--acl mine --tags a b --sse 1"}
    with pytest.raises(ConfigError) as caught:
        parse_keys(keys, "test")
    (problem,) = caught.value.problems
    assert problem.where == "UPLOAD_FLAGS"
    assert all(flag in problem.hint for flag in ("--acl mine", "--tags", "--sse 1"))


WORDS = st.sampled_from(
    [*SUPPORTED, *IGNORED, "--sse-c", "--x", "a=b", "read=id=1", "'", "private"]
)


@given(st.lists(WORDS, max_size=8).map(" ".join) | st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = set(parse_upload_flags(text).arguments)
    except UploadFlagsError as error:
        found = set() if error.reasons else {"no reason"}
    assert found <= set(S3Transfer.ALLOWED_UPLOAD_ARGS)
