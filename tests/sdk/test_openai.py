"""The official OpenAI SDK for Python against a router: only the base URL and the key are changed.

The router is named by TRUNKLINE_URL and takes TRUNKLINE_KEY; TRUNKLINE_NARROW_KEY may use one model only.
TRUNKLINE_SIM is the simulated provider behind it, whose model names can spell faults.
"""

import asyncio
import json
import os
import time
import urllib.request

import openai
import pydantic
import pytest

URL = os.environ["TRUNKLINE_URL"]
KEY = os.environ["TRUNKLINE_KEY"]
NARROW_KEY = os.environ["TRUNKLINE_NARROW_KEY"]
SIM = os.environ["TRUNKLINE_SIM"]

MODEL = "acme/sim-small"
PROMPT = "one two three"
MESSAGES = [{"role": "user", "content": PROMPT}]
EIGHT_WORDS = "one two three one two three one two"
PATIENCE_S = 30

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
WEATHER_MESSAGES = [{"role": "user", "content": "What is the weather in Bern?"}]


@pytest.fixture
def oai():
    with openai.OpenAI(base_url=URL, api_key=KEY, max_retries=0) as client:
        yield client


def control(method, path, body=None):
    """Asks the simulated provider itself."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SIM + path, data=data, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def requests_for(model):
    """What the provider saw of a model."""
    return [entry for entry in control("GET", "/_sim/log") if entry["model"] == model]


def ask(client, model=MODEL, **more):
    return client.chat.completions.create(model=model, messages=MESSAGES, **more)


def test_plain(oai):
    answer = ask(oai)
    assert answer.choices[0].message.content == EIGHT_WORDS
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8
    assert answer.usage.model_extra["cost"] > 0
    assert answer._request_id


def test_a_request_id_of_the_callers_own_comes_back(oai):
    answer = ask(oai, extra_headers={"x-request-id": "mine-1"})
    assert answer._request_id == "mine-1"


def test_streamed_with_usage(oai):
    chunks = list(ask(oai, stream=True, stream_options={"include_usage": True}))
    texts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(texts) == EIGHT_WORDS
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 8
    assert {c.model for c in chunks} == {MODEL}


def test_streamed_without_usage(oai):
    chunks = list(ask(oai, stream=True))
    assert all(c.choices and c.usage is None for c in chunks)


def test_the_routing_fields_ride_along(oai):
    more = {"provider": {"only": ["sim"]}, "models": ["acme/sim-large"], "session_id": "s"}
    assert ask(oai, extra_body=more).choices[0].message.content == EIGHT_WORDS
    with pytest.raises(openai.NotFoundError) as caught:
        ask(oai, extra_body={"provider": {"only": ["nobody"]}})
    assert caught.value.body["metadata"]["error_type"] == "no_endpoint"


def test_completions(oai):
    answer = oai.completions.create(model=MODEL, prompt=PROMPT)
    assert answer.choices[0].text == EIGHT_WORDS
    stream = oai.completions.create(model=MODEL, prompt=PROMPT, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == EIGHT_WORDS


def test_tool_call_round(oai):
    answer = oai.chat.completions.create(model=MODEL, messages=WEATHER_MESSAGES, tools=[WEATHER])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    call = message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["unit"] == "celsius"
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny and warm"}
    more = [*WEATHER_MESSAGES, message, result]
    answer = oai.chat.completions.create(model=MODEL, messages=more, tools=[WEATHER])
    assert answer.choices[0].message.content.startswith("sunny and warm")


def test_tool_call_streamed_in_pieces(oai):
    with oai.chat.completions.stream(
        model=MODEL, messages=WEATHER_MESSAGES, tools=[WEATHER]
    ) as stream:
        pieces = [e for e in stream if e.type == "tool_calls.function.arguments.delta"]
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"city": "city", "unit": "celsius"}
    assert len(pieces) > 2
    assert final.choices[0].finish_reason == "tool_calls"


class Step(pydantic.BaseModel):
    explanation: str
    output: float


class Solution(pydantic.BaseModel):
    steps: list[Step]
    answer: str | None
    confident: bool


def test_parse_with_a_schema(oai):
    answer = oai.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Solution)
    parsed = answer.choices[0].message.parsed
    assert parsed.steps[0].explanation == "explanation"
    assert parsed.confident is True


def test_json_object(oai):
    answer = ask(oai, response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_images(oai):
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    messages = [{"role": "user", "content": content}]
    answer = oai.chat.completions.create(model=MODEL, messages=messages)
    assert answer.choices[0].message.content == EIGHT_WORDS


def test_embeddings(oai):
    both = oai.embeddings.create(model=MODEL, input=["red", "blue"])
    assert [len(item.embedding) for item in both.data] == [8, 8]
    assert both.data[0].embedding != both.data[1].embedding
    floats = oai.embeddings.create(model=MODEL, input="red", encoding_format="float")
    default = oai.embeddings.create(model=MODEL, input="red")
    assert default.data[0].embedding == pytest.approx(floats.data[0].embedding)
    assert default.usage.prompt_tokens == 1


def test_models(oai):
    ids = [model.id for model in oai.models.list()]
    assert MODEL in ids
    assert oai.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        oai.models.retrieve("acme/nothing")


@pytest.mark.parametrize(
    ("model", "error", "status", "error_type"),
    [
        ("fault:status@400", openai.BadRequestError, 400, "invalid_request"),
        ("fault:context_length", openai.BadRequestError, 400, "context_length_exceeded"),
        ("fault:content_policy", openai.BadRequestError, 400, "content_policy_violation"),
        ("no-such-model", openai.NotFoundError, 404, "model_not_found"),
        ("fault:status@422", openai.UnprocessableEntityError, 422, "unprocessable"),
        ("fault:status@429@30", openai.RateLimitError, 429, "provider_rate_limited"),
        ("fault:status@401", openai.InternalServerError, 502, "provider_authentication"),
        ("fault:status@500", openai.InternalServerError, 502, "provider_error"),
        ("fault:status@503", openai.InternalServerError, 503, "provider_overloaded"),
        ("fault:status@504", openai.InternalServerError, 504, "upstream_timeout"),
        ("fault:reset", openai.InternalServerError, 502, "provider_unavailable"),
    ],
)
def test_error_classes(oai, model, error, status, error_type):
    with pytest.raises(error) as caught:
        ask(oai, model)
    assert caught.value.status_code == status
    assert caught.value.body["metadata"]["error_type"] == error_type
    assert caught.value.body["message"]
    assert caught.value.request_id


def test_our_own_refusals(oai):
    with pytest.raises(openai.AuthenticationError):
        ask(oai.with_options(api_key="not-a-key"))
    with pytest.raises(openai.PermissionDeniedError):
        ask(oai.with_options(api_key=NARROW_KEY))
    with pytest.raises(openai.BadRequestError) as caught:
        ask(oai, max_tokens="many")
    assert caught.value.param == "max_tokens"


def test_the_sdk_does_not_repeat_what_we_gave_up(oai):
    model = "fault:status@502"
    with pytest.raises(openai.InternalServerError):
        ask(oai.with_options(max_retries=2), model)
    assert len(requests_for(model)) == 2, "our own two tries, and no more"


def test_the_sdk_waits_for_retry_after(oai):
    model = "acme/limited"
    limited = {"kind": "status", "status": 429, "retry_after": "3"}
    control("POST", "/_sim/fault", {"fault": limited, "count": 1, "model": model})
    answer = ask(oai.with_options(max_retries=1), model)
    assert answer.choices[0].message.content == EIGHT_WORDS
    first, second = requests_for(model)
    assert second["received_ms"] - first["received_ms"] >= 2900


@pytest.mark.parametrize("model", ["fault:cut@2", "fault:error_in_ok@2", "fault:early_eof@2"])
def test_a_broken_stream_raises_after_its_tokens(oai, model):
    texts = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in ask(oai, model, stream=True):
            texts.append(chunk.choices[0].delta.content or "")
    assert "".join(texts) == "one two"
    assert caught.value.body["metadata"]["tokens_emitted"] == 2


def test_closing_a_stream_cancels_it_upstream(oai):
    model = "fault:stall@2"
    stream = ask(oai, model, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content == " two":
            break
    stream.close()
    assert ending(model) == "client_gone"


def ending(model):
    """How the first request for a model ended; asks until it has."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        seen = requests_for(model)
        if seen and seen[0]["end"]:
            return seen[0]["end"]["ending"]
    raise AssertionError("the request never ended")


def test_async_plain_streamed_and_cancelled():
    asyncio.run(talk_asynchronously())


async def talk_asynchronously():
    async with openai.AsyncOpenAI(base_url=URL, api_key=KEY, max_retries=0) as client:
        many = await asyncio.gather(*(ask(client) for _ in range(20)))
        assert {a.choices[0].message.content for a in many} == {EIGHT_WORDS}
        stream = await ask(client, stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(texts) == EIGHT_WORDS
        model = "fault:black_hole"
        task = asyncio.create_task(ask(client, model))
        while not await asyncio.to_thread(requests_for, model):
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ending, model) == "client_gone"
