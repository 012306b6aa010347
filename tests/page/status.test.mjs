// The status page in a real browser: what it shows, that it follows the cluster without a reload, that it asks
// nobody but its router, and that text stays text.
//
// TRUNKLINE_OPS is a router's operations port, TRUNKLINE_SIM the provider whose endpoint is to break,
// TRUNKLINE_BROKEN the id of that endpoint, TRUNKLINE_CHROMIUM the browser, TRUNKLINE_ADMIN_CLI what ends the canary
// that runs; it finds its router by its own variables. Pictures go to TRUNKLINE_PICTURES if
// it names a folder.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { Browser } from "./browser.mjs";

const ops = process.env.TRUNKLINE_OPS;
const sim = process.env.TRUNKLINE_SIM;
const broken = process.env.TRUNKLINE_BROKEN;
const pictures = process.env.TRUNKLINE_PICTURES;

const rows = "document.querySelectorAll('tr[data-endpoint]')";
const row = `document.querySelector('tr[data-endpoint="${broken}"]')`;

/** The words of both sides of the canary, a row each. */
const sides = () => [...document.querySelectorAll("#canary tbody tr")].map((row) => [...row.children].map((cell) => cell.innerText));

let browser;
before(async () => {
  browser = await Browser.start(process.env.TRUNKLINE_CHROMIUM);
  await browser.open(`${ops}/`);
  await browser.until("everything is up", `${rows}.length > 0 && [...${rows}].every((row) => row.innerText.includes("up"))`);
});
after(() => browser.end());

test("every endpoint, router, prober, drain and tag has its row", async () => {
  const { providers, routers, probers, drains } = await (await fetch(`${ops}/status.json`)).json();
  const endpoints = providers.flatMap((provider) => provider.endpoints);
  assert.equal(await browser.value(`${rows}.length`), endpoints.length);
  const text = await browser.value("document.body.innerText");
  for (const { model } of endpoints) assert.ok(text.includes(model), model);
  for (const { id } of [...providers, ...routers, ...probers]) assert.ok(text.includes(id), id);
  for (const { target } of drains) assert.ok(text.includes(target), target);
  assert.ok(probers.length >= 2 && drains.length === 1);
  await browser.until("the evidence is told", `[...document.querySelectorAll("summary")].some((s) => s.textContent.includes("${probers.length} up"))`);
  assert.equal(await browser.value("document.querySelectorAll('svg.plot .latency').length"), endpoints.length);
});

test("text stays text, wherever it comes from", async () => {
  assert.ok((await browser.value("document.getElementById('drains').innerText")).includes("<img src=x onerror=alert(1)>"));
  assert.ok((await browser.value("document.getElementById('costs').innerText")).includes("<script>alert(1)</script>"));
  assert.equal(await browser.value("document.querySelectorAll('img').length"), 0);
  assert.equal(await browser.value("document.scripts.length"), 1);
});

test("a provider that breaks is shown without a reload, and so is its return", async () => {
  await browser.value("window.sameAsBefore = true");
  await browser.value(`${row}.nextSibling.querySelector("summary").click()`);
  const fault = { method: "POST", body: JSON.stringify({ fault: { kind: "status", status: 500 } }) };
  assert.ok((await fetch(`${sim}/_sim/fault`, fault)).ok);
  await browser.until("it is down", `${row}.innerText.includes("✕ down")`);
  assert.equal(await browser.value(`${row}.nextSibling.querySelector("details").open`), true);
  await picture("down", 1360, "light");
  assert.ok((await fetch(`${sim}/_sim/fault`, { method: "DELETE" })).ok);
  await browser.until("it is up again", `${row}.innerText.includes("● up")`);
  assert.equal(await browser.value("window.sameAsBefore"), true);
});

test("the list can be narrowed to what is looked for", async () => {
  const type = (text) => browser.value(`{ const f = document.getElementById("filter"); f.value = ${JSON.stringify(text)}; f.dispatchEvent(new Event("input")); }`);
  await type("beta");
  assert.ok((await browser.value(`${rows}.length`)) >= 1);
  assert.equal(await browser.value("document.querySelectorAll('#providers article').length"), 1);
  await type("nobody");
  assert.equal(await browser.value(`${rows}.length`), 0);
  await type("");
});

test("it fits a phone and a desk, by day and by night", async () => {
  for (const width of [1360, 390]) {
    for (const scheme of ["light", "dark"]) {
      const png = await picture("well", width, scheme);
      assert.ok(png.length > 10_000, `${width} ${scheme}: ${png.length} bytes`);
      const wide = await browser.value("document.documentElement.scrollWidth - window.innerWidth");
      assert.ok(wide <= 0, `${width} ${scheme}: ${wide} pixels too wide`);
      const ground = await browser.value("getComputedStyle(document.body).backgroundColor");
      const bright = Number(ground.match(/\d+/)[0]) > 128;
      assert.equal(bright, scheme === "light", `${scheme}: ${ground}`);
    }
  }
});

test("a canary is shown beside the policy in force, and is gone when it has ended", async () => {
  const { canary, policy } = await (await fetch(`${ops}/status.json`)).json();
  assert.equal(canary.share_permille, 500);
  await browser.until("calls of both sides are counted", `(${sides})().length === 2 && (${sides})().every(([, , calls]) => Number(calls) > 0)`);
  const [stable, candidate] = await browser.value(`(${sides})()`);
  const digits = (version) => version.replace(/^[a-z0-9]+:/, "").slice(0, 12);
  assert.deepEqual(stable.slice(0, 2), ["● in force", digits(policy)]);
  assert.deepEqual(candidate.slice(0, 2), ["◇ canary", digits(canary.sides[1].version)]);
  assert.match(candidate[3], /^\d+ \(\d+\.\d %\)$/);
  const told = await browser.value("document.getElementById('canary-told').innerText");
  assert.match(told, /^A candidate decides for 50\.0 % of the callers\. key\/\S+ began it \d+ (s|min) ago: <b>shorter<\/b> names\. /);
  assert.match(told, /It ends in \d+ min, or when 1\.0 % more of its calls fail\./);
  assert.ok((await browser.value("document.getElementById('tiles').innerText")).includes("canary on 50.0 %"));
  execFileSync(process.env.TRUNKLINE_ADMIN_CLI, ["policy", "canary", "abort", "--reason", "seen"]);
  await browser.until("it is gone", "document.getElementById('canary-part').hidden");
  assert.ok((await browser.value("document.getElementById('tiles').innerText")).includes("version in force"));
});

test("it asked nobody but its router, and the browser had nothing to complain about", () => {
  const elsewhere = browser.requests.filter((url) => !url.startsWith(`${ops}/`) && !url.startsWith("data:") && url !== "about:blank");
  assert.deepEqual(elsewhere, []);
  assert.ok(browser.requests.some((url) => url.endsWith("/status.json")));
  assert.deepEqual(browser.complaints, []);
});

async function picture(name, width, scheme) {
  const png = await browser.look(width, scheme);
  if (pictures) {
    await mkdir(pictures, { recursive: true });
    await writeFile(`${pictures}/${name}-${scheme}-${width}.png`, png);
  }
  return png;
}
