"""What a configuration value may be: how DCP's spellings are read, and what is expected.

Each kind is written once in the model's annotations; reading a value, the words of an error
and the reference page all come from it. `read` returns the typed value or raises `Unfit`,
and reading what it returned gives the same again.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from pydantic_core import CoreSchema, core_schema

from chalicelib.core.upload_flags import UploadFlagsError, parse_upload_flags


class Unfit(ValueError):
    """A value that a key can't have; `expected` continues "must be …"."""

    def __init__(self, expected: str, hint: str = ""):
        super().__init__(f"must be {expected}" + (f" ({hint})" if hint else ""))
        self.expected = expected
        self.hint = hint


class Kind(ABC):
    """Annotates a field of the model, and reads its values."""

    @property
    @abstractmethod
    def expected(self) -> str:
        """A noun phrase: what the user should write."""

    @abstractmethod
    def read(self, raw: Any) -> Any:
        """The typed value. Raises Unfit."""

    def absent(self, raw: Any) -> bool:
        """Whether this value means that the key isn't given."""
        return raw is None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)


@dataclass(frozen=True)
class Whole(Kind):
    """A whole number; also as text, or as a division without a rest."""

    minimum: int
    maximum: int
    unit: str = ""
    hint: str = ""

    @property
    def expected(self) -> str:
        return f"a whole number from {self.minimum} to {self.maximum} {self.unit}".strip()

    def read(self, raw: Any) -> int:
        as_text = isinstance(raw, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", raw)
        as_division = isinstance(raw, float) and raw.is_integer()
        number = int(raw) if as_text or as_division else raw
        if not isinstance(number, int) or isinstance(number, bool):
            raise Unfit(self.expected)
        if not self.minimum <= number <= self.maximum:
            raise Unfit(self.expected, self.hint)
        return number


@dataclass(frozen=True)
class Price(Kind):
    """Dollars an hour, to a hundredth of a cent; None is no cap."""

    maximum: int = 1000
    unit: str = "US dollars an hour"

    @property
    def expected(self) -> str:
        return f"a number from 0.0001 to {self.maximum} {self.unit}"

    def absent(self, raw: Any) -> bool:
        return _means_none(raw)

    def read(self, raw: Any) -> float | None:
        if raw is None:
            return None
        number = raw
        if isinstance(raw, str) and re.fullmatch(r"\s*\+?[0-9]{1,9}(\.[0-9]{0,18})?\s*", raw):
            number = float(raw)
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise Unfit(self.expected, "leave the key out for no cap")
        if not (0 < number <= self.maximum and round(number, 4) > 0):
            raise Unfit(self.expected, "leave the key out for no cap")
        return round(float(number), 4)


@dataclass(frozen=True)
class Flag(Kind):
    """A boolean, or DCP's text for one."""

    @property
    def expected(self) -> str:
        return "'True' or 'False'"

    def read(self, raw: Any) -> bool:
        word = raw.strip().lower() if isinstance(raw, str) else raw
        if word is True or word == "true":
            return True
        if word is False or word == "false":
            return False
        raise Unfit(self.expected)


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words, in any case."""

    words: tuple[str, ...]

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.words)}"

    def read(self, raw: Any) -> str:
        word = raw.strip().lower() if isinstance(raw, str) else ""
        if word not in self.words:
            raise Unfit(self.expected)
        return word


@dataclass(frozen=True)
class Text(Kind):
    """Printable text on one line that matches `pattern` as a whole.

    Where it is `optional`, "", 'False' and False mean none, which reads as "".
    """

    what: str
    pattern: str = r".*"
    most: int = 255
    hint: str = ""
    optional: bool = False

    @property
    def expected(self) -> str:
        return self.what

    def read(self, raw: Any) -> str:
        if self.optional and _means_none(raw):
            return ""
        text = plain_text(raw, self.expected)
        if len(text) > self.most:
            raise Unfit(self.expected, f"at most {self.most} characters, not {len(text)}")
        if not re.fullmatch(self.pattern, text):
            raise Unfit(self.expected, self.hint)
        return text


@dataclass(frozen=True)
class Bucket(Kind):
    """The name of an S3 bucket; where it is given as 'False' or "", another one stands in."""

    @property
    def expected(self) -> str:
        return "the name of an S3 bucket (3 to 63 of a-z, 0-9, '.' and '-')"

    def absent(self, raw: Any) -> bool:
        return _means_none(raw)

    def read(self, raw: Any) -> str:
        name = plain_text(raw, self.expected)
        if "/" in name:
            raise Unfit(self.expected, "the name alone, without s3:// and without folders")
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", name) or ".." in name:
            raise Unfit(self.expected, "it begins and ends with a letter or digit")
        if re.fullmatch(r"\d+(\.\d+){3}", name):
            raise Unfit(self.expected, "it can't look like an IP address")
        return name


@dataclass(frozen=True)
class Queue(Kind):
    """The name of an SQS queue; an ARN, as old configs have it, stands for its last part."""

    @property
    def expected(self) -> str:
        return "the name of an SQS queue (1 to 80 of A-Z, a-z, 0-9, '_' and '-')"

    def read(self, raw: Any) -> str:
        name = plain_text(raw, self.expected).rpartition(":")[2]
        if name.endswith(".fifo"):
            raise Unfit(
                self.expected, "first-in-first-out queues hold back jobs: use a standard one"
            )
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", name):
            raise Unfit(self.expected)
        return name


@dataclass(frozen=True)
class MachineTypes(Kind):
    """A list of EC2 machine types, or a single one; repeats are dropped."""

    most: int = 50

    @property
    def expected(self) -> str:
        return "a list of EC2 machine types such as ['m5.xlarge']"

    def read(self, raw: Any) -> tuple[str, ...]:
        names = [raw] if isinstance(raw, str) else raw
        if not isinstance(names, list | tuple) or not names:
            raise Unfit(self.expected)
        if len(names) > self.most:
            raise Unfit(self.expected, f"at most {self.most} of them")
        for name in names:
            text = plain_text(name, self.expected)
            if not re.fullmatch(r"[a-z][a-z0-9-]{1,30}\.[a-z0-9-]{2,30}", text):
                raise Unfit(self.expected, f"{text[:40]!r} doesn't look like one")
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Flags(Text):
    """UPLOAD_FLAGS: text that must also mean something for an upload."""

    def read(self, raw: Any) -> str:
        text = super().read(raw).strip()
        try:
            parse_upload_flags(text)
        except UploadFlagsError as error:
            raise Unfit(self.expected, "; ".join(error.reasons[:10])) from None
        return text


def plain_text(raw: Any, expected: str) -> str:
    """`raw` if it is text that can be shown: no control, invisible or half characters."""
    if not isinstance(raw, str):
        raise Unfit(expected, "write it in quotes")
    if any(unicodedata.category(letter) in _UNSHOWABLE for letter in raw):
        raise Unfit(expected, "it holds a control or invisible character")
    return raw


_UNSHOWABLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def _means_none(raw: Any) -> bool:
    if isinstance(raw, str):
        return raw.strip().lower() in ("", "false")
    return raw is None or raw is False
