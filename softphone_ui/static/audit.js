import { byId, call, make, moment, say, settings, toast } from "./common.js";

const MOST = 200;
const day = (text, add) => (text ? new Date(`${text}T00:00:00`).getTime() + add * 86400000 : null);
const names = new Map(settings.people.map((person) => [person.login, person.name]));

async function search() {
  const form = new FormData(byId("search"));
  const wanted = { since_ms: day(form.get("since"), 0), until_ms: day(form.get("until"), 1), actor: form.get("actor"), action: form.get("action"), subject: form.get("subject").trim() };
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value != null && value !== ""));
  try {
    const rows = await call("GET", `/audit?${query}`);
    byId("rows").replaceChildren(...rows.map((row) => make("tr", {},
      make("td", {}, moment(row.at_ms)), make("td", {}, `${names.get(row.actor) ?? ""} ${row.actor}`), make("td", {}, say(`act_${row.action}`)),
      make("td", { class: "wrap" }, names.has(row.subject) ? `${names.get(row.subject)} ${row.subject}` : row.subject),
      make("td", { class: "wrap" }, names.has(row.detail) ? `${names.get(row.detail)} ${row.detail}` : row.detail))));
    byId("empty").hidden = rows.length > 0;
    byId("many").hidden = rows.length < MOST;
  } catch (problem) {
    if (problem.message === "not_logged_in") { location.assign("/login"); return; }
    toast(say(problem.message), true);
  }
}

byId("search").addEventListener("submit", (event) => { event.preventDefault(); search(); });
search();
