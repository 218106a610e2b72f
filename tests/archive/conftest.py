"""A place with a trace directory and a bucket, by moto on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from archive.place import Place
from archive_support import end_archivers_of
from s3_support import serving_s3

pytest.importorskip("obstore")
pytest.importorskip("boto3")
pytest.importorskip("moto")


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """An S3 server."""
    with serving_s3() as url:
        yield url


@pytest.fixture
def place(tmp_path: Path, s3_url: str) -> Iterator[Place]:
    """An empty one."""
    place = Place(tmp_path / "traces", s3_url)
    yield place
    end_archivers_of(place.directory)
    place.proxy.close()
