"""Small flows for tests, made of plain maps."""

from __future__ import annotations

from typing import Any

from ivr_flows.schema import Flow

HELLO = {"text": {"zh": "您好", "en": "hello"}}
END = {"end": {"outcome": "served"}}


def flow_of(start: str = "a", prompts: dict[str, Any] | None = None, **nodes: dict[str, Any]) -> Flow:
    return Flow.model_validate({"flow": "test", "start": start, "prompts": prompts or {}, "nodes": nodes})


def say(next_node: str, *words: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"say": {"words": list(words) or [HELLO], "next": next_node, **more}}


def menu(keys: dict[str, str], otherwise: str, **more: Any) -> dict[str, Any]:
    return {"menu": {"words": [HELLO], "keys": keys, "otherwise": otherwise, **more}}


def collect(into: str, next_node: str, otherwise: str, **more: Any) -> dict[str, Any]:
    return {
        "collect": {
            "words": [HELLO],
            "into": into,
            "max_digits": 6,
            "next": next_node,
            "otherwise": otherwise,
            **more,
        }
    }
