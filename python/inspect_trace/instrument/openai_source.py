"""Traces the calls of models by the SDK of OpenAI."""

from __future__ import annotations

from typing import Final

from ._model import Sdk

SOURCE: Final = Sdk("openai").source
