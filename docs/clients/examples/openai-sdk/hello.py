"""Calls a Trunkline router with OpenAI's SDK: `python hello.py WHAT [MODEL]`.

TRUNKLINE_URL is the router's base URL and TRUNKLINE_KEY the key.
"""

import os
import sys

import openai

client = openai.OpenAI(
    base_url=os.environ.get("TRUNKLINE_URL", "http://127.0.0.1:8080/v1"),
    api_key=os.environ.get("TRUNKLINE_KEY", "dev"),
)
messages = [{"role": "user", "content": "one two three"}]


def chat(model):
    answer = client.chat.completions.create(model=model, messages=messages)
    print(answer.choices[0].message.content)
    print(f"{answer.usage.total_tokens} tokens, {answer.usage.model_extra['cost']:f} USD")


def stream(model):
    # The loop raises when the answer breaks off: only what ends without an error is complete.
    for chunk in client.chat.completions.create(model=model, messages=messages, stream=True):
        print(chunk.choices[0].delta.content or "", end="", flush=True)
    print()


def embed(model):
    texts = ["red", "blue"]
    for vector in client.embeddings.create(model=model, input=texts).data:
        print(f"{texts[vector.index]}: {len(vector.embedding)} numbers")


def models(_):
    for model in client.models.list():
        print(model.id)


def routed(model):
    """Says what OpenAI's API has no word for: here where the call may go, and that it is one of several."""
    wishes = {"provider": {"sort": "price", "data_collection": "deny"}, "session_id": "talk-1"}
    answer = client.chat.completions.create(model=model, messages=messages, extra_body=wishes)
    print(answer.choices[0].message.content)


def refused(_):
    try:
        client.chat.completions.create(model="no/such-model", messages=messages)
    except openai.APIStatusError as error:
        print(error.body["metadata"]["error_type"])


def deadline(model):
    try:
        # The SDK would ask again after a timeout: this is a wish to be done with it.
        hasty = client.with_options(timeout=2, max_retries=0)
        print(hasty.chat.completions.create(model=model, messages=messages).choices[0].message.content)
    except openai.APITimeoutError:
        print("no time left")


def cancel(model):
    with client.chat.completions.create(model=model, messages=messages, stream=True) as chunks:
        next(chunks)
    print("left")  # leaving the block hangs up, and the router cancels the call at the provider


def main():
    functions = [chat, stream, embed, models, routed, refused, deadline, cancel]
    known = {function.__name__: function for function in functions}
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what not in known:
        sys.exit(f"usage: hello.py {'|'.join(known)} [MODEL]")
    known[what](sys.argv[2] if len(sys.argv) > 2 else "sim/chat")


if __name__ == "__main__":
    main()
