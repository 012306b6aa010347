"""Calls a Trunkline router over gRPC: `python hello.py WHAT [MODEL]`, where WHAT is a function below.

TRUNKLINE_GRPC is the router's host:port, TRUNKLINE_KEY the key, and TRUNKLINE_CA, when the router
speaks TLS, a PEM file with the authority to trust.
"""

import os
import pathlib
import sys

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

# The stubs import each other from the folder that they were generated into.
sys.path.insert(0, str(pathlib.Path(__file__).parent / "gen"))

from trunkline.inference.v1 import catalog_pb2, chat_pb2, embed_pb2, message_pb2
from trunkline.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

# Every call gets a deadline; the router keeps it, too, streams included.
PATIENCE_S = 60


def connect(address, ca=None):
    if ca is None:
        return grpc.insecure_channel(address)
    trusted = pathlib.Path(ca).read_bytes()
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(trusted))


def with_key(key):
    return {"metadata": [("authorization", f"Bearer {key}")], "timeout": PATIENCE_S}


OPTIONS = with_key(os.environ.get("TRUNKLINE_KEY", "dev"))


def ask(model, **more):
    message = message_pb2.Message(role=message_pb2.ROLE_USER, content="one two three")
    return chat_pb2.ChatRequest(model=model, messages=[message], **more)


def chat(client, model):
    answer = client.Chat(ask(model, temperature=0.5), **OPTIONS)
    print(answer.choices[0].message.content)
    print(f"{answer.usage.total_tokens} tokens, {answer.usage.cost} USD, recorded as {answer.generation_id}")


def stream(client, model, timeout=PATIENCE_S):
    request = chat_pb2.ChatStreamRequest(chat=ask(model))
    # The loop raises when the answer breaks off: only what ends without an error is complete.
    for event in client.ChatStream(request, **OPTIONS | {"timeout": timeout}):
        for choice in event.choices:
            print(choice.delta.content, end="", flush=True)
    print()


def embed(client, model):
    texts = ["red", "blue"]
    answer = client.Embed(embed_pb2.EmbedRequest(model=model, input=texts), **OPTIONS)
    for vector in answer.embeddings:
        print(f"{texts[vector.index]}: {len(vector.values)} numbers")


def models(client, _):
    for model in client.ListModels(catalog_pb2.ListModelsRequest(), **OPTIONS).models:
        print(model.id)


def refused(client, _):
    for nonsense in [ask("no/such-model"), ask("no/such-model", n=0)]:
        try:
            client.Chat(nonsense, **OPTIONS)
        except grpc.RpcError as error:
            explain(error)


def explain(error):
    """Prints what programs can read of an error: its kind, the fields at fault, when to try again."""
    for detail in rpc_status.from_call(error).details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            print(error_details_pb2.ErrorInfo.FromString(detail.value).reason)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            for violation in error_details_pb2.BadRequest.FromString(detail.value).field_violations:
                print(f"{violation.field}: {violation.description}")
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            print(f"again in {delay.ToTimedelta()}")


def deadline(client, model):
    try:
        stream(client, model, timeout=2)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
        print("\nno time left")


def cancel(client, model):
    events = client.ChatStream(chat_pb2.ChatStreamRequest(chat=ask(model)), **OPTIONS)
    next(events)
    events.cancel()  # the router cancels the call at the provider
    try:
        list(events)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.CANCELLED:
            raise
        print("left")


def main():
    functions = [chat, stream, embed, models, refused, deadline, cancel]
    known = {function.__name__: function for function in functions}
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    model = sys.argv[2] if len(sys.argv) > 2 else "sim/chat"
    if what not in known:
        sys.exit(f"usage: hello.py {'|'.join(known)} [MODEL]")
    address = os.environ.get("TRUNKLINE_GRPC", "127.0.0.1:8080")
    with connect(address, os.environ.get("TRUNKLINE_CA")) as channel:
        known[what](InferenceServiceStub(channel), model)


if __name__ == "__main__":
    main()
