"""Calls a router with Python's gRPC client, by stubs generated from proto/ on the spot.

The router is named by TRUNKLINE_GRPC (host:port); it takes the key `dev`. TRUNKLINE_MODEL and
TRUNKLINE_EMBEDDING_MODEL name the models to call; without them the first listed model that fits
is taken. Runs by itself (`python test_grpc.py`) or under pytest.
"""

import importlib
import os
import pathlib
import sys
import tempfile
import unittest

import grpc
import grpc_tools
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
SERVICE = "trunkline.inference.v1.InferenceService"
# Long enough for a loaded machine; a call that takes longer hangs.
TIMEOUT_S = 60

# The two google.rpc messages that the tests read: the client's packages do not bring them.
RICH_STATUS = """
syntax = "proto3";
package google.rpc;
import "google/protobuf/any.proto";
message Status {
  int32 code = 1;
  string message = 2;
  repeated google.protobuf.Any details = 3;
}
message ErrorInfo {
  string reason = 1;
  string domain = 2;
  map<string, string> metadata = 3;
}
message BadRequest {
  message FieldViolation {
    string field = 1;
    string description = 2;
  }
  repeated FieldViolation field_violations = 1;
}
"""


def generate_stubs(target):
    """Compiles the published protos, and the messages above, into `target`."""
    (target / "rich_status.proto").write_text(RICH_STATUS, encoding="utf-8")
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    ours = sorted(PROTO.glob("trunkline/*/v1/*.proto"))
    arguments = ["protoc", f"-I{PROTO}", f"-I{target}", f"-I{well_known}"]
    arguments += [f"--python_out={target}", f"--grpc_python_out={target}"]
    arguments += [str(path.relative_to(PROTO)) for path in ours] + ["rich_status.proto"]
    if protoc.main(arguments) != 0:
        raise RuntimeError("the protos do not compile")
    sys.path.insert(0, str(target))


def setUpModule():
    """Generates and imports the stubs, and connects."""
    global scratch, channel, pb, stub, rich  # what every test speaks through
    address = os.environ.get("TRUNKLINE_GRPC")
    if not address:
        raise RuntimeError("TRUNKLINE_GRPC must name the router's address as host:port")
    scratch = tempfile.TemporaryDirectory()
    generate_stubs(pathlib.Path(scratch.name))
    pb = Messages("trunkline.inference.v1", ["chat", "message", "routing", "embed", "catalog"])
    pb.load(["decision", "generation", "inference_service"])
    rich = importlib.import_module("rich_status_pb2")
    services = importlib.import_module("trunkline.inference.v1.inference_service_pb2_grpc")
    channel = grpc.insecure_channel(address)
    stub = services.InferenceServiceStub(channel)


def tearDownModule():
    """Hangs up."""
    channel.close()
    scratch.cleanup()


class Messages:
    """The messages and enum values of one package, whichever file they are in."""

    def __init__(self, package, files):
        self.package = package
        self.load(files)

    def load(self, files):
        """Adds what these files define."""
        for name in files:
            module = importlib.import_module(f"{self.package}.{name}_pb2")
            public = {key: value for key, value in vars(module).items() if key[0].isupper()}
            vars(self).update(public)


def options(key="dev"):
    """How each call is made."""
    return {"metadata": [("authorization", f"Bearer {key}")], "timeout": TIMEOUT_S}


def model_for(output):
    """The id of a model that writes `output`."""
    variable = "TRUNKLINE_EMBEDDING_MODEL" if output == "embeddings" else "TRUNKLINE_MODEL"
    if named := os.environ.get(variable):
        return named
    models = stub.ListModels(pb.ListModelsRequest(), **options()).models
    fitting = [model.id for model in models if output in (model.output_modalities or ["text"])]
    if not fitting:
        raise RuntimeError(f"the router lists no model that writes {output}: set {variable}")
    return fitting[0]


def greeting(**more):
    """A small chat call."""
    message = pb.Message(role=pb.ROLE_USER, content="Say hello.")
    more.setdefault("model", model_for("text"))
    return pb.ChatRequest(messages=[message], **more)


