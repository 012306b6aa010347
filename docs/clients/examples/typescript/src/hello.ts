// Calls a Trunkline router over gRPC: `node dist/hello.js WHAT [MODEL]`, where WHAT is a function
// below. TRUNKLINE_GRPC is the router's host:port, TRUNKLINE_KEY the key, and TRUNKLINE_CA, when
// the router speaks TLS, a PEM file with the authority to trust.
import { readFileSync } from "node:fs";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Client, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import type { ChatRequestSchema } from "./gen/trunkline/inference/v1/chat_pb.js";
import { InferenceService } from "./gen/trunkline/inference/v1/inference_service_pb.js";
import { Role } from "./gen/trunkline/inference/v1/message_pb.js";

type Inference = Client<typeof InferenceService>;

function withKey(key: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
}

function connect(address: string, key: string, ca?: string): Inference {
  const transport = createGrpcTransport({
    baseUrl: `${ca ? "https" : "http"}://${address}`,
    interceptors: [withKey(key)],
    // Every call gets a deadline; the router keeps it, too, streams included.
    defaultTimeoutMs: 60_000,
    ...(ca && { nodeOptions: { ca: readFileSync(ca) } }),
  });
  return createClient(InferenceService, transport);
}

function ask(model: string): MessageInitShape<typeof ChatRequestSchema> {
  const body = { case: "content", value: "one two three" } as const;
  return { model, temperature: 0.5, messages: [{ role: Role.USER, body }] };
}

async function chat(client: Inference, model: string): Promise<void> {
  const { choices, usage, generationId } = await client.chat(ask(model));
  console.log(choices[0]?.message?.body.value);
  console.log(`${usage?.totalTokens} tokens, ${usage?.cost} USD, recorded as ${generationId}`);
}

async function stream(client: Inference, model: string, timeoutMs = 60_000): Promise<void> {
  // The loop throws when the answer breaks off: only what ends without an error is complete.
  for await (const event of client.chatStream({ chat: ask(model) }, { timeoutMs })) {
    for (const choice of event.choices) process.stdout.write(choice.delta?.content ?? "");
  }
  console.log();
}

async function embed(client: Inference, model: string): Promise<void> {
  const input = ["red", "blue"];
  const { embeddings } = await client.embed({ model, input });
  for (const { index, values } of embeddings) console.log(`${input[index]}: ${values.length} numbers`);
}

async function models(client: Inference): Promise<void> {
  for (const model of (await client.listModels({})).models) console.log(model.id);
}

async function refused(client: Inference): Promise<void> {
  await client.chat(ask("no/such-model")).catch(explain);
  await client.chat({ ...ask("no/such-model"), n: 0 }).catch(explain);
}

// Prints what programs can read of an error: its kind, the fields at fault, when to try again.
function explain(error: unknown): void {
  const refusal = ConnectError.from(error);
  for (const { reason } of refusal.findDetails(ErrorInfoSchema)) console.log(reason);
  for (const { fieldViolations } of refusal.findDetails(BadRequestSchema))
    for (const { field, description } of fieldViolations) console.log(`${field}: ${description}`);
  for (const { retryDelay } of refusal.findDetails(RetryInfoSchema))
    console.log(`again in ${retryDelay?.seconds} s`);
}

async function deadline(client: Inference, model: string): Promise<void> {
  try {
    await stream(client, model, 2_000);
  } catch (error) {
    if (ConnectError.from(error).code !== Code.DeadlineExceeded) throw error;
    console.log("\nno time left");
  }
}

async function cancel(client: Inference, model: string): Promise<void> {
  const leaving = new AbortController();
  try {
    for await (const _ of client.chatStream({ chat: ask(model) }, { signal: leaving.signal }))
      leaving.abort(); // the router cancels the call at the provider
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Canceled) throw error;
    console.log("left");
  }
}

const functions = { chat, stream, embed, models, refused, deadline, cancel };
const [what = "", model = "sim/chat"] = process.argv.slice(2);
const run = Object.entries(functions).find(([name]) => name === what)?.[1];
if (run === undefined) {
  console.error(`usage: hello ${Object.keys(functions).join("|")} [MODEL]`);
  process.exit(2);
}
const {
  TRUNKLINE_GRPC: address = "127.0.0.1:8080", TRUNKLINE_KEY: key = "dev", TRUNKLINE_CA: ca,
} = process.env;
await run(connect(address, key, ca), model);
