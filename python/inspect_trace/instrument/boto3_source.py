"""Traces what boto3 writes to S3: `put_object`, and `upload_file` and `upload_fileobj`.

The first is one call of the client; the other two, those of resources and of `S3Transfer`
included, go through a transfer manager, whose threads make several. Clients that exist are traced
as well: it is their class that is wrapped. Not traced are the calls of a multipart upload that the
program makes itself, nor uploads by the AWS Common Runtime (`use_crt`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._source import Source
from ._write import size_of, size_of_file, write_begun, write_ended

if TYPE_CHECKING:
    from types import ModuleType

    from ._action import OpenAction
    from ._source import Wrap

_uploads: set[_Upload] = set()
"""What transfer managers are at: calls of the client for the same object are a part of it.

Changed by single steps only, so it takes no lock, which a forked child could inherit.
"""

_PARAMETERS: Final = ("fileobj", "bucket", "key", "extra_args", "subscribers")


def _call(wrapped: Any, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of a client: `_make_api_call(operation_name, api_params)`."""
    given = dict(zip(("operation_name", "api_params"), args, strict=False)) | kwargs
    parameters = given.get("api_params")
    if given.get("operation_name") != "PutObject" or not isinstance(parameters, dict):
        return wrapped(*args, **kwargs)
    target = (parameters.get("Bucket"), parameters.get("Key"))
    if any(upload.target == target for upload in list(_uploads)):
        return wrapped(*args, **kwargs)
    if client.meta.service_model.service_name != "s3":
        return wrapped(*args, **kwargs)
    size_bytes = parameters.get("ContentLength", size_of(parameters.get("Body")))
    action = write_begun(lambda: "s3://{}/{}".format(*target), size_bytes)
    try:
        answer = wrapped(*args, **kwargs)
    except BaseException as error:
        write_ended(action, error)
        raise
    write_ended(action)
    return answer


class _Upload:
    """What a transfer manager tells of an upload."""

    def __init__(self, action: OpenAction | None, target: tuple[object, object]) -> None:
        self._action = action
        self.target = target
        _uploads.add(self)

    def on_done(self, future: Any, **_: Any) -> None:
        """It has ended, however."""
        error: BaseException | None = None
        try:
            future.result()
        except BaseException as reason:
            error = reason
        self.ended(error, getattr(future.meta, "size", None))

    def ended(self, error: BaseException | None, size_bytes: int | None = None) -> None:
        """Tells of the end."""
        _uploads.discard(self)
        write_ended(self._action, error, size_bytes)


def _upload(wrapped: Any, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Of a transfer manager: `upload(fileobj, bucket, key, extra_args=None, subscribers=None)`."""
    given = dict(zip(_PARAMETERS, args, strict=False)) | kwargs
    target = (given.get("bucket"), given.get("key"))
    action = write_begun(lambda: "s3://{}/{}".format(*target), size_of_file(given.get("fileobj")))
    upload = _Upload(action, target)
    given["subscribers"] = [*(given.get("subscribers") or ()), upload]
    try:
        future = wrapped(**given)
    except BaseException as error:
        upload.ended(error)
        raise
    if action is not None:
        action.detach()
    return future


def _patch_client(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "BaseClient._make_api_call", _call)


def _patch_transfer(module: ModuleType, wrap: Wrap) -> None:
    wrap(module, "TransferManager.upload", _upload)


SOURCE: Final = Source(
    "boto3", {"botocore.client": _patch_client, "s3transfer.manager": _patch_transfer}
)
