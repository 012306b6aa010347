// A headless Chromium with one page, spoken to over a pipe in the DevTools protocol. It notes every request, every
// console line and every error of the page, and judges none.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** No state of a user's, no traffic of the browser's own, and no sandbox, which root cannot have. */
const FLAGS = [
  "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--no-first-run", "--disable-gpu",
  "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
  "--disable-default-apps", "--no-default-browser-check", "--hide-scrollbars", "--no-proxy-server",
];
/** Between two looks at what is waited for. */
const LOOK_AGAIN_MS = 50;
/** Far longer than anything here takes on a loaded machine. */
const PATIENCE_MS = 90_000;

export class Browser {
  /** Addresses asked for by the page. */
  requests = [];
  /** Console lines, uncaught errors and what the browser complains about. */
  complaints = [];

  static async start(program) {
    const browser = new Browser();
    browser.folder = await mkdtemp(join(tmpdir(), "trunkline-page-"));
    const args = [...FLAGS, `--user-data-dir=${browser.folder}`, "about:blank"];
    browser.process = spawn(program, args, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    browser.ended = new Promise((resolve) => {
      browser.process.on("exit", resolve);
      browser.process.on("error", (error) => browser.fail(error));
    });
    browser.ended.then(() => browser.fail(new Error(`${program} has ended`)));
    browser.listen(browser.process.stdio[4]);
    const { targetId } = await browser.call("Target.createTarget", { url: "about:blank" });
    browser.session = (await browser.call("Target.attachToTarget", { targetId, flatten: true })).sessionId;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) await browser.call(`${domain}.enable`);
    return browser;
  }

  waiting = new Map();
  count = 0;

  listen(pipe) {
    let rest = "";
    pipe.setEncoding("utf8").on("data", (text) => {
      const messages = (rest + text).split("\0");
      rest = messages.pop();
      for (const message of messages) this.take(JSON.parse(message));
    });
  }

  take({ id, result, error, method, params }) {
    if (id !== undefined) {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error.message));
      else resolve(result);
    }
    if (method === "Network.requestWillBeSent") this.requests.push(params.request.url);
    if (method === "Runtime.consoleAPICalled") this.complaints.push(params.args.map((arg) => arg.value).join(" "));
    if (method === "Runtime.exceptionThrown") this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === "Log.entryAdded") this.complaints.push(`${params.entry.text} ${params.entry.url ?? ""}`);
  }

  fail(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  call(method, params = {}) {
    const id = ++this.count;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: this.session })}\0`);
    return answer;
  }

  open(url) {
    return this.call("Page.navigate", { url });
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const asked = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", asked);
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.text}`);
    return result.value;
  }

  /** Waits until an expression in the page is true. */
  async until(what, expression) {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await this.value(expression))) {
      if (Date.now() > deadline) throw new Error(`it never came about that ${what}: ${await this.value("document.body.innerText")}`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }

  /** How the page looks on a screen of this width: a PNG of all of it. */
  async look(width, scheme) {
    const size = { width, height: 900, deviceScaleFactor: 1, mobile: false };
    await this.call("Emulation.setDeviceMetricsOverride", size);
    await this.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    const shot = await this.call("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
    return Buffer.from(shot.data, "base64");
  }

  async end() {
    this.process.kill("SIGKILL");
    await this.ended;
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
