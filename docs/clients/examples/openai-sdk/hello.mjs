// Calls a Trunkline router with OpenAI's SDK: `node hello.mjs WHAT [MODEL]`, where WHAT is a
// function below. TRUNKLINE_URL is the router's base URL and TRUNKLINE_KEY the key.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.TRUNKLINE_URL ?? "http://127.0.0.1:8080/v1",
  apiKey: process.env.TRUNKLINE_KEY ?? "dev",
});
const messages = [{ role: "user", content: "one two three" }];

async function chat(model) {
  const answer = await client.chat.completions.create({ model, messages });
  console.log(answer.choices[0].message.content);
  console.log(`${answer.usage.total_tokens} tokens, ${answer.usage.cost} USD`);
}

async function stream(model) {
  // The loop throws when the answer breaks off: only what ends without an error is complete.
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true }))
    process.stdout.write(chunk.choices[0].delta.content ?? "");
  console.log();
}

async function embed(model) {
  const input = ["red", "blue"];
  for (const { index, embedding } of (await client.embeddings.create({ model, input })).data)
    console.log(`${input[index]}: ${embedding.length} numbers`);
}

async function models() {
  for await (const model of client.models.list()) console.log(model.id);
}

// Says what OpenAI's API has no word for: here where the call may go, and that it is one of several.
async function routed(model) {
  const wishes = { provider: { sort: "price", data_collection: "deny" }, session_id: "talk-1" };
  const answer = await client.chat.completions.create({ model, messages, ...wishes });
  console.log(answer.choices[0].message.content);
}

async function refused() {
  try {
    await client.chat.completions.create({ model: "no/such-model", messages });
  } catch (error) {
    console.log(error.error.metadata.error_type);
  }
}

async function deadline(model) {
  try {
    // The SDK would ask again after a timeout: this is a wish to be done with it.
    const hasty = client.withOptions({ timeout: 2_000, maxRetries: 0 });
    const answer = await hasty.chat.completions.create({ model, messages });
    console.log(answer.choices[0].message.content);
  } catch (error) {
    if (!(error instanceof OpenAI.APIConnectionTimeoutError)) throw error;
    console.log("no time left");
  }
}

async function cancel(model) {
  for await (const _ of await client.chat.completions.create({ model, messages, stream: true }))
    break; // leaving the loop hangs up, and the router cancels the call at the provider
  console.log("left");
}

const functions = { chat, stream, embed, models, routed, refused, deadline, cancel };
const [what, model = "sim/chat"] = process.argv.slice(2);
if (!Object.hasOwn(functions, what)) {
  console.error(`usage: hello.mjs ${Object.keys(functions).join("|")} [MODEL]`);
  process.exit(2);
}
await functions[what](model);
