import { byId, call, duration, make, moment, say, settings, toast, words } from "./common.js";

const MOST = 200;
const STATES = { saved: "saved_recording", failed: "failed_recording", deleted: "deleted_recording", recording: "running_recording" };
const audio = byId("audio");
let shown = null; // what the player holds: { outline, ms, marks, started_at_ms }
let holding = "";

const day = (text, add) => (text ? new Date(`${text}T00:00:00`).getTime() + add * 86400000 : null);

async function search() {
  const form = new FormData(byId("search"));
  const wanted = { since_ms: day(form.get("since"), 0), until_ms: day(form.get("until"), 1), longer_ms: form.get("longer") ? form.get("longer") * 1000 : null };
  for (const name of ["name", "party", "queue", "agent", "wrap_up", "direction", "held"]) wanted[name] = form.get(name).trim();
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value != null && value !== ""));
  byId("search-error").hidden = true;
  try {
    draw(await call("GET", `/recordings?${query}`));
  } catch (problem) {
    if (problem.message === "not_logged_in") { location.assign("/login"); return; }
    byId("search-error").textContent = say(problem.message);
    byId("search-error").hidden = false;
  }
}

function draw(rows) {
  byId("rows").replaceChildren(...rows.map(row));
  byId("empty").hidden = rows.length > 0;
  byId("many").hidden = rows.length < MOST;
}

function row(one) {
  const code = settings.codes.find((code) => code.code === one.wrap_up_code);
  const state = make("span", { class: `badge ${one.state === "failed" ? "alarm" : one.state === "saved" ? "idle" : ""}` }, say(STATES[one.state] ?? one.state));
  const actions = [];
  if (one.state === "saved") {
    actions.push(make("button", { class: "button", type: "button", id: `play-${one.id}`, onclick: () => open(one) }, say("play")));
    if (settings.may.download) actions.push(make("button", { class: "button", type: "button", onclick: () => fetchFile(one) }, say("download")));
  }
  if (settings.may.hold && one.state !== "deleted") {
    actions.push(make("button", { class: "button", type: "button", id: `hold-${one.id}`, onclick: () => hold(one) }, say(one.held ? "free_recording" : "hold_recording")));
  }
  actions.push(make("a", { class: "button quiet", href: `/why?interaction=${one.interaction_id}` }, say("why")));
  return make("tr", { id: `row-${one.id}` },
    make("td", {}, moment(one.started_at_ms)), make("td", {}, one.party || say("withheld")), make("td", {}, one.queue_title || "–"),
    make("td", {}, one.agent_name || "–"), make("td", {}, `${say(one.kind)} · ${say(one.direction)}`),
    make("td", { class: "number" }, one.duration_ms ? duration(one.duration_ms) : "–"),
    make("td", {}, state, one.held ? " " : "", one.held ? make("span", { class: "badge gold" }, say("held_recording")) : "",
      one.reason ? make("span", { class: "aside", title: one.reason }, ` ${one.reason in words ? say(one.reason) : say("not_saved")}`) : ""),
    make("td", {}, code ? code[`title_${settings.language}`] : "–"),
    make("td", { class: "actions" }, make("div", { class: "row" }, ...actions)));
}

async function open(one) {
  try {
    shown = await call("POST", `/recordings/${one.id}/grants`, { use: "play" });
  } catch (problem) { toast(say(problem.message), true); return; }
  for (const line of byId("rows").children) line.removeAttribute("aria-selected");
  byId(`row-${one.id}`)?.setAttribute("aria-selected", "true");
  byId("player-title").textContent = `${one.party || say("withheld")} · ${one.agent_name || say(one.kind)}`;
  byId("marks").textContent = shown.marks.map(([what, at]) => `${say(`${what}_mark`)} ${duration(at - shown.started_at_ms)}`).join(" · ");
  byId("player").hidden = false;
  audio.src = shown.url;
  paint();
  audio.play().catch(() => {});
  byId("toggle").focus();
}

async function fetchFile(one) {
  try {
    const granted = await call("POST", `/recordings/${one.id}/grants`, { use: "download" });
    make("a", { href: granted.url, download: `${one.id}.wav` }).click();
  } catch (problem) { toast(say(problem.message), true); }
}

async function hold(one) {
  if (!one.held) { holding = one.id; byId("hold").showModal(); return; }
  await held(one.id, false, "");
}

async function held(id, on, note) {
  try { await call("POST", `/recordings/${id}/hold`, { on, note }); await search(); } catch (problem) { toast(say(problem.message), true); }
}

/** Two outlines, the customer above, the agent below; pauses as bands; what was heard so far in the accent. */
function paint() {
  if (!shown) return;
  const canvas = byId("wave");
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  const ctx = canvas.getContext("2d");
  ctx.scale(devicePixelRatio, devicePixelRatio);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const total = shown.ms || 1;
  ctx.fillStyle = colour("--hold-soft");
  let from = null;
  for (const [what, at] of [...shown.marks, ["resumed", shown.started_at_ms + total]]) {
    if (what === "paused") from = at - shown.started_at_ms;
    else if (from != null) { ctx.fillRect((from / total) * width, 0, ((at - shown.started_at_ms - from) / total) * width, height); from = null; }
  }
  const heard = audio.currentTime * 1000 / total;
  const lanes = shown.outline.length;
  shown.outline.forEach((side, lane) => {
    const middle = (height / lanes) * (lane + 0.5);
    side.forEach((value, n) => {
      const size = Math.max(1, (value / 100) * (height / lanes - 8));
      ctx.fillStyle = colour(n / side.length <= heard ? "--accent" : lane ? "--talking" : "--n5");
      ctx.fillRect((n / side.length) * width, middle - size / 2, Math.max(1, width / side.length - 0.5), size);
    });
  });
  byId("player-clock").textContent = `${duration(audio.currentTime * 1000)} / ${duration(total)}`;
  byId("seek").value = Math.round(Math.min(1, heard) * 1000);
  byId("toggle").textContent = say(audio.paused ? "play" : "pause");
}

byId("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
byId("toggle").addEventListener("click", () => (audio.paused ? audio.play() : audio.pause()));
byId("seek").addEventListener("input", (event) => { audio.currentTime = (event.target.value / 1000) * (shown?.ms ?? 0) / 1000; });
byId("wave").addEventListener("click", (event) => { audio.currentTime = (event.offsetX / byId("wave").clientWidth) * (shown?.ms ?? 0) / 1000; });
byId("close-player").addEventListener("click", () => { audio.pause(); audio.removeAttribute("src"); byId("player").hidden = true; shown = null; });
byId("hold-close").addEventListener("click", () => byId("hold").close());
byId("hold-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("hold").close();
  held(holding, true, byId("hold-note").value);
  byId("hold-note").value = "";
});
for (const name of ["timeupdate", "play", "pause", "seeked", "ended", "loadedmetadata"]) audio.addEventListener(name, paint);
audio.addEventListener("error", () => { if (audio.getAttribute("src")) toast(say("no_grant"), true); });
addEventListener("resize", paint);
search();
