"""The lines of docs/fleet.md that ask by Spark, by a Spark of this machine, where there is one."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inspect_trace import fleet

from .fleet_logs import make_logs, write_logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspect_trace.fleet.question import Analysis

sql = pytest.importorskip("pyspark.sql", reason="Spark needs Java, and is in no group")

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"
COUNT = int(os.environ.get("INSPECT_TRACE_TEST_FLEET", "120"))
AS_OF = 1.9e9


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    """Two workers in processes of their own."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


@pytest.mark.parametrize("analysis", ["anomalies", "stats", "http"])
def test_spark_gives_the_answer_of_one_process(
    analysis: Analysis, spark: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is dealt out to Spark's workers comes back as the same answer, to the byte."""
    write_logs(make_logs(COUNT), tmp_path)
    (snippet,) = re.findall(r"```py\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "mapPartitions" in snippet
    question = fleet.ask(analysis, as_of=AS_OF)
    plan = fleet.plan(question, [f"file://{tmp_path}/"], workers=64)
    assert len(plan.tasks) > 4
    names: dict[str, Any] = {"spark": spark, "question": question, "plan": plan, "fleet": fleet}
    exec(snippet, names)
    assert len(names["states"]) > 1
    expected = fleet.answer(plan, map(fleet.run, plan.tasks)).json
    assert capsys.readouterr().out == f"{expected}\n"
