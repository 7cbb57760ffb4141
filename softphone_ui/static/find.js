import { byId, call, make, moment, say, settings, toast } from "./common.js";

const day = (text, add) => (text ? new Date(`${text}T00:00:00`).getTime() + add * 86400000 : 0);

/** The text with what was asked for marked; no markup of the text's own comes in. */
function marked(text, words) {
  const runs = words.split(/\s+/).filter((run) => run.length > 1).map((run) => run.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!runs.length) return [text];
  const pattern = new RegExp(`(${runs.join("|")})`, "giu");
  return text.split(pattern).map((part, n) => (n % 2 ? make("mark", {}, part) : part));
}

async function search() {
  const form = new FormData(byId("search"));
  const words = form.get("words").trim();
  const wanted = { words, agent: form.get("agent") ?? "", since_ms: day(form.get("since"), 0), until_ms: day(form.get("until"), 1) };
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  try {
    const rows = await call("GET", `/search/messages?${query}`);
    byId("rows").replaceChildren(...rows.map((row) => make("li", { class: "card" },
      make("div", { class: "aside" }, moment(row.at_ms), ` · ${say(`medium_${row.medium}`)} · ${row.by === "agent" ? row.name : say(row.by === "customer" ? "customer" : "assistant")}`,
        row.queue ? ` · ${row.queue}` : "", row.agent ? ` · ${row.agent}` : "",
        settings.may_explain ? make("a", { href: `/why?interaction=${row.interaction}` }, ` ${row.interaction}`) : ` · ${row.interaction}`),
      row.subject ? make("b", {}, ...marked(row.subject, words)) : "",
      make("div", { class: "found-text" }, ...marked(row.text, words)))));
    byId("empty").hidden = rows.length > 0;
    byId("empty").textContent = say("nothing_found");
  } catch (problem) {
    if (problem.message === "not_logged_in") { location.assign("/login"); return; }
    toast(say(problem.message), true);
  }
}

byId("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
