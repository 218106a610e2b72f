"""Traces the calls of models by the SDK of Anthropic."""

from __future__ import annotations

from typing import Final

from ._model import Sdk

SOURCE: Final = Sdk("anthropic").source
