// The official OpenAI SDK for JavaScript against a router: only the base URL and the key are changed.
//
// The router is named by TRUNKLINE_URL and takes TRUNKLINE_KEY. TRUNKLINE_SIM is the simulated provider
// behind it, whose model names can spell faults.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";

const baseURL = process.env.TRUNKLINE_URL;
const apiKey = process.env.TRUNKLINE_KEY;
const sim = process.env.TRUNKLINE_SIM;
const model = "acme/sim-small";
const content = "one two three";
const messages = [{ role: "user", content }];
const eightWords = "one two three one two three one two";

const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city",
    parameters: {
      type: "object",
      properties: { city: { type: "string" }, unit: { type: "string", enum: ["celsius"] } },
      required: ["city", "unit"],
      additionalProperties: false,
    },
  },
};

/** What the provider saw of a model. */
async function requestsFor(name) {
  const log = await (await fetch(`${sim}/_sim/log`)).json();
  return log.filter((entry) => entry.model === name);
}

/** How the last request for a model ended; asks until it has. */
async function ending(name) {
  for (;;) {
    const last = (await requestsFor(name)).at(-1);
    if (last?.end) return last.end.ending;
  }
}

test("a chat is answered", async () => {
  const answer = await client.chat.completions.create({ model, messages });
  assert.equal(answer.choices[0].message.content, eightWords);
  assert.equal(answer.model, model);
  assert.equal(answer.usage.completion_tokens, 8);
  assert.ok(answer.usage.cost > 0);
  assert.ok(answer._request_id);
});

test("a stream brings its usage to those who ask", async () => {
  const stream_options = { include_usage: true };
  const stream = await client.chat.completions.create({
    model, messages, stream: true, stream_options,
  });
  let text = "";
  let last;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    last = chunk;
  }
  assert.equal(text, eightWords);
  assert.equal(last.usage.completion_tokens, 8);
});

test("tools are called, streamed too", async () => {
  const ask = { model, messages: [{ role: "user", content: "the weather" }], tools: [weather] };
  const answer = await client.chat.completions.create(ask);
  const call = answer.choices[0].message.tool_calls[0];
  assert.deepEqual(JSON.parse(call.function.arguments), { city: "city", unit: "celsius" });
  const final = await client.chat.completions.stream(ask).finalChatCompletion();
  const streamed = final.choices[0].message.tool_calls[0];
  assert.equal(streamed.function.arguments, call.function.arguments);
  assert.equal(final.choices[0].finish_reason, "tool_calls");
});

test("a schema is kept", async () => {
  const schema = {
    type: "object",
    properties: { answer: { type: "string" }, sure: { type: "boolean" } },
    required: ["answer", "sure"],
    additionalProperties: false,
  };
  const response_format = { type: "json_schema", json_schema: { name: "reply", schema, strict: true } };
  const answer = await client.chat.completions.parse({ model, messages, response_format });
  assert.equal(typeof answer.choices[0].message.parsed.answer, "string");
});

test("images and embeddings pass", async () => {
  const url = "data:image/png;base64,iVBORw0KGgo=";
  const parts = [{ type: "text", text: content }, { type: "image_url", image_url: { url } }];
  const seen = await client.chat.completions.create({
    model, messages: [{ role: "user", content: parts }],
  });
  assert.equal(seen.choices[0].message.content, eightWords);
  const vectors = await client.embeddings.create({ model, input: ["red", "blue"] });
  assert.deepEqual(vectors.data.map((v) => v.embedding.length), [8, 8]);
});

test("models are listed and found by a name with a slash", async () => {
  const ids = [];
  for await (const one of client.models.list()) ids.push(one.id);
  assert.ok(ids.includes(model));
  assert.equal((await client.models.retrieve(model)).id, model);
});

for (const [name, kind, status] of [
  ["fault:status@400", OpenAI.BadRequestError, 400],
  ["no-such-model", OpenAI.NotFoundError, 404],
  ["fault:status@422", OpenAI.UnprocessableEntityError, 422],
  ["fault:status@429@30", OpenAI.RateLimitError, 429],
  ["fault:status@500", OpenAI.InternalServerError, 502],
]) {
  test(`the error of ${name} has its class`, async () => {
    const call = client.chat.completions.create({ model: name, messages });
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof kind, `${error}`);
      assert.equal(error.status, status);
      assert.ok(error.requestID);
      return true;
    });
  });
}

test("an unknown key is refused", async () => {
  const stranger = client.withOptions({ apiKey: "not-a-key" });
  const call = stranger.chat.completions.create({ model, messages });
  await assert.rejects(call, OpenAI.AuthenticationError);
});

test("the SDK does not repeat what the router gave up", async () => {
  const name = "fault:status@524";
  const patient = client.withOptions({ maxRetries: 2 });
  const call = patient.chat.completions.create({ model: name, messages });
  await assert.rejects(call, OpenAI.InternalServerError);
  assert.equal((await requestsFor(name)).length, 2);
});

test("a broken stream raises after its tokens", async () => {
  const stream = await client.chat.completions.create({
    model: "fault:cut_reset@2", messages, stream: true,
  });
  let text = "";
  await assert.rejects(async () => {
    for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
  }, OpenAI.APIError);
  assert.equal(text, "one two");
});

test("aborting a stream cancels it upstream", async () => {
  const name = "fault:stall@3";
  const stream = await client.chat.completions.create({ model: name, messages, stream: true });
  for await (const chunk of stream) {
    if (chunk.choices[0].delta.content === " two") break;
  }
  stream.controller.abort();
  assert.equal(await ending(name), "client_gone");
});

test("aborting a call that waits cancels it upstream", async () => {
  const name = "fault:slow_headers@600000";
  const abort = new AbortController();
  const call = client.chat.completions.create({ model: name, messages }, { signal: abort.signal });
  const refused = assert.rejects(call, OpenAI.APIUserAbortError);
  while ((await requestsFor(name)).length === 0);
  abort.abort();
  await refused;
  assert.equal(await ending(name), "client_gone");
});
