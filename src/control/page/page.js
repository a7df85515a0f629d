"use strict";
// Everything shown here comes from the API under /v1; nothing is kept and nothing is changed.

const EVERY_MS = 2000;
const byId = (id) => document.getElementById(id);
const SVG = "http" + "://www.w3.org/2000/svg";

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawn(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Latitude and longitude to the map's units, as the land is drawn.
const onMap = ([latitude, longitude]) => [(longitude + 180) * 2, (84 - latitude) * 2];

async function ask(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  let why = text;
  try { const problem = JSON.parse(text); why = problem.detail || problem.title || text; } catch { /* plain text */ }
  throw new Error(why.trim() || `${response.status}`);
}

// A shape for each state besides its colour.
const STATES = {
  well: { mark: "●", word: "well" },
  part: { mark: "◐", word: "in part" },
  ill: { mark: "○", word: "out" },
};

const stateOf = (region) =>
  region.endpoints === 0 || region.eligible === region.endpoints ? "well" : region.eligible === 0 ? "ill" : "part";

let before = null;
let regionsSeen = new Map();

function rates(status) {
  const answers = new Map();
  let seconds = 0;
  if (before && before.generation !== undefined) seconds = (performance.now() - before.at) / 1000;
  for (const endpoint of status.endpoints) {
    const earlier = before ? before.answers.get(endpoint.name) ?? endpoint.answers : endpoint.answers;
    const rate = seconds > 0 ? Math.max(0, endpoint.answers - earlier) / seconds : 0;
    answers.set(endpoint.region, (answers.get(endpoint.region) ?? 0) + rate);
  }
  before = {
    at: performance.now(),
    generation: status.generation,
    answers: new Map(status.endpoints.map((endpoint) => [endpoint.name, endpoint.answers])),
  };
  return answers;
}

function showRegions(status) {
  const rate = rates(status);
  const all = [...rate.values()].reduce((sum, one) => sum + one, 0);
  const rows = [], places = [];
  regionsSeen = new Map(status.regions.map((region) => [region.name, region]));
  for (const region of status.regions) {
    const state = stateOf(region);
    const row = element("tr");
    const name = element("th", region.name);
    name.scope = "row";
    const share = all > 0 ? (rate.get(region.name) ?? 0) / all : 0;
    const meter = element("meter");
    meter.value = share;
    meter.title = `${(share * 100).toFixed(1)} %`;
    const part = element("td");
    part.append(meter, ` ${(share * 100).toFixed(0)} %`);
    row.append(
      name,
      element("td", `${STATES[state].mark} ${STATES[state].word}`, state),
      element("td", `${region.eligible} of ${region.endpoints}`, "number"),
      element("td", (rate.get(region.name) ?? 0).toFixed(1), "number"),
      part,
    );
    rows.push(row);
    if (region.at) {
      const [x, y] = onMap(region.at);
      const dot = drawn("circle", { cx: x, cy: y, r: 4 + 8 * share, class: state });
      dot.append(drawn("title", {}, `${region.name}: ${STATES[state].word}`));
      places.push(dot, drawn("text", { x: x + 7, y: y + 3 }, state === "well" ? region.name : `${STATES[state].mark} ${region.name}`));
    }
  }
  byId("regions").tBodies[0].replaceChildren(...rows);
  byId("places").replaceChildren(...places);
}

function stateText(endpoint, address) {
  const parts = [address.state];
  if (endpoint.forced) parts.push(`forced ${endpoint.forced}`);
  for (const share of [endpoint.share, address.share]) {
    if (share && share.permille < 1000) parts.push(`${share.why} ${share.permille / 10} %`);
  }
  if (address.frozen_for?.length) parts.push(`kept by the governor for ${address.frozen_for.join(", ")}`);
  if (address.stale) parts.push("stale");
  if (address.failures) parts.push(`${address.failures} failures counted`);
  if (address.successes_needed) parts.push(`needs ${address.successes_needed} successes`);
  return parts.join(", ");
}

function showEndpoints(status) {
  const rows = [];
  const ms = (value) => (value == null ? "" : `${value.toFixed(1)} ms`);
  for (const endpoint of status.endpoints) {
    for (const address of endpoint.addresses) {
      const row = element("tr");
      const name = element("th", endpoint.name);
      name.scope = "row";
      const state = address.state === "down" || endpoint.forced === "down" ? "ill" : endpoint.forced ? "part" : "well";
      row.append(
        name,
        element("td", endpoint.region),
        element("td", address.address),
        element("td", stateText(endpoint, address), state),
        element("td", ms(address.connect_ms), "number"),
        element("td", ms(address.first_byte_ms), "number"),
        element("td", address.last_failure ?? "", "faint"),
      );
      rows.push(row);
    }
  }
  byId("endpoints").tBodies[0].replaceChildren(...rows);
}

function showAlerts(status) {
  const alerts = [];
  for (const service of status.services) {
    if (service.all_down) alerts.push(`${service.name}: nothing healthy is left for some clients, the last resort answers`);
    if (service.frozen) alerts.push(`${service.name}: frozen, failing endpoints are kept in the answers`);
  }
  for (const zone of status.signed ?? []) {
    if (zone.trouble) alerts.push(`${zone.zone}: ${zone.trouble}`);
    if (zone.to_do) alerts.push(`${zone.zone}: ${zone.to_do}`);
  }
  byId("alerts").replaceChildren(...alerts.map((text) => element("li", text)));
}

async function showLists() {
  const lists = [
    ["overrides", "/v1/overrides", (one) => [one.kind, one.selector, one.gone_by && `out of caches by ${one.gone_by}`, one.actor && `by ${one.actor}`, one.reason, one.until && `until ${one.until}`]],
    ["journal", "/v1/journal?limit=50", (one) => [one.when, one.what, one.on, one.who && `by ${one.who}`, one.why, one.outcome === "done" ? "" : one.outcome, one.detail]],
  ];
  for (const [id, path, parts] of lists) {
    let lines = [];
    try {
      const found = await ask(path);
      lines = found.slice(-50).reverse().map((one) => parts(one).filter(Boolean).join(" · "));
    } catch (failure) {
      lines = [String(failure.message)];
    }
    byId(id).replaceChildren(...(lines.length ? lines : ["none"]).map((line) => element("li", line)));
  }
}

async function refresh() {
  try {
    const status = await ask("/v1/status");
    const published = new Date(status.published_s * 1000).toLocaleTimeString();
    byId("summary").textContent =
      `${status.version} · ${status.phase} · generation ${status.generation} · published ${published} · ${status.listen.join(" ")}`;
    showAlerts(status);
    showRegions(status);
    showEndpoints(status);
    byId("attributions").textContent = ["Land: Natural Earth", ...status.attributions].join(" · ");
    await showLists();
  } catch (failure) {
    byId("summary").textContent = `no answer: ${failure.message}`;
  }
  setTimeout(refresh, EVERY_MS);
}

function pairs(entries) {
  const list = element("dl");
  for (const [term, text] of entries) {
    if (text == null || text === "") continue;
    list.append(element("dt", term), element("dd", text));
  }
  return list;
}

// Lines from where the client counts as being to the regions that it may get, as wide as their shares.
function showArcs(steered) {
  const arcs = [];
  const from = steered?.location?.at;
  for (const candidate of from ? steered.candidates : []) {
    for (const name of candidate.regions) {
      const region = regionsSeen.get(name);
      if (!region?.at) continue;
      const [x0, y0] = onMap(from), [x1, y1] = onMap(region.at);
      const lift = Math.min(60, Math.hypot(x1 - x0, y1 - y0) / 4);
      arcs.push(drawn("path", {
        d: `M${x0} ${y0}Q${(x0 + x1) / 2} ${(y0 + y1) / 2 - lift} ${x1} ${y1}`,
        "stroke-opacity": 0.3 + 0.7 * candidate.share,
      }));
    }
  }
  if (from) {
    const [x, y] = onMap(from);
    arcs.push(drawn("circle", { cx: x, cy: y, r: 3 }));
  }
  byId("arcs").replaceChildren(...arcs);
}

async function explain(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  const query = new URLSearchParams();
  for (const [name, value] of form) if (value.trim()) query.append(name, value.trim());
  const box = byId("because");
  try {
    history.replaceState(null, "", `?${query}`);
    const report = await ask(`/v1/explain?${query}`);
    const steered = report.steered;
    const parts = [];
    if (report.path.length) parts.push(pairs(report.path.map((line) => ["path", line])));
    if (steered) {
      parts.push(pairs([
        ["answer", `${steered.rcode} ${steered.answer_type} ${steered.answer.join(" ") || "(empty)"}`],
        ["service", steered.service],
        ["decided by", `${steered.decided_by}: ${steered.client}`],
        ["TTL", `${steered.ttl_s} s: ${steered.ttl_why}`],
        ["scope", `/${steered.scope}: ${steered.scope_why}`],
        ["order of regions", (steered.preference ?? []).join(" › ")],
        ...steered.candidates.map((one) => [`${(one.share * 100).toFixed(1)} %`, `${one.endpoints.join(" + ")} (${one.regions.join(", ")}) ${one.addresses.join(" ")}`]),
      ]));
      const steps = element("ol");
      for (const step of steered.steps) steps.append(element("li", `${"  ".repeat(step.depth)}${step.node}: ${step.what}`));
      parts.push(steps);
    }
    showArcs(steered);
    box.replaceChildren(...parts);
  } catch (failure) {
    showArcs(null);
    box.replaceChildren(element("p", failure.message, "ill"));
  }
}

byId("why").addEventListener("submit", explain);
refresh().then(() => {
  // A question in the address can be passed on to a colleague.
  const question = new URLSearchParams(location.search);
  for (const [name, value] of question) {
    const field = byId("why").elements.namedItem(name);
    if (field) field.value = value;
  }
  if (question.get("name")) byId("why").requestSubmit();
});
