import { byId, call, duration, make, say, settings } from "./common.js";
import { Link } from "./link.js";

const EVERY_MS = 5000;
const STATES = ["idle", "reserved", "talking", "wrap_up", "not_ready", "logged_out"];
const HALF_HOUR = 1800000;
const percent = (share) => (share == null ? "–" : `${Math.round(share * 100)}%`);
let board = null;
let skew = 0;
let soon = 0;

/** History every few seconds, and at once when somebody's state changed; queue lengths as the feed brings them. */
async function load() {
  clearTimeout(soon);
  try {
    board = await call("GET", "/wallboard");
    skew = board.now_ms - Date.now();
    byId("wall-stale").hidden = true;
    draw();
  } catch (problem) {
    byId("wall-stale").hidden = false;
    if (problem.message === "not_logged_in") location.assign("/login");
  }
  soon = setTimeout(load, EVERY_MS);
}

new Link((kind, body) => {
  if (kind === "state") { clearTimeout(soon); soon = setTimeout(load, 300); return; }
  if (!board || !body.queues) return;
  for (const now of body.queues) {
    const queue = board.queues.find((one) => one.title === now.title);
    if (queue) Object.assign(queue, { waiting: now.waiting, longest_ms: now.longest_ms });
  }
  draw();
}, (online) => { byId("wall-stale").hidden = online; });

function sum(name) { return board.queues.reduce((total, queue) => total + (queue[name] ?? 0), 0); }

function draw() {
  const counted = sum("offered") - sum("short_abandoned");
  const level = counted > 0 ? sum("in_target") / counted : null;
  const longest = Math.max(0, ...board.queues.map((queue) => queue.longest_ms));
  byId("level").textContent = percent(level);
  byId("level-under").textContent = `${say("goal")} ${percent(board.goal)}`;
  edge("tile-level", level == null ? "" : level >= board.goal ? "good" : level >= board.goal - 0.1 ? "busy" : "bad");
  byId("waiting").textContent = String(sum("waiting"));
  byId("longest").textContent = duration(longest);
  edge("tile-waiting", longest >= board.long_wait_s * 2000 ? "bad" : longest >= board.long_wait_s * 1000 ? "busy" : "good");
  byId("answered").textContent = String(sum("answered"));
  byId("asa").textContent = sum("answered") ? duration(sum("waited_ms") / sum("answered")) : "–";
  byId("abandoned").textContent = String(sum("abandoned"));
  byId("abandoned-under").textContent = `${say("short_abandons")} ${sum("short_abandoned")}`;
  const share = sum("offered") ? sum("abandoned") / sum("offered") : 0;
  edge("tile-abandoned", share > 0.1 ? "bad" : share > 0.05 ? "busy" : "good");
  byId("wall-queues").replaceChildren(...board.queues.map((queue) => make("tr", {},
    make("td", {}, queue.title, queue.open ? "" : make("span", { class: "under" }, ` ${say("closed")}`)),
    make("td", {}, percent(queue.service_level)), make("td", {}, String(queue.waiting)),
    make("td", {}, queue.waiting ? duration(queue.longest_ms) : "–"),
    make("td", {}, String(queue.answered)), make("td", {}, String(queue.abandoned)))));
  byId("wall-agents").replaceChildren(...STATES.map((state) => make("li", {}, make("span", {}, say(state)), make("b", {}, String(board.agents[state] ?? 0)))));
  byId("wall-trend").replaceChildren(trend());
}

function edge(id, word) { byId(id).className = `tile ${word}`; }

const NS = "http://www.w3.org/2000/svg";
function shape(tag, attributes, text) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  return element;
}

/** Contacts in each half hour of the last hours. */
function trend() {
  const end = Math.floor(board.now_ms / HALF_HOUR);
  const slots = Array.from({ length: 16 }, (_, n) => end - 15 + n);
  const at = new Map(board.trend.map((row) => [row.at_ms / HALF_HOUR, row]));
  const most = Math.max(4, ...slots.map((slot) => at.get(slot)?.offered ?? 0));
  if (!board.trend.length) return make("p", {}, say("no_contacts_today"));
  const [width, height, left, bottom] = [640, 220, 44, 30];
  const x = (n) => left + (n * (width - left - 10)) / 15;
  const y = (value) => (height - bottom) * (1 - value / most) + 8;
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": say("trend") });
  for (const value of [0, Math.ceil(most / 2), most]) svg.append(shape("text", { x: 0, y: y(value) + 6 }, String(value)));
  for (const n of [0, 5, 10, 15]) {
    const time = new Date(slots[n] * HALF_HOUR);
    svg.append(shape("text", { x: Math.min(x(n) - 24, width - 60), y: height - 2 }, time.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" })));
  }
  for (const name of ["offered", "answered"]) {
    svg.append(shape("polyline", { class: name, points: slots.map((slot, n) => `${x(n)},${y(at.get(slot)?.[name] ?? 0)}`).join(" ") }));
  }
  return make("div", {}, make("p", { class: "key" }, make("span", { class: "key-offered" }, `— ${say("offered")}`), "  ", make("span", { class: "key-answered" }, `— ${say("answered")}`), ` ${say("per_half_hour")}`), svg);
}

function tick() {
  const locale = settings.language === "zh" ? "zh-CN" : "en-GB";
  const now = new Date(Date.now() + skew);
  byId("wall-clock").textContent = `${now.toLocaleDateString(locale, { weekday: "long" })} ${now.toLocaleTimeString(locale)}`;
}
setInterval(tick, 1000);
tick();
load();
