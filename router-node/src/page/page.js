// Keeps the page up to date: asks this router for status.json every two seconds and for history.json as often as
// it takes a point. Everything is put in as text, never as markup; what is already there is changed in place, so
// that opened details stay open and nothing flickers.
"use strict";

const STATUS_EVERY_MS = 2000;
const PATIENCE_MS = 8000;
/** The store speaks at least this often when it is well. */
const STORE_SILENT_MS = 15000;
/** Tags shown before the rest is folded away. */
const TAGS_SHOWN = 12;

/** Sign, word and mood of every verdict and vote: never colour alone. */
const VERDICTS = {
  up: ["●", "up", "good"],
  unknown: ["○", "unknown", ""],
  suspect: ["◔", "suspect", "warn"],
  degraded: ["◐", "degraded", "warn"],
  recovering: ["◑", "recovering", "warn"],
  advisory_down: ["▲", "advisory down", "warn"],
  zone_down: ["◩", "zone down", "warn"],
  down: ["✕", "down", "bad"],
  config_error: ["!", "config error", "bad"],
  config: ["!", "config", "bad"],
};
const BREAKERS = { trial: "on trial here", cooling: "cooling here", ejected: "ejected here" };
const KEPT = {
  share: "kept: too many are out",
  only_one: "kept: there is no other",
  disruption: "kept: our own network may be at fault",
};

let status = null;
let hour = { points: 0, every_s: 15, endpoints: {} };
let answeredAt = 0;

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a string becomes text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function drawing(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mood(element, name, base = "") {
  const value = [base, name].filter(Boolean).join(" ");
  if (element.className !== value) element.className = value;
}

/** One child for each item, kept by key, in the items' order. */
function keep(parent, items, keyOf, build, update) {
  const known = (parent.known ??= new Map());
  const gone = new Set(known.keys());
  let at = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    gone.delete(key);
    if (!known.has(key)) known.set(key, build(item));
    const child = known.get(key);
    update(child, item);
    if (child === at) at = at.nextSibling;
    else parent.insertBefore(child, at);
  }
  for (const key of gone) {
    known.get(key).remove();
    known.delete(key);
  }
}

const number = (value, unit = "") =>
  value === null || value === undefined ? "–" : `${value.toLocaleString("en")}${unit}`;
const percent = (permille) =>
  permille === null || permille === undefined ? "–" : `${(permille / 10).toFixed(1)} %`;
/** Small amounts with the digits that tell them apart. */
const usd = (value) =>
  `$${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: value < 0.01 ? 6 : value < 10 ? 4 : 2 })}`;
const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

/** A policy's version with the digits that tell it from others. */
const version = (full) => full.replace(/^[a-z0-9]+:/, "").slice(0, 12) || "none";

function badge(element, name) {
  const [sign, word, tone] = VERDICTS[name] ?? ["?", name, ""];
  say(element, `${sign} ${word}`);
  mood(element, tone, "badge");
}

// ---- tables --------------------------------------------------------------------------------------------------

/** A table that fills itself from rows of [key, cells]; a cell is text, or [text, class], or {badge}. */
function table(parent, columns, rows, empty) {
  if (!parent.body) {
    const heads = columns.map(([title, kind]) => make("th", { scope: "col", class: kind ?? "" }, title));
    parent.body = make("tbody");
    parent.empty = make("p", { class: "quiet" }, empty);
    parent.grid = make("table", { class: "flat" }, make("thead", {}, make("tr", {}, ...heads)), parent.body);
    parent.append(make("div", { class: "card" }, parent.grid), parent.empty);
  }
  parent.firstChild.hidden = rows.length === 0;
  parent.empty.hidden = rows.length > 0;
  const build = () =>
    make("tr", {}, ...columns.map(([title, kind]) => make("td", { class: kind ?? "", "data-label": title })));
  keep(parent.body, rows, ([key]) => key, build, (row, [, cells]) => {
    cells.forEach((cell, at) => fill(row.children[at], cell));
  });
}

