"""The official Anthropic SDK against the simulated provider."""

import asyncio

import anthropic
import pydantic
import pytest

PROMPT = "one two three"
ASK = {"model": "sim-large", "max_tokens": 100, "messages": [{"role": "user", "content": PROMPT}]}
EIGHT_WORDS = "one two three one two three one two"

WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
        "required": ["city"],
    },
}
WEATHER_ASK = {
    **ASK,
    "messages": [{"role": "user", "content": "What is the weather in Bern?"}],
    "tools": [WEATHER],
}


def test_plain(claude, sim):
    answer = claude.messages.create(**ASK, system="Be brief")
    assert answer.content[0].text == EIGHT_WORDS
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens == 4 + 3
    assert answer.usage.output_tokens == 8
    assert answer._request_id.startswith("req_sim_")
    assert sim.log()[0]["credential_tail"] == "5678"


def test_bearer_tokens_are_accepted(sim):
    with anthropic.Anthropic(base_url=sim.url, auth_token="bearer-9012", max_retries=0) as client:
        assert client.messages.create(**ASK).content[0].text == EIGHT_WORDS
    assert sim.log()[0]["credential_tail"] == "9012"


def test_streamed(claude):
    with claude.messages.stream(**ASK) as stream:
        assert "".join(stream.text_stream) == EIGHT_WORDS
        final = stream.get_final_message()
    assert final.usage.output_tokens == 8
    assert final.usage.input_tokens == 4
    assert final.stop_reason == "end_turn"


def test_raw_events(claude):
    names = [event.type for event in claude.messages.create(**ASK, stream=True)]
    assert names[0] == "message_start"
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("content_block_delta") == 8


def test_limit_and_stop_sequence(claude):
    answer = claude.messages.create(**{**ASK, "max_tokens": 2})
    assert (answer.content[0].text, answer.stop_reason) == ("one two", "max_tokens")
    answer = claude.messages.create(**ASK, stop_sequences=[" three"])
    assert (answer.content[0].text, answer.stop_reason) == ("one two", "stop_sequence")
    assert answer.stop_sequence == " three"


def test_tool_use_and_its_result(claude):
    answer = claude.messages.create(**WEATHER_ASK)
    assert answer.stop_reason == "tool_use"
    call = answer.content[-1]
    assert (call.name, call.input) == ("get_weather", {"city": "city", "days": 2})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny weather"}
    messages = WEATHER_ASK["messages"] + [
        {"role": "assistant", "content": [call.to_dict()]},
        {"role": "user", "content": [result]},
    ]
    answer = claude.messages.create(**{**WEATHER_ASK, "messages": messages})
    assert answer.stop_reason == "end_turn"
    assert answer.content[0].text.startswith("sunny weather")


def test_tool_choice(claude):
    for choice, stop_reason in [("none", "end_turn"), ("auto", "end_turn"), ("any", "tool_use")]:
        answer = claude.messages.create(**ASK, tools=[WEATHER], tool_choice={"type": choice})
        assert answer.stop_reason == stop_reason, choice


def test_tool_use_streamed_in_pieces(claude):
    with claude.messages.stream(**WEATHER_ASK) as stream:
        pieces = [event for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    assert final.content[-1].input == {"city": "city", "days": 2}
    assert len(pieces) > 2


class City(pydantic.BaseModel):
    name: str
    population: int


def test_parse_with_a_schema(claude):
    answer = claude.messages.parse(**ASK, output_format=City)
    assert answer.parsed_output == City(name="name", population=1)


def test_images_are_accepted_and_counted(claude):
    image = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    content = [{"type": "image", "source": image}, {"type": "text", "text": PROMPT}]
    answer = claude.messages.create(**{**ASK, "messages": [{"role": "user", "content": content}]})
    assert answer.content[0].text == EIGHT_WORDS
    assert answer.usage.input_tokens == 4 + 85


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.RequestTooLargeError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
def test_error_classes(claude, sim, status, error, kind):
    sim.fault("status", status=status)
    with pytest.raises(error) as caught:
        claude.messages.create(**ASK)
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.request_id.startswith("req_sim_")
    assert caught.value.body["request_id"] == caught.value.request_id


def test_retries_honour_retry_after(claude, sim):
    sim.fault("status", status=529, retry_after="1", count=1)
    answer = claude.with_options(max_retries=1).messages.create(**ASK)
    assert answer.content[0].text == EIGHT_WORDS
    first, second = sim.log()
    assert [first["status"], second["status"]] == [529, 200]
    assert second["received_ms"] - first["received_ms"] >= 990


def test_an_error_event_in_a_stream_raises(claude, sim):
    sim.fault("error_in_ok", after=2)
    texts = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        with claude.messages.stream(**ASK) as stream:
            for text in stream.text_stream:
                texts.append(text)
    assert "".join(texts) == "one two"
    assert caught.value.body["error"]["type"] == "api_error"


def test_async_plain_and_streamed(sim):
    asyncio.run(talk_asynchronously(sim))


async def talk_asynchronously(sim):
    async with anthropic.AsyncAnthropic(base_url=sim.url, api_key="k", max_retries=0) as client:
        assert (await client.messages.create(**ASK)).content[0].text == EIGHT_WORDS
        async with client.messages.stream(**ASK) as stream:
            assert "".join([text async for text in stream.text_stream]) == EIGHT_WORDS
