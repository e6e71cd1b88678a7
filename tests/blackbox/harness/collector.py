"""A collector of traces: takes OTLP over HTTP, decoded by the messages that OpenTelemetry publishes."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


class Span:
    """One span, with its company."""

    def __init__(self, company, span):
        self.company = company
        self.name = span.name
        self.trace, self.id, self.parent = span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()
        self.says = {one.key: one.value.string_value for one in span.attributes}
        self.failed = span.status.message if span.status.code == 2 else None
        self.took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9

    def __repr__(self):
        return f"{self.company}: {self.name} {self.id} in {self.parent or 'nothing'} {self.says} {self.failed or ''}"


class Collector:
    """Keeps all spans that it is sent."""

    def __init__(self):
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector._take(self.path, body)
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._lock, self._spans = threading.Lock(), []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _take(self, path, body):
        assert path == "/v1/traces", path
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            says = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert says["service.name"] == "recarga", says
            with self._lock:
                for scope in resource.scope_spans:
                    self._spans += [Span(says["service.instance.id"], span) for span in scope.spans]

    def spans(self, trace=None):
        """All spans, or those of one trace."""
        with self._lock:
            return [span for span in self._spans if trace in (None, span.trace)]

    def close(self):
        """Nothing listens any longer."""
        self._server.shutdown()
        self._server.server_close()
