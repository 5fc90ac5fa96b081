"use strict";
const at = (id) => document.getElementById(id);
// Mounted below a path, with a slash at its end or without.
const base = location.pathname.replace(/\/?$/, "/");
const rows = new Map();
let contact = null;

function text(node, value) { if (node.textContent !== value) node.textContent = value; }

function span(seconds) {
  const s = Math.abs(seconds);
  if (s < 1) return Math.round(s * 1000) + " ms";
  if (s < 120) return s.toFixed(s < 10 ? 1 : 0) + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  if (s < 172800) return Math.round(s / 3600) + " h";
  return Math.round(s / 86400) + " d";
}
function when(seconds) {
  if (seconds === null) return "–";
  if (Math.abs(seconds) < 0.05) return "now";
  return seconds > 0 ? "in " + span(seconds) : span(seconds) + " ago";
}

const WELL = new Set(["ran", "skipped"]);
const CARE = new Set(["busy", "deferred", "cancelled"]);
const kind = (last) => WELL.has(last) ? "" : CARE.has(last) ? "care" : "ill";
const word = (last) => last.replace("_", " ");

// One stroke a run, newest at the right: a beat for one that was done, a low bump for one that waits,
// a drop below the line for one that failed. The shape tells it too, not the colour alone.
const SHAPE = {
  "": (x) => `M${x} 16h3l1.5-12 2 18 1.5-6h2`,
  care: (x) => `M${x} 16h3q2-8 4 0h3`,
  ill: (x) => `M${x} 16h2l3 12 3-12h2`,
};
function line(svg, history) {
  const told = history.join(" ");
  if (svg.dataset.told === told) return;
  svg.dataset.told = told;
  svg.replaceChildren();
  const name = document.createElementNS(svg.namespaceURI, "title");
  name.textContent = history.length ? "Last runs, oldest first: " + history.map(word).join(", ") : "No run yet";
  svg.append(name);
  const first = 16 - history.length;
  for (let i = 0; i < 16; i++) {
    const stroke = document.createElementNS(svg.namespaceURI, "path");
    const how = i < first ? null : kind(history[i - first]);
    stroke.setAttribute("d", how === null ? `M${i * 10} 16h10` : SHAPE[how](i * 10));
    if (how) stroke.setAttribute("class", how);
    svg.append(stroke);
  }
}

const LABELS = ["Last runs", "Next", "Last outcome", "Attempt", "Missed", "Handler", ""];
function makeRow(name) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  const cells = LABELS.map((label) => {
    const cell = document.createElement("td");
    cell.dataset.label = label;
    row.append(cell);
    return cell;
  });
  const svg = document.createElementNS("http:" + "//www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 160 30");
  svg.setAttribute("class", "beats");
  svg.setAttribute("role", "img");
  cells[0].append(svg);
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Wake";
  button.setAttribute("aria-label", "Wake " + name);
  button.addEventListener("click", () => wake(name));
  cells[6].append(button);
  row.dataset.name = name;
  return { row, cells, svg };
}

function showRow(target, handler) {
  let known = rows.get(target.name);
  if (!known) rows.set(target.name, known = makeRow(target.name));
  const { row, cells, svg } = known;
  line(svg, target.history);
  const running = target.running !== null;
  text(cells[1], running ? "running for " + span(target.running) : when(target.next));
  cells[1].className = target.overran ? "ill" : "";
  const last = target.last === null ? "–" : word(target.last) + ", " + when(target.last_at);
  text(cells[2], target.poisoned ? "given up: " + last : last);
  cells[2].className = target.poisoned ? "ill" : target.last === null ? "" : kind(target.last);
  text(cells[3], String(target.attempts || "–"));
  cells[3].className = target.attempts > 1 ? "care" : "";
  text(cells[4], String(target.missed));
  const owner = target.owner === null ? handler : target.owner;
  text(cells[5], owner === null ? "none" : "#" + owner);
  return row;
}

const SIGN = { healthy: "♥", degraded: "!", stalled: "✖", stopped: "■" };
const SAID = { healthy: "Every heart beats", degraded: "Degraded", stalled: "Stalled", stopped: "Stopped" };
function showHealth(view) {
  const { condition, concerns, more } = view.health;
  at("health").className = "health " + condition;
  text(document.querySelector("#health .sign"), SIGN[condition] || "?");
  text(at("condition"), SAID[condition] || condition);
  const handler = view.handler === null ? "no handler" : "handler #" + view.handler;
  text(at("summary"), `${handler}, ${view.in_flight} running, ${view.counters.pending} waiting`);
  const lines = concerns.map((concern) => concern.text);
  if (more > 0) lines.push("and " + more + " more");
  const list = at("concerns");
  if (list.dataset.told !== lines.join("\n")) {
    list.dataset.told = lines.join("\n");
    list.replaceChildren(...lines.map((said) => {
      const item = document.createElement("li");
      item.textContent = said;
      return item;
    }));
  }
}

function show(view) {
  showHealth(view);
  const wanted = at("find").value.toLowerCase();
  const shown = view.targets.filter((target) => target.name.toLowerCase().includes(wanted));
  const body = at("rows");
  const there = new Set(view.targets.map((target) => target.name));
  for (const name of rows.keys()) if (!there.has(name)) rows.delete(name);
  const order = shown.map((target) => showRow(target, view.handler));
  // Rows that stay where they are keep the keyboard's focus.
  order.forEach((row, i) => { if (body.children[i] !== row) body.insertBefore(row, body.children[i] || null); });
  while (body.children.length > order.length) body.lastChild.remove();
  at("none").hidden = view.total > 0;
  const of = shown.length < view.total ? shown.length + " of " + view.total : String(view.total);
  text(at("count"), "(" + of + ")");
  text(at("counters"), Object.entries(view.counters).map(([name, n]) => word(name) + " " + n).join(" · "));
}

async function look() {
  try {
    const answer = await fetch(base + "snapshot.json", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.json());
    contact = Date.now();
  } catch {
    at("health").className = "health stalled";
    text(document.querySelector("#health .sign"), "✖");
    text(at("condition"), "No contact");
    const since = contact === null ? "" : "for " + span((Date.now() - contact) / 1000) + "; what is below is as old";
    text(at("summary"), since);
  }
  setTimeout(look, 1000);
}

async function wake(name) {
  let said;
  try {
    const token = at("token").value;
    const answer = await fetch(base + "wake/" + encodeURIComponent(name), { method: "POST", headers: { Authorization: "Bearer " + token } });
    said = answer.status === 401 ? "the token is needed" : (await answer.json()).said;
    if (answer.status === 401) at("token").focus();
  } catch {
    said = "no contact";
  }
  text(at("said"), name + ": " + said);
}

look();
