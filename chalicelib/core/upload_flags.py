"""UPLOAD_FLAGS: options of `aws s3 cp` turned into arguments of an S3 upload.

The worker uploads with boto3, so a flag it has no counterpart for is refused when the
config is read, not hours later at the first upload.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any


class UploadFlagsError(ValueError):
    """Flags that can't be used; `reasons` says why, one sentence a flag."""

    def __init__(self, reasons: list[str]):
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


@dataclass(frozen=True)
class UploadFlags:
    """`arguments` as boto3's `ExtraArgs`, JSON-able; `ignored`: flags with no effect here."""

    arguments: Mapping[str, Any]
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Option:
    """One supported flag: the argument it sets; `const` stands in for a value left out."""

    argument: str
    choices: tuple[str, ...] = ()
    const: str = ""


_ACLS = (
    "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read",
    "bucket-owner-read", "bucket-owner-full-control", "log-delivery-write",
)  # fmt: skip
_STORAGE_CLASSES = (
    "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING",
    "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR",
)  # fmt: skip

_OPTIONS = {
    "--acl": _Option(argument="ACL", choices=_ACLS),
    "--storage-class": _Option(argument="StorageClass", choices=_STORAGE_CLASSES),
    "--sse": _Option(
        argument="ServerSideEncryption", choices=("AES256", "aws:kms"), const="AES256"
    ),
    "--sse-kms-key-id": _Option(argument="SSEKMSKeyId"),
    "--content-type": _Option(argument="ContentType"),
    "--content-encoding": _Option(argument="ContentEncoding"),
    "--content-language": _Option(argument="ContentLanguage"),
    "--content-disposition": _Option(argument="ContentDisposition"),
    "--cache-control": _Option(argument="CacheControl"),
    "--expires": _Option(argument="Expires"),
    "--website-redirect": _Option(argument="WebsiteRedirectLocation"),
    "--request-payer": _Option(argument="RequestPayer", choices=("requester",), const="requester"),
    "--checksum-algorithm": _Option(
        argument="ChecksumAlgorithm", choices=("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
    ),
}
_GRANTS = {
    "read": "GrantRead",
    "readacl": "GrantReadACP",
    "writeacl": "GrantWriteACP",
    "full": "GrantFullControl",
}
#: Every flag that has an effect.
SUPPORTED = (*sorted(_OPTIONS), "--grants", "--metadata")

#: Flags that a copy between buckets, a download or a terminal needs, and an upload doesn't:
#: by name, with the most values each takes.
IGNORED = {
    "--metadata-directive": 1, "--copy-props": 1, "--source-region": 1, "--region": 1,
    "--recursive": 0, "--only-show-errors": 0, "--quiet": 0, "--no-progress": 0,
    "--progress-frequency": 1, "--progress-multiline": 0, "--page-size": 1, "--expected-size": 1,
    "--ignore-glacier-warnings": 0, "--force-glacier-transfer": 0, "--follow-symlinks": 0,
    "--no-follow-symlinks": 0, "--validate-same-s3-paths": 0, "--checksum-mode": 1, "--debug": 0,
    "--no-paginate": 0, "--no-guess-mime-type": 0, "--color": 1, "--output": 1, "--cli-read-timeout": 1,
    "--cli-connect-timeout": 1, "--case-conflict": 1,
}  # fmt: skip

_CUSTOMER_KEY = "a customer's key would stand readable in the run's records; use --sse aws:kms"
_FILTER = "all of a job's results are uploaded; let the pipeline save only what is wanted"
_ACCOUNT = "uploads run with the task's role; give that role access to the bucket instead"
_REFUSED = {
    "--sse-c": _CUSTOMER_KEY,
    "--sse-c-key": _CUSTOMER_KEY,
    "--exclude": _FILTER,
    "--include": _FILTER,
    "--dryrun": "nothing would be uploaded",
    "--profile": _ACCOUNT,
    "--no-sign-request": _ACCOUNT,
}


def parse_upload_flags(text: str) -> UploadFlags:
    """Read flags as a shell would split them. Raises UploadFlagsError with every reason."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UploadFlagsError([f"can't be split into words: {str(error).lower()}"]) from None
    parser = _Parser(_split_equals(words))
    parser.read()
    _check_together(parser)
    if parser.reasons:
        raise UploadFlagsError(parser.reasons)
    return UploadFlags(arguments=parser.arguments, ignored=tuple(dict.fromkeys(parser.ignored)))


def _split_equals(words: list[str]) -> list[str]:
    """`--acl=private` as the two words that it stands for."""
    pieces: list[str] = []
    for word in words:
        flag, equals, value = word.partition("=")
        pieces.extend((flag, value) if word.startswith("--") and equals else (word,))
    return pieces


@dataclass
class _Parser:
    words: list[str]
    arguments: dict[str, Any] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    position: int = 0

    def read(self) -> None:
        while self.position < len(self.words):
            flag = self.words[self.position]
            self.position += 1
            if flag in _OPTIONS:
                self._option(flag, _OPTIONS[flag])
            elif flag == "--grants":
                self._grants(self._values())
            elif flag == "--metadata":
                self._metadata(self._values(most=1))
            elif flag in IGNORED:
                self.ignored.append(" ".join([flag, *self._values(most=IGNORED[flag])]))
            else:
                self._values()
                self.reasons.append(_refusal(flag))

    def _values(self, most: int | None = None) -> list[str]:
        """The words up to the next flag, `most` of them at most."""
        start = self.position
        while self.position < len(self.words) and not self.words[self.position].startswith("--"):
            if most is not None and self.position - start >= most:
                break
            self.position += 1
        return self.words[start : self.position]

    def _option(self, flag: str, option: _Option) -> None:
        value = next(iter(self._values(most=1)), option.const)
        if not value:
            self.reasons.append(f"{flag} needs a value")
        elif option.choices and value not in option.choices:
            self.reasons.append(f"{flag} {value[:60]} must be one of {', '.join(option.choices)}")
        elif flag == "--expires" and not _is_date(value):
            self.reasons.append(f"--expires {value[:60]} must be a date such as 2030-01-31")
        else:
            self.arguments[option.argument] = value

    def _grants(self, values: list[str]) -> None:
        if not values:
            self.reasons.append("--grants needs a value such as full=id=CANONICAL_USER_ID")
        for value in values:
            permission, _, grantees = value.partition("=")
            if permission not in _GRANTS or not _GRANTEES.fullmatch(grantees):
                self.reasons.append(
                    f"--grants {value[:60]} must be {'|'.join(_GRANTS)}=id=… or …=uri=…"
                )
            else:
                self.arguments[_GRANTS[permission]] = grantees

    def _metadata(self, values: list[str]) -> None:
        pairs = _pairs(values[0]) if values else None
        if pairs is None:
            self.reasons.append("--metadata must be KEY=VALUE,KEY=VALUE or a JSON object of texts")
        else:
            self.arguments["Metadata"] = pairs


_GRANTEES = re.compile(r"(id|uri|emailAddress)=[^=,]+(,(id|uri|emailAddress)=[^=,]+)*")


def _check_together(parser: _Parser) -> None:
    arguments = parser.arguments
    if "ACL" in arguments and any(name in arguments for name in _GRANTS.values()):
        parser.reasons.append("--acl and --grants can't be used together")
    if "SSEKMSKeyId" in arguments and arguments.get("ServerSideEncryption") != "aws:kms":
        parser.reasons.append("--sse-kms-key-id needs --sse aws:kms")


def _refusal(flag: str) -> str:
    if flag in _REFUSED:
        return f"{flag} can't be used: {_REFUSED[flag]}"
    if not flag.startswith("--"):
        return f"{flag[:60]!r} belongs to no flag"
    return f"{flag[:60]} isn't supported (supported: {', '.join(SUPPORTED)})"


def _pairs(text: str) -> dict[str, str] | None:
    """`a=1,b=2` or `{"a": "1"}` as a dictionary; None for anything else."""
    if text.startswith("{"):
        try:
            pairs = json.loads(text)
        except (ValueError, RecursionError):
            return None
    else:
        split = [piece.partition("=") for piece in text.split(",")]
        pairs = {key: value for key, equals, value in split if equals}
        if len(pairs) != len(split):
            return None
    # S3 sends metadata as HTTP headers.
    fits = all(
        isinstance(value, str) and key and (key + value).isascii() and (key + value).isprintable()
        for key, value in pairs.items()
    )
    return pairs if pairs and fits else None


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        try:
            parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return False
    return True
