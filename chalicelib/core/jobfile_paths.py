"""Which paths a job file may hold: relative to a bucket's root, and the same everywhere.

A path becomes a key in S3, a part of a local path, and an argument on a command line.
"""

import re

from chalicelib.contract import BUCKET_MOUNT

#: S3's limit for a key, in bytes of UTF-8.
MAX_KEY_BYTES = 1024
#: What an output folder leaves for the names of the files in it, in bytes.
ROOM_FOR_NAMES = 124

# Control characters, surrogates and the two non-characters that XML, and so S3, can't carry.
UNUSABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def tidy(path: str) -> str:
    """The path without `./` parts and doubled slashes, as a mounted bucket would resolve it.

    A slash at either end stays: it is harmless at the end, and refused at the start.
    """
    if not path.startswith("./") and "//" not in path and "/." not in path and path != ".":
        return path
    parts = [part for part in path.split("/") if part not in ("", ".")]
    start, end = path.startswith("/"), path.endswith("/") and bool(parts)
    return "/" * start + "/".join(parts) + "/" * end


def path_fault(path: str) -> tuple[str, str] | None:
    """What is wrong with a path of a job file, as (what is expected, what to do); None if fine."""
    scheme, found, rest = path.partition("://")
    if found:
        relative = rest.partition("/")[2] if scheme.lower() == "s3" else ""
        return (
            "expected a path relative to the bucket's root",
            f'write "{relative}"; the config names the buckets' if relative else "",
        )
    if path.startswith("/"):
        relative = path.removeprefix(BUCKET_MOUNT).lstrip("/")
        return "expected a path relative to the bucket's root", f'write "{relative}"'
    return name_fault(path)


def name_fault(path: str) -> tuple[str, str] | None:
    """What is wrong with the parts of a relative path, as in `path_fault`."""
    if "\\" in path:
        return "a path can't hold a backslash", "separate folders with /"
    if match := UNUSABLE.search(path):
        return f"a path can't hold the character U+{ord(match[0]):04X}", "remove it"
    if ".." in path.split("/"):
        return "a path can't hold '..'", "write the path from the bucket's root"
    if len(path.encode()) > MAX_KEY_BYTES:
        return f"longer than the {MAX_KEY_BYTES:,} bytes that S3 allows", "shorten it"
    return None


def is_plain(text: str) -> bool:
    """Whether a folder is fine at a glance: true of nearly every one, and quick to tell."""
    return (
        text.isprintable()
        and "\\" not in text
        and "//" not in text
        and "/." not in text
        and text[:1] not in ("", ".", "/")
        and text[-1] != "/"
        and len(text) <= (MAX_KEY_BYTES - ROOM_FOR_NAMES) // 4
    )


def folder_fault(folder: str) -> tuple[str, str] | None:
    """What is wrong with an output folder, as in `path_fault`."""
    if is_plain(folder):
        return None
    if fault := name_fault(folder):
        return fault
    if not {"", "."}.isdisjoint(folder.split("/")):
        return "a folder can't hold an empty part or '.'", "change the values or output_structure"
    if len(folder.encode()) > MAX_KEY_BYTES - ROOM_FOR_NAMES:
        return (
            f"longer than {MAX_KEY_BYTES - ROOM_FOR_NAMES} bytes, with no room for file names",
            "shorten output or the values",
        )
    return None
