"""OpenTelemetry spans, in programs that use OpenTelemetry."""

import contextlib
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

_NO_SPAN: AbstractContextManager[object] = contextlib.nullcontext()


def span(name: str, links: Sequence[Any] = (), **attributes: float) -> AbstractContextManager[object]:
    """Open a span where there is anyone to see it.

    OpenTelemetry's API is never imported here: a program that records spans has imported it.

    Args:
        name: After `setfuse.`.
        links: What `link_to_caller` gave, for what is done for several callers at once.
        **attributes: After `setfuse.`, as the name.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return _NO_SPAN
    named = {f"setfuse.{key}": value for key, value in attributes.items()}
    tracer = trace.get_tracer("setfuse.runtime")
    started: AbstractContextManager[object] = tracer.start_as_current_span(
        f"setfuse.{name}", attributes=named, links=[link for link in links if link is not None]
    )
    return started


def link_to_caller() -> Any:
    """Give a link to the caller's span, for work in another thread; None where there is none."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    return trace.Link(context) if context.is_valid else None