function fill(cell, value) {
  if (value && typeof value === "object") {
    cell.inner ??= cell.appendChild(make("span"));
    if (value.verdict) badge(cell.inner, value.verdict);
    else {
      say(cell.inner, value.text);
      mood(cell.inner, value.tone, "badge");
    }
  } else say(cell, value);
}

// ---- plots ---------------------------------------------------------------------------------------------------

const WIDTH = 240;
const HEIGHT = 32;

/** The line through the points, which end at the right edge; a gap where nothing was measured. */
function line(points, top) {
  let path = "";
  let drawn = false;
  const first = hour.points - points.length;
  const step = WIDTH / Math.max(1, hour.points - 1);
  points.forEach((value, at) => {
    if (value === null) {
      drawn = false;
      return;
    }
    const x = ((first + at) * step).toFixed(1);
    const y = (HEIGHT - 2 - (value / top) * (HEIGHT - 5)).toFixed(1);
    path += drawn ? `L${x} ${y}` : `M${x} ${y}h0.01`;
    drawn = true;
  });
  return path;
}

/** Stretches in which calls were kept away. */
function outages(verdicts) {
  const step = WIDTH / Math.max(1, hour.points - 1);
  const first = hour.points - verdicts.length;
  const stretches = [];
  verdicts.forEach((verdict, at) => {
    if (verdict !== "down" && verdict !== "config_error") return;
    const last = stretches.at(-1);
    if (last && last.end === at) last.end = at + 1;
    else stretches.push({ start: at, end: at + 1 });
  });
  return stretches.map(({ start, end }) =>
    drawing("rect", { x: Math.max(0, (first + start - 0.5) * step), y: 0, width: (end - start) * step, height: HEIGHT }));
}

