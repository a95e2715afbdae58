"""Paths of DCP's container, as keys of the bucket and as paths on this disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.locations import OutsideBucket, Places, move

MOUNT = Path("/srv/root/bucket")
PLACES = Places(MOUNT, "project/in", "/home/ubuntu/bucket/project/in")


@pytest.mark.parametrize(
    ("location", "key"),
    [
        ("/home/ubuntu/bucket/p/a b.tif", "p/a b.tif"),
        ("/home/ubuntu/bucket//p/./x/../a.tif", "p/a.tif"),
        ("a.tif", "project/in/a.tif"),
        ("../other/a.tif", "project/other/a.tif"),
        ("file:/home/ubuntu/bucket/p/a%20b.tif", "p/a b.tif"),
        ("file:///home/ubuntu/bucket/p/a.tif", "p/a.tif"),
        ("s3://bucket/a.tif", None),
        ("https://example.org/a.tif", None),
        ("/etc/hostname", None),
    ],
)
def test_keys(location: str, key: str | None) -> None:
    assert PLACES.key(location) == key


@pytest.mark.parametrize(
    "location",
    [
        "/data/images/a.tif",
        "/home/ubuntu/bucket/../../../no/such/a.tif",
        "../../../../../../no/such/a.tif",
        "/home/ubuntu/bucketful/a.tif",
    ],
)
def test_paths_outside_the_bucket_are_refused(location: str) -> None:
    with pytest.raises(OutsideBucket, match="not below /home/ubuntu/bucket"):
        PLACES.key(location)


def test_a_relative_path_needs_a_base() -> None:
    with pytest.raises(OutsideBucket, match="relative"):
        Places(Path("/r"), "in", None).key("a.tif")


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("/home/ubuntu/bucket", "/srv/root/bucket"),
        ("/home/ubuntu/bucket/p", "/srv/root/bucket/p"),
        ("file:/home/ubuntu/bucket/a%20b", "file:/srv/root/bucket/a%20b"),
        ("file:///home/ubuntu/bucket/a", "file:///srv/root/bucket/a"),
        ("/home/ubuntu/bucketful/p", "/home/ubuntu/bucketful/p"),
        ("relative/p", "relative/p"),
        ("s3://home/ubuntu/bucket/p", "s3://home/ubuntu/bucket/p"),
    ],
)
def test_moving(text: str, moved: str) -> None:
    assert move(MOUNT, text) == moved
