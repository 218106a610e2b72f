"""Commands that need an extra, without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.logs import MIXED, write_log

if TYPE_CHECKING:
    from pathlib import Path

    from cli.conftest import Run


@pytest.mark.parametrize(
    ("args", "extra"),
    [
        (("export", "--to", "parquet", "-o", "x"), "arrow"),
        (("sql", "SELECT 1"), "sql"),
        (("top",), "top"),
        (("anomalies", "s3://bucket/"), "remote"),
        (("archive", "--to", "s3://bucket/x"), "remote"),
    ],
)
def test_a_missing_extra_is_one_line(
    args: tuple[str, ...], extra: str, inspect_trace: Run, tmp_path: Path
) -> None:
    """Where a library is missing, one line says what to install."""
    log = write_log(tmp_path / "app.log", *MIXED)
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "for name in ('pyarrow', 'duckdb', 'textual', 'obstore'):\n"
        "    sys.modules[name] = None\n"
    )
    result = inspect_trace(*args, str(log), env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert f"pip install 'inspect-trace[{extra}]'" in result.stderr
    assert not (tmp_path / "x").exists()
