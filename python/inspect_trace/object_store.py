"""Object stores as `obstore` has them: how one is opened, and what its errors say."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

_ENDPOINTS: Final = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "GOOGLE_BASE_URL",
)
"""The variables that say where a store is."""
_METADATA_SERVERS: Final = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")


def opened_store(
    url: str,
    *,
    max_retries: int,
    retry_timeout: timedelta,
    client_options: dict[str, Any] | None = None,
) -> Any:
    """A store that is not a directory of this machine.

    Args:
        url: Where it is, or where in it: keys are told from there on.
        max_retries: How often a request is tried again, with growing pauses.
        retry_timeout: For how long in all.
        client_options: What else obstore's HTTP client is told.

    Raises:
        OSError: There can be none there.
        ImportError: obstore is not installed.
    """
    from obstore.store import from_url

    scheme = url.partition("://")[0].lower()
    # HTTP without encryption only where the user says so, by a URL.
    plain = scheme == "http" or any(
        os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS
    )
    # S3 compares it with what has arrived.
    config: dict[str, Any] = {"checksum_algorithm": "sha256"} if scheme in ("s3", "s3a") else {}
    options: Any = {"allow_http": plain, **(client_options or {})}
    return from_url(
        url,
        client_options=options,
        retry_config={"max_retries": max_retries, "retry_timeout": retry_timeout},
        **config,
    )


@contextlib.contextmanager
def told(url: str | None) -> Iterator[None]:
    """Has what a store says become an `OSError` with one line."""
    try:
        yield
    except Exception as error:
        # Some of what a store says comes as one of Python's own errors, without its number.
        is_bare = isinstance(error, OSError) and error.errno is None
        if not is_bare and not type(error).__module__.startswith("obstore"):
            raise
        _raise(url, error)


def _raise(url: str | None, error: Exception) -> NoReturn:
    kind = type(error).__name__
    text = str(error).splitlines()[0].strip() if str(error) else kind
    if kind == "NotFoundError" or isinstance(error, FileNotFoundError):
        number, reason = 2, "there is no such object"
    elif kind == "PreconditionError":
        number, reason = 5, "it has changed since it was listed"
    elif kind in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError"):
        number, reason = 13, "the store refuses: the credentials are missing, or do not allow it"
    elif any(server in str(error) for server in _METADATA_SERVERS):
        number, reason = 13, "no credentials are known: set them in the environment"
    else:
        number, reason = 5, text
    raise OSError(number, reason if url is None else f"cannot read {url}: {reason}") from None
