"""OpenTelemetry traces. Off by default, and then a span costs one function call and nothing is imported.

    with span("commit", changes=len(group)):
        …

Attributes are figures, names and ids, never what tells of a person.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

AttributeValue = str | int | float | bool

_OFF: AbstractContextManager[None] = nullcontext()
_provider: "TracerProvider | None" = None
_tracer: "Tracer | None" = None


def span(name: str, **attributes: AttributeValue) -> AbstractContextManager[object]:
    """What happens inside, as one part of the present trace."""
    if _tracer is None:
        return _OFF
    return _tracer.start_as_current_span(name, attributes=attributes)


def traceparent() -> str | None:
    """The present span in the words of W3C Trace Context, to hand on with a message; None when there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def continued(name: str, headers: Mapping[str, str], **attributes: AttributeValue) -> AbstractContextManager[object]:
    """A span whose parent is named by the `traceparent` of a request or a message; a malformed one is ignored."""
    if _tracer is None:
        return _OFF
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(headers)
    return _tracer.start_as_current_span(name, context=parent, attributes=attributes)


def enable(service: str, *, endpoint: str = "", share: float = 1.0, exporter: "SpanExporter | None" = None) -> None:
    """Switch tracing on for this process: `share` of the traces go to the collector at `endpoint` (OTLP over HTTP)."""
    global _provider, _tracer
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    if exporter is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=endpoint or None)
    disable()
    provider = TracerProvider(
        resource=Resource.create({"service.name": service}),
        sampler=ParentBasedTraceIdRatio(share),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _provider, _tracer = provider, provider.get_tracer("pasar")


def disable() -> None:
    """Send what is left and switch off; to be called when the process ends."""
    global _provider, _tracer
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        provider.shutdown()
