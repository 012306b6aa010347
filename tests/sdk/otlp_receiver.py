"""A collector for tests: takes spans by OTLP/gRPC and OTLP/HTTP with the official definitions, and writes one
line of JSON to the standard error stream for where it listens and for each span. The first request on either
way is refused as busy when BUSY_AT_FIRST is set. With TLS_CERT, TLS_KEY and TLS_CA, clients must show a certificate
of that authority."""

import base64
import http.server
import json
import os
import ssl
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

lock = threading.Lock()
busy = {"grpc": bool(os.environ.get("BUSY_AT_FIRST")), "http": bool(os.environ.get("BUSY_AT_FIRST"))}


def say(**what):
    with lock:
        print(json.dumps(what), file=sys.stderr, flush=True)


def is_busy(way):
    with lock:
        was, busy[way] = busy[way], False
    return was


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind)


def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


def take(request, way, headers):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                read = MessageToDict(span)
                for key in ("traceId", "spanId", "parentSpanId"):
                    read[key] = base64.b64decode(read.get(key, "")).hex()
                read["attributes"] = attributes(span.attributes)
                read["nanos"] = span.end_time_unix_nano - span.start_time_unix_nano
                # What the definitions here do not know would be kept as unknown fields.
                read["unknown"] = len(span.SerializeToString()) != len(known(span).SerializeToString())
                resource_read = attributes(resource.resource.attributes)
                say(span=read, resource=resource_read, scope=scope.scope.name, way=way, headers=headers)


def known(message):
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return copy


class Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):
        if is_busy("grpc"):
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        take(request, "grpc", {key: value for key, value in context.invocation_metadata()})
        return trace_service_pb2.ExportTraceServiceResponse()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        answer, status = b"", 200
        if is_busy("http"):
            status = 503
        elif self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            status = 400
        else:
            request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            take(request, "http", {key.lower(): value for key, value in self.headers.items()})
            answer = trace_service_pb2.ExportTraceServiceResponse().SerializeToString()
        self.send_response(status)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def content(variable):
    with open(os.environ[variable], "rb") as file:
        return file.read()


server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Traces(), server)
web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if "TLS_CERT" in os.environ:
    pair = (content("TLS_KEY"), content("TLS_CERT"))
    credentials = grpc.ssl_server_credentials([pair], content("TLS_CA"), require_client_auth=True)
    grpc_port = server.add_secure_port("127.0.0.1:0", credentials)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=os.environ["TLS_CA"])
    tls.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    tls.verify_mode = ssl.CERT_REQUIRED
    web.socket = tls.wrap_socket(web.socket, server_side=True)
else:
    grpc_port = server.add_insecure_port("127.0.0.1:0")
server.start()
say(grpc=grpc_port, http=web.server_address[1])
web.serve_forever()
