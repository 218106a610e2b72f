"""One question about many logs, answered by many machines.

A question is asked with `ask`, dealt out with `plan`, and each task is done with `run` wherever
there is a worker: what a task gives is a *state*, some bytes, which are merged in whatever order
they come (`merge`) and told of at last (`answer`). The commands `anomalies`, `stats`, `http` and
`diff` do this with `--engine dask|ray`; any other engine that can call a function elsewhere takes a
few lines.

Example:
    ```python
    from inspect_trace import fleet

    question = fleet.ask("stats", by="model", since="-1d")
    plan = fleet.plan(question, ["s3://bucket/traces/"], workers=64)
    states = spark.sparkContext.parallelize(plan.tasks, len(plan.tasks)).map(fleet.run).collect()
    print(fleet.answer(plan, states).json())
    ```
"""

from __future__ import annotations

from .question import Question, ask
from .tasks import Answer, Plan, Task, answer, merge, plan, run

__all__ = ["Answer", "Plan", "Question", "Task", "answer", "ask", "merge", "plan", "run"]
