"""The official OpenAI SDK against the simulated provider."""

import asyncio
import json
import time

import openai
import pydantic
import pytest

PROMPT = "one two three"
MESSAGES = [{"role": "user", "content": PROMPT}]
EIGHT_WORDS = "one two three one two three one two"

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


def test_plain(oai, sim):
    answer = oai.chat.completions.create(model="sim-small", messages=MESSAGES)
    assert answer.choices[0].message.content == EIGHT_WORDS
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 4
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == 12
    assert answer._request_id.startswith("req_sim_")
    assert sim.log()[0]["credential_tail"] == "1234"


def test_streamed_with_usage(oai):
    stream = oai.chat.completions.create(
        model="sim-small",
        messages=MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    texts = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(texts) == EIGHT_WORDS
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 8
    assert all(c.usage is None for c in chunks[:-1])


def test_stream_helper(oai):
    with oai.chat.completions.stream(model="sim-small", messages=MESSAGES) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert final.choices[0].message.content == EIGHT_WORDS
    assert "".join(deltas) == EIGHT_WORDS


def test_limits_choices_and_stops(oai):
    answer = oai.chat.completions.create(model="m", messages=MESSAGES, n=2, max_tokens=2)
    assert [c.message.content for c in answer.choices] == ["one two", "two three"]
    assert {c.finish_reason for c in answer.choices} == {"length"}
    assert answer.usage.completion_tokens == 4
    answer = oai.chat.completions.create(model="m", messages=MESSAGES, stop=" three")
    assert answer.choices[0].message.content == "one two"
    assert answer.choices[0].finish_reason == "stop"


def test_legacy_completion(oai):
    answer = oai.completions.create(model="m", prompt=PROMPT, max_tokens=3)
    assert answer.choices[0].text == PROMPT
    chunks = list(oai.completions.create(model="m", prompt=PROMPT, max_tokens=3, stream=True))
    assert "".join(c.choices[0].text for c in chunks) == PROMPT


def test_tool_call_and_its_result(oai):
    answer = oai.chat.completions.create(model="m", messages=WEATHER_MESSAGES, tools=[WEATHER])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    call = choice.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "city", "unit": "celsius"}
    messages = WEATHER_MESSAGES + [
        choice.message.to_dict(),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    answer = oai.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content.startswith("sunny")
    assert answer.choices[0].finish_reason == "stop"


def test_parallel_tool_calls(oai):
    second = {"type": "function", "function": {**WEATHER["function"], "name": "get_time"}}
    messages = [{"role": "user", "content": "Ask for both in parallel"}]
    ask = {"model": "m", "messages": messages, "tools": [WEATHER, second]}
    calls = oai.chat.completions.create(**ask).choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    with oai.chat.completions.stream(**ask) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls
    assert [call.function.arguments for call in streamed] == [
        call.function.arguments for call in calls
    ]
    assert len({call.id for call in streamed}) == 2


def test_tool_choice(oai):
    for choice, called in [
        ("none", False),
        ("auto", False),
        ("required", True),
        ({"type": "function", "function": {"name": "get_weather"}}, True),
    ]:
        answer = oai.chat.completions.create(
            model="m", messages=MESSAGES, tools=[WEATHER], tool_choice=choice
        )
        assert bool(answer.choices[0].message.tool_calls) == called, choice


def test_tool_call_streamed_in_pieces(oai):
    with oai.chat.completions.stream(
        model="m", messages=WEATHER_MESSAGES, tools=[WEATHER]
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
    answer = oai.chat.completions.parse(model="m", messages=MESSAGES, response_format=Solution)
    parsed = answer.choices[0].message.parsed
    assert parsed.steps[0].explanation == "explanation"
    assert parsed.confident is True


def test_json_object(oai):
    answer = oai.chat.completions.create(
        model="m", messages=MESSAGES, response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_embeddings(oai):
    both = oai.embeddings.create(model="sim-embed", input=["red", "blue"])
    assert [len(item.embedding) for item in both.data] == [8, 8]
    assert both.data[0].embedding != both.data[1].embedding
    for form in ("float", "base64"):
        one = oai.embeddings.create(model="sim-embed", input="red", encoding_format=form)
        assert one.usage.total_tokens == 1
    floats = oai.embeddings.create(model="m", input="red", encoding_format="float", dimensions=3)
    assert sum(x * x for x in floats.data[0].embedding) == pytest.approx(1)
    default = oai.embeddings.create(model="m", input="red", dimensions=3)
    assert default.data[0].embedding == pytest.approx(floats.data[0].embedding)


def test_models(oai):
    ids = [model.id for model in oai.models.list()]
    assert "sim-small" in ids
    assert oai.models.retrieve("acme/some-model").id == "acme/some-model"


def test_images_are_accepted_and_counted(oai):
    content = [
        {"type": "text", "text": PROMPT},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    answer = oai.chat.completions.create(model="m", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == EIGHT_WORDS
    assert answer.usage.prompt_tokens == 4 + 85


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (409, openai.ConflictError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
def test_error_classes(oai, sim, status, error):
    sim.fault("status", status=status)
    with pytest.raises(error) as caught:
        oai.chat.completions.create(model="m", messages=MESSAGES)
    assert caught.value.status_code == status
    assert caught.value.body["message"]


def test_context_length_is_told_by_its_code(oai, sim):
    sim.fault("context_length")
    with pytest.raises(openai.BadRequestError) as caught:
        oai.chat.completions.create(model="m", messages=MESSAGES)
    assert caught.value.code == "context_length_exceeded"


def test_retries_honour_retry_after(oai, sim):
    sim.fault("status", status=429, retry_after="1", count=1)
    patient = oai.with_options(max_retries=1)
    answer = patient.chat.completions.create(model="m", messages=MESSAGES)
    assert answer.choices[0].message.content == EIGHT_WORDS
    first, second = sim.log()
    assert [first["status"], second["status"]] == [429, 200]
    assert second["received_ms"] - first["received_ms"] >= 990
    assert second["headers"] != first["headers"], "the SDK counts its retries in a header"


def test_a_cut_stream_raises_after_its_tokens(oai, sim):
    sim.fault("cut", after=2)
    assert_raises_after_two_tokens(oai, openai.APIConnectionError)


def test_an_error_event_raises_after_the_tokens_before_it(oai, sim):
    sim.fault("error_in_ok", after=2)
    assert_raises_after_two_tokens(oai, openai.APIError)


def assert_raises_after_two_tokens(oai, error):
    texts = []
    with pytest.raises(error):
        for chunk in oai.chat.completions.create(model="m", messages=MESSAGES, stream=True):
            texts.append(chunk.choices[0].delta.content or "")
    assert "".join(texts) == "one two"


def test_reset_is_a_connection_error(oai, sim):
    sim.fault("reset")
    with pytest.raises(openai.APIConnectionError):
        oai.chat.completions.create(model="m", messages=MESSAGES)


def test_closing_a_stream_is_seen_as_a_cancel(oai, sim):
    sim.fault("stall", after=2)
    stream = oai.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    for chunk in stream:
        if chunk.choices[0].delta.content == " two":
            break
    stream.close()
    assert ending(sim) == "client_gone"


def ending(sim):
    """How the first request ended; asks until it has."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        end = sim.log()[0]["end"]
        if end:
            return end["ending"]
    raise AssertionError("the request never ended")


def test_async_plain_streamed_and_cancelled(sim):
    asyncio.run(talk_asynchronously(sim))


async def talk_asynchronously(sim):
    async with openai.AsyncOpenAI(base_url=sim.url + "/v1", api_key="k", max_retries=0) as client:
        many = await asyncio.gather(
            *(client.chat.completions.create(model="m", messages=MESSAGES) for _ in range(20))
        )
        assert {a.choices[0].message.content for a in many} == {EIGHT_WORDS}
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        texts = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(texts) == EIGHT_WORDS
        sim.reset()
        sim.fault("black_hole")
        task = asyncio.create_task(client.chat.completions.create(model="m", messages=MESSAGES))
        while not await asyncio.to_thread(sim.log):
            pass
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ending, sim) == "client_gone"