function plot(cell, kind, points, verdicts, unit) {
  const known = points.filter((value) => value !== null);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 0];
  const span = low === high ? number(low) : `${number(low)}–${number(high)}`;
  const told = known.length ? span + unit : "not measured";
  const label = `${kind} over the last hour: ${told}`;
  if (!cell.range) {
    cell.svg = drawing("svg", { class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
    cell.range = make("div", { class: "range" });
    cell.append(cell.svg, cell.range);
  }
  cell.svg.setAttribute("aria-label", label);
  cell.svg.replaceChildren(
    ...outages(verdicts),
    drawing("path", { class: "floor", d: `M0 ${HEIGHT - 1}H${WIDTH}` }),
    drawing("path", { class: kind, d: line(points, high || 1) }),
  );
  say(cell.range, told);
}

// ---- providers -----------------------------------------------------------------------------------------------

const ENDPOINT_COLUMNS = [
  ["Endpoint", "c-name"],
  ["Verdict", "c-verdict"],
  ["Weight", "c-number number"],
  ["Success", "c-number number"],
  ["First token", "c-number number"],
  ["In flight here", "c-number number"],
  ["Weight, last hour", "c-plot"],
  ["Latency, last hour", "c-plot"],
];

function buildProvider(provider) {
  const heads = ENDPOINT_COLUMNS.map(([title, kind]) => make("th", { scope: "col", class: kind }, title));
  const card = make("article", { class: "card" });
  card.note = make("span");
  card.body = make("tbody");
  card.append(
    make("h3", {}, provider.id, card.note),
    make("table", { class: "endpoints" }, make("thead", {}, make("tr", {}, ...heads)), card.body),
  );
  return card;
}

function updateProvider(card, provider) {
  const usable = provider.endpoints.filter(isUsable).length;
  say(card.note, `${usable} of ${plural(provider.endpoints.length, "endpoint")} usable`);
  const rows = provider.endpoints.flatMap((endpoint) => [
    { key: endpoint.id, build: buildEndpoint, update: updateEndpoint, endpoint },
    { key: `${endpoint.id} seen`, build: buildEvidence, update: updateEvidence, endpoint },
  ]);
  keep(card.body, rows, (row) => row.key, (row) => row.build(row.endpoint), (element, row) => row.update(element, row.endpoint));
}

function buildEndpoint(endpoint) {
  const row = make("tr", { "data-endpoint": endpoint.id });
  row.append(...ENDPOINT_COLUMNS.map(([title, kind]) => make("td", { class: kind, "data-label": title })));
  const [name, verdict, weight, success, latency] = row.children;
  name.append((row.model = make("strong")), (row.region = make("small")));
  verdict.append((row.badge = make("span")), (row.drained = make("span")), (row.note = make("small")));
  weight.append((row.weight = make("span")), (row.share = make("small")));
  success.append((row.success = make("span")));
  latency.append((row.p50 = make("span")), (row.p99 = make("small")));
  return row;
}

function updateEndpoint(row, endpoint) {
  say(row.model, endpoint.model);
  say(row.region, endpoint.region);
  badge(row.badge, endpoint.verdict);
  row.drained.hidden = !endpoint.drained;
  say(row.drained, endpoint.drained ? "■ drained" : "");
  mood(row.drained, endpoint.drained ? "badge warn" : "");
  say(row.note, [KEPT[endpoint.kept_because], BREAKERS[endpoint.breaker]].filter(Boolean).join(", "));
  say(row.weight, `${number(endpoint.weight)}${endpoint.pinned ? " pinned" : ""}`);
  say(row.share, `${percent(endpoint.share_permille)} share`);
  say(row.success, percent(endpoint.success_permille));
  say(row.p50, number(endpoint.ttft_p50_ms, " ms"));
  say(row.p99, `p99 ${number(endpoint.ttft_p99_ms, " ms")}`);
  say(row.children[5], number(endpoint.in_flight));
  const past = hour.endpoints[endpoint.id] ?? { weight: [], ttft_ms: [], verdict: [] };
  // The newest point is this moment, not the last point.
  const now = endpoint.drained ? 0 : endpoint.weight;
  const verdicts = [...past.verdict, endpoint.verdict];
  plot(row.children[6], "weight", [...past.weight, now], verdicts, "");
  plot(row.children[7], "latency", [...past.ttft_ms, endpoint.ttft_p50_ms], verdicts, " ms");
}

function buildEvidence() {
  const row = make("tr", { class: "sub" });
  row.cell = make("td", { colspan: String(ENDPOINT_COLUMNS.length) });
  row.summary = make("summary");
  row.list = make("div");
  row.cell.append(make("details", {}, row.summary, row.list));
  row.append(row.cell);
  return row;
}

const EVIDENCE_COLUMNS = [
  ["Prober"], ["Zone"], ["Vote"], ["Rests on"],
  ["Worked", "number"], ["Failed", "number"], ["Refused", "number"], ["First token", "number"],
];

function updateEvidence(row, endpoint) {
  const votes = new Map();
  for (const seen of endpoint.evidence) votes.set(seen.vote, (votes.get(seen.vote) ?? 0) + 1);
  const zones = new Set(endpoint.evidence.map((seen) => seen.zone));
  const told = [...votes].map(([vote, count]) => `${count} ${VERDICTS[vote]?.[1] ?? vote}`).join(", ");
  say(row.summary, told ? `Evidence: ${told}, from ${plural(zones.size, "zone")}` : "Evidence: none yet");
  const rows = endpoint.evidence.map((seen) => [seen.prober, [
    seen.prober,
    seen.zone,
    { verdict: seen.vote },
    [seen.probes && "probes", seen.calls && "calls", seen.self_suspect && "doubts itself"].filter(Boolean).join(", ") || "–",
    number(seen.ok),
    number(seen.failed),
    number(seen.refused),
    number(seen.ttft_p50_ms, " ms"),
  ]]);
  table(row.list, EVIDENCE_COLUMNS, rows, "No prober has seen it yet.");
}

function isUsable(endpoint) {
  return !endpoint.drained && endpoint.operator_weight > 0 && !["down", "config_error"].includes(endpoint.verdict);
}

// ---- the rest ------------------------------------------------------------------------------------------------

function tiles() {
  const endpoints = status.providers.flatMap((provider) => provider.endpoints);
  const usable = endpoints.filter(isUsable).length;
  const out = endpoints.length - usable;
  const behind = status.routers.filter((router) => router.lag > 0).length;
  const refusing = status.routers.filter((router) => router.refused > 0).length;
  const doubting = status.probers.filter((prober) => prober.self_suspect).length;
  const costs = status.costs.all;
  const canary = status.canary;
  return [
    ["Endpoints usable", `${usable} of ${endpoints.length}`, out ? `${out} out` : "all of them", out ? (usable ? "warn" : "bad") : ""],
    ["Drains", String(status.drains.length), status.drains.length ? "out by hand" : "nothing is out", status.drains.length ? "warn" : ""],
    ["Routers", String(status.routers.length),
      [behind && `${behind} behind`, refusing && `${refusing} refusing records`].filter(Boolean).join(", ") || "all in step", behind || refusing ? "warn" : ""],
    ["Probers", String(status.probers.length),
      doubting ? plural(doubting, "doubts itself", "doubt themselves") : status.probers.length ? "all well" : "nobody measures", doubting || !status.probers.length ? "warn" : ""],
    ["Revision", String(status.revision), `digest ${status.digest.slice(0, 8)}`, "", ""],
    ["Policy", version(status.policy), canary ? `canary on ${percent(canary.share_permille)}` : "version in force", canary ? "warn" : "", "code"],
    ["Spent here", usd(costs.usd), plural(costs.calls, "call"), "", ""],
  ];
}

function notices() {
  return [
    !status.store_answers && "The store does not answer: evidence, other routers, probers and the reasons of drains are missing here. Calls are served from what was last read.",
    status.heard_ms_ago > STORE_SILENT_MS && `The store has been silent for ${ago(status.heard_ms_ago)}.`,
    status.disruption && "Most providers look down to probes alone, so the probers' own network is the likelier cause: nothing is taken out on such evidence.",
  ].filter(Boolean);
}

function matches(provider, endpoint, words) {
  const verdict = VERDICTS[endpoint.verdict]?.[1] ?? endpoint.verdict;
  const text = `${provider.id} ${endpoint.model} ${endpoint.region} ${verdict} ${endpoint.drained ? "drained" : ""}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

function shown() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  return status.providers
    .map((provider) => ({ ...provider, endpoints: provider.endpoints.filter((endpoint) => matches(provider, endpoint, words)) }))
    .filter((provider) => provider.endpoints.length > 0);
}

/** On whom the candidate is tried, since when, and what ends it. */
function canaryTold(canary) {
  const rules = canary.abort_on;
  const ends = [
    canary.ends_unix_ms === null ? "when it is promoted or aborted" : `in ${ago(canary.ends_unix_ms - status.at_unix_ms)}`,
    rules.failed_permille !== null && `when ${percent(rules.failed_permille)} more of its calls fail`,
    rules.cost_permille !== null && `when its calls cost ${percent(rules.cost_permille)} more`,
    rules.ttft_permille !== null && `when its first tokens come ${percent(rules.ttft_permille)} later`,
  ].filter(Boolean).join(", or ");
  return `A candidate decides for ${percent(canary.share_permille)} of the callers. ${canary.by ?? "Somebody"} began it `
    + `${ago(status.at_unix_ms - canary.since_unix_ms)} ago: ${canary.reason}. It ends ${ends}. Counted are calls that ended at this router.`;
}

function showCanary(canary) {
  byId("canary-part").hidden = !canary;
  say(byId("canary-told"), canary ? canaryTold(canary) : "");
  table(byId("canary"), [["Policy"], ["Version", "code"], ["Calls", "number"], ["Failed", "number"], ["Caller left", "number"], ["Cost of a call", "number"], ["First token", "number"]],
    (canary?.sides ?? []).map((side) => [side.side, [
      side.side === "canary" ? { text: "◇ canary", tone: "warn" } : { text: "● in force", tone: "good" },
      version(side.version), number(side.calls),
      side.calls ? `${number(side.failed)} (${percent((side.failed * 1000) / side.calls)})` : "–",
      number(side.abandoned), side.usd_per_call === null ? "–" : usd(side.usd_per_call), number(side.ttft_p50_ms, " ms"),
    ]]), "");
}

function showTables() {
  showCanary(status.canary);
  table(byId("drains"), [["Target"], ["Reason"], ["By"], ["For", "number"]],
    status.drains.map((drain) => [drain.target, [
      drain.target, drain.reason || "–", drain.by ?? "–",
      drain.at_unix_ms ? ago(status.at_unix_ms - drain.at_unix_ms) : "–",
    ]]), "Nothing is drained.");
  table(byId("routers"), [["Router"], ["Zone"], ["Version"], ["Revision", "number"], ["State"], ["Digest", "code"], ["Refuses"]],
    status.routers.map((router) => [router.id, [
      router.answers ? `${router.id} (this one)` : router.id, router.zone || "–", router.version || "–", number(router.revision),
      router.leaving ? { text: "→ leaving", tone: "warn" }
        : router.lag > 0 ? { text: `◷ ${number(router.lag)} behind`, tone: "warn" } : { text: "● in step", tone: "good" },
      router.digest || "–", router.refused ? `${number(router.refused)}: ${router.problem ?? ""}` : "nothing",
    ]]), "No router is registered.");
  table(byId("probers"), [["Prober"], ["Zone"], ["Version"], ["State"]],
    status.probers.map((prober) => [prober.id, [
      prober.id, prober.zone, prober.version || "–",
      prober.self_suspect ? { text: "▲ doubts itself", tone: "warn" }
        : prober.local_health > 0 ? { text: `◔ unwell, ${prober.local_health} of 8`, tone: "warn" } : { text: "● well", tone: "good" },
    ]]), "No prober is alive: verdicts stay as they are, and calls go by weight.");
  const tags = status.costs.tags;
  const folded = tags.length - TAGS_SHOWN;
  say(byId("costs-since"), `Calls that ended at this router in the last ${ago(status.at_unix_ms - status.costs.since_unix_ms)}, since it started`
    + (folded > 0 ? `; the ${TAGS_SHOWN} dearest of ${tags.length} tags.` : "."));
  table(byId("costs"), [["Tag"], ["Calls", "number"], ["Tokens", "number"], ["Cost", "number"]],
    tags.slice(0, TAGS_SHOWN).map((tag) => [`${tag.key}=${tag.value ?? ""}`, [
      `${tag.key}=${tag.value ?? "(others)"}`, number(tag.calls), number(tag.tokens), usd(tag.usd),
    ]]), "No call carried a tag that the policy keeps.");
}

function show() {
  if (!status) return;
  document.title = `Trunkline · ${status.router}`;
  say(byId("who"), [status.router, status.zone, `version ${status.version}`].filter(Boolean).join(" · "));
  keep(byId("notices"), notices(), (text) => text, () => make("p", { class: "notice" }), say);
  keep(byId("tiles"), tiles(), ([title]) => title, ([title]) => make("div", {}, make("dt", {}, title), make("dd"), make("small")),
    (tile, [, value, note, tone, kind]) => {
      say(tile.children[1], value);
      mood(tile.children[1], kind);
      say(tile.children[2], note);
      mood(tile, tone);
    });
  const providers = shown();
  keep(byId("providers"), providers, (provider) => provider.id, buildProvider, updateProvider);
  byId("none").hidden = providers.length > 0;
  showTables();
}

// ---- asking --------------------------------------------------------------------------------------------------

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function pulse() {
  const age = Date.now() - answeredAt;
  const late = answeredAt > 0 && age > PATIENCE_MS;
  const text = late ? `✕ no answer for ${ago(age)}` : answeredAt ? "● live" : "loading";
  say(byId("pulse"), text);
  mood(byId("pulse"), late ? "late" : "");
}

/** Asks again and again, never twice at once. */
async function follow(path, everyMs, take) {
  try {
    take(await ask(path));
    answeredAt = Date.now();
    show();
  } catch {
    // The router is away or restarts: the pulse tells, and the next question comes.
  }
  pulse();
  setTimeout(() => follow(path, everyMs, take), everyMs());
}

byId("filter").addEventListener("input", show);
follow("history.json", () => hour.every_s * 1000, (answer) => { hour = answer; });
follow("status.json", () => STATUS_EVERY_MS, (answer) => { status = answer; });
