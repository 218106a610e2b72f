"""Imported by the interpreter that `inspect-trace run` starts, before the program; see above."""

import os
import sys

_ours = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - before the program
_told = os.environ.pop("INSPECT_TRACE_START", None)

if _ours in sys.path:
    sys.path.remove(_ours)
sys.path_importer_cache.pop(_ours, None)
_path = os.environ.get("PYTHONPATH", "")
if _told is not None and _path.startswith(_ours):
    if _told.startswith("="):
        os.environ["PYTHONPATH"] = _path[len(_ours) + 1 :]
    else:
        del os.environ["PYTHONPATH"]

# What it stands before: it is imported, or missing, as it would be without us.
del sys.modules[__name__]
try:
    __import__(__name__)
finally:
    if _told is not None:
        from inspect_trace.launch.start import begin_or_tell

        begin_or_tell(_told.partition(";")[2])
