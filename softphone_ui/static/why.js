import { byId, call, make, say, settings, toast } from "./common.js";

async function ask() {
  const interaction = byId("interaction").value.trim();
  if (!interaction) return;
  byId("busy").hidden = false;
  byId("hint").hidden = byId("steps").hidden = true;
  try {
    const lines = await call("GET", `/interactions/${encodeURIComponent(interaction)}/explanation?language=${settings.language}`);
    byId("rows").replaceChildren(...lines.map((line) => make("tr", {}, make("td", {}, line.at), make("td", { class: "wrap" }, line.text))));
    byId("steps").hidden = false;
    history.replaceState(null, "", `/why?interaction=${encodeURIComponent(interaction)}`);
  } catch (problem) {
    if (problem.message === "not_logged_in") { location.assign("/login"); return; }
    byId("hint").hidden = false;
    toast(say(problem.message), true);
  } finally {
    byId("busy").hidden = true;
  }
}

byId("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
ask();