class Answers(unittest.TestCase):
    """Calls that succeed."""

    def test_a_chat_is_answered_with_usage_and_a_generation(self):
        answer = stub.Chat(greeting(max_tokens=32, temperature=0.5), **options())
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual(answer.choices[0].message.role, pb.ROLE_ASSISTANT)
        self.assertNotEqual(answer.choices[0].finish_reason, pb.FINISH_REASON_UNSPECIFIED)
        usage = answer.usage
        self.assertGreater(usage.prompt_tokens, 0)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        self.assertTrue(answer.generation_id)

    def test_a_stream_brings_pieces_then_the_reason_then_the_usage(self):
        events = list(stub.ChatStream(pb.ChatStreamRequest(chat=greeting()), **options()))
        choices = [choice for event in events for choice in event.choices]
        self.assertTrue("".join(choice.delta.content for choice in choices))
        reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
        self.assertEqual(len(reasons), 1)
        with_usage = [event for event in events if event.HasField("usage")]
        self.assertEqual(with_usage, events[-1:])
        self.assertEqual(len({event.id for event in events}), 1)

    def test_what_has_no_field_travels_in_extra(self):
        call = greeting(max_tokens=8)
        call.extra.update({"top_k": 5, "vendor_option": {"depth": 3}})
        self.assertTrue(stub.Chat(call, **options()).choices)

    def test_texts_become_vectors(self):
        call = pb.EmbedRequest(model=model_for("embeddings"), input=["one", "two"])
        answer = stub.Embed(call, **options())
        self.assertEqual([vector.index for vector in answer.embeddings], [0, 1])
        self.assertTrue(all(vector.values for vector in answer.embeddings))

    def test_the_catalog_names_endpoints_with_verdict_and_weight(self):
        model = model_for("text")
        answer = stub.ListEndpoints(pb.ListEndpointsRequest(model=model), **options())
        self.assertTrue(answer.endpoints)
        for endpoint in answer.endpoints:
            self.assertRegex(endpoint.id, "^[a-z2-7]{10}$")
            self.assertTrue(endpoint.provider)
            self.assertNotEqual(endpoint.verdict, 0)

    def test_the_record_of_a_call_says_how_it_went(self):
        answer = stub.Chat(greeting(max_tokens=8), **options())
        wanted = pb.GetGenerationRequest(id=answer.generation_id)
        record = stub.GetGeneration(wanted, **options()).generation
        self.assertEqual(record.id, answer.generation_id)
        self.assertEqual(record.outcome, pb.GENERATION_OUTCOME_COMPLETED)
        self.assertEqual(record.transport, pb.TRANSPORT_GRPC)
        self.assertEqual(record.attempts[-1].outcome, pb.ATTEMPT_OUTCOME_OK)
        self.assertEqual(record.usage.total_tokens, answer.usage.total_tokens)
        self.assertTrue(record.decision.candidates)

    def test_a_route_is_explained_and_the_same_seed_explains_the_same(self):
        facts = pb.RouteFacts(model=model_for("text"), prompt_tokens=100)
        call = pb.ExplainRouteRequest(facts=facts, seed=7)
        first, second = (stub.ExplainRoute(call, **options()).decision for _ in range(2))
        self.assertEqual(first.seed, 7)
        self.assertTrue(first.turns)
        ids = {candidate.endpoint_id for candidate in first.candidates}
        self.assertTrue({turn.endpoint_id for turn in first.turns} <= ids)
        if first.revision == second.revision:
            self.assertEqual(len(first.turns), len(second.turns))

    def test_health_is_served_for_the_server_and_the_service(self):
        health = health_pb2_grpc.HealthStub(channel)
        for service in ["", SERVICE]:
            call = health_pb2.HealthCheckRequest(service=service)
            self.assertEqual(health.Check(call, timeout=TIMEOUT_S).status, 1, service)


class Refusals(unittest.TestCase):
    """Calls that fail say why, in a form that programs can read."""

    def refused(self, rpc, call, code, key="dev"):
        """The details of a call's refusal, by message name."""
        with self.assertRaises(grpc.RpcError) as caught:
            rpc(call, **options(key))
        self.assertEqual(caught.exception.code(), code)
        trailers = dict(caught.exception.trailing_metadata())
        status = rich.Status.FromString(trailers["grpc-status-details-bin"])
        self.assertEqual(status.code, code.value[0])
        found = {}
        for packed in status.details:
            name = packed.TypeName().removeprefix("google.rpc.")
            if hasattr(rich, name):
                found[name] = getattr(rich, name).FromString(packed.value)
        self.assertEqual(found["ErrorInfo"].domain, "trunkline")
        return found

    def test_an_unknown_model_is_not_found(self):
        call = greeting(model="no/such-model")
        details = self.refused(stub.Chat, call, grpc.StatusCode.NOT_FOUND)
        self.assertEqual(details["ErrorInfo"].reason, "model_not_found")

    def test_an_unknown_key_is_refused(self):
        call = greeting()
        code = grpc.StatusCode.UNAUTHENTICATED
        details = self.refused(stub.Chat, call, code, key="not-a-key")
        self.assertEqual(details["ErrorInfo"].reason, "authentication")

    def test_a_field_that_makes_no_sense_is_named(self):
        call = greeting(temperature=float("nan"))
        details = self.refused(stub.Chat, call, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(details["BadRequest"].field_violations[0].field, "temperature")


if __name__ == "__main__":
    unittest.main(verbosity=2)
