import { byId, call, duration, make, say, settings } from "./common.js";
import { Sound } from "./sound.js";

let id = "";
let since = 0;
const sound = new Sound(settings.ice_servers, async (sdp) => {
  const said = new URLSearchParams(location.hash.slice(1)); // never sent to a server by the address itself
  const made = await call("POST", "/web-call", { sdp, number: said.get("number") ?? "", identity: said.get("identity") ?? "" });
  id = made.call;
  return made.sdp;
}, (state) => { if (state === "lost" && id) over("web_call_lost"); });

function show(word, bad = false) {
  byId("web-state").textContent = say(word);
  byId("web-state").className = bad ? "error" : "web-state";
  const talking = Boolean(id);
  byId("web-dial").hidden = talking;
  byId("web-over").hidden = !talking;
  byId("web-keys").hidden = !talking;
}

async function dial() {
  byId("web-dial").setAttribute("aria-busy", "true");
  show("web_call_opening");
  try {
    await sound.open();
    since = Date.now();
    show("web_call_ringing");
    byId("web-over").focus();
    watch();
  } catch (problem) {
    id = "";
    sound.close();
    show(problem.message, true);
  } finally {
    byId("web-dial").removeAttribute("aria-busy");
  }
}

async function watch() {
  while (id) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (!id) return;
    try {
      const { state } = await call("GET", `/web-call/${id}`);
      if (state === "idle") over("web_call_over");
      else show(state === "talking" ? "web_call_talking" : "web_call_ringing");
    } catch { /* the server is away for a moment: the call is not */ }
  }
}

function over(word) {
  id = "";
  sound.close();
  show(word, word === "web_call_lost");
  byId("web-dial").focus();
}

async function hangUp() {
  const mine = id;
  over("web_call_over");
  await call("DELETE", `/web-call/${mine}`).catch(() => {});
}

byId("web-keys").replaceChildren(...[..."123456789*0#"].map((key) =>
  make("button", { class: "button", type: "button", onclick: () => call("POST", `/web-call/${id}/keys`, { keys: key }).catch(() => {}) }, key)));
byId("web-dial").addEventListener("click", dial);
byId("web-over").addEventListener("click", hangUp);
document.addEventListener("keydown", (event) => {
  if (id && /^[0-9*#]$/.test(event.key)) call("POST", `/web-call/${id}/keys`, { keys: event.key }).catch(() => {});
});
setInterval(() => { byId("web-clock").textContent = id ? duration(Date.now() - since) : ""; }, 500);
if (!settings.enabled) {
  byId("web-dial").disabled = true;
  show("web_call_off", true);
}
