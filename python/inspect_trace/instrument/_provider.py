"""Who answers the calls of a client: the SDK's own host, or another one that speaks like it."""

from __future__ import annotations

import ipaddress
from typing import Any, Final

_BY_ENDING: Final = {
    "azure.com": "azure",
    "amazonaws.com": "bedrock",
    "aiplatform.googleapis.com": "vertex",
    "googleapis.com": "google",
}
_GENERIC: Final = frozenset(("co", "com", "gov", "net", "org", "ac"))
"""What stands between a country and a name, as in `co.uk`."""


def provider_of(sdk: str, client: Any) -> str:
    """The provider of a client.

    `openai` and `anthropic` for their own hosts, the name in the domain for others (`openrouter`,
    `groq`, `azure`), and host and port for a server that has none.

    Args:
        sdk: The name of the SDK.
        client: The client, with its `base_url`.
    """
    url = client.base_url
    host: str = url.host.rstrip(".").lower()
    if host == f"{sdk}.com" or host.endswith(f".{sdk}.com"):
        return sdk
    for ending, provider in _BY_ENDING.items():
        if host == ending or host.endswith((f".{ending}", f"-{ending}")):
            return provider
    labels = host.split(".")
    if len(labels) < 2 or _is_address(host):
        return host if url.port is None else f"{host}:{url.port}"
    name = labels[-2]
    if name in _GENERIC and len(labels) > 2:
        name = labels[-3]
    return name


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
