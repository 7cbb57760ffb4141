import { byId, call, make, moment, say, settings, toast } from "./common.js";

const text = (name, more = {}) => ({ name, type: "text", ...more });
const number = (name) => ({ name, type: "number" });
const choice = (name, options) => ({ name, type: "choice", options });
const TITLED = [text("code", { key: true }), text("title_zh"), text("title_en"), number("sort"), { name: "active", type: "switch" }];
const SPECS = {
  user: [text("login", { key: true }), text("name"), choice("role", ["agent", "supervisor", "administrator", "auditor"]), text("device", { hint: "device_hint" }),
    choice("answer", ["panel", "phone", "auto"]), number("wrap_up_s"), choice("language", ["zh", "en"]), { name: "skills", type: "skills" }, { name: "active", type: "switch" }],
  queue: [text("name", { key: true }), text("title"), { name: "skills", type: "skills" }, number("target_s"), number("priority"), number("ring_timeout_s"), number("max_waiting"),
    text("caller_id"), choice("sound", ["music", "ringback"]), { name: "whisper", type: "switch" }, { name: "active", type: "switch" }],
  reason: TITLED, code: TITLED,
};
const COLUMNS = { user: ["login", "name", "role", "device", "skills"], queue: ["name", "title", "skills", "target_s", "priority", "max_waiting"], reason: ["code", "title_zh", "title_en"], code: ["code", "title_zh", "title_en"] };
const FRESH = { role: "agent", device: "browser", answer: "panel", wrap_up_s: 30, language: settings.language, target_s: 20, priority: 0, ring_timeout_s: 20, max_waiting: 0, sound: "music", sort: 0, active: true, skills: {} };
const label = (name) => say(`field_${name}`);
const keyOf = (kind) => SPECS[kind].find((field) => field.key).name;
let tab = "user";
let everything = {};
let editing = null; // the record in the dialog; null for a new one

async function load() {
  const asked = tab;
  const path = { phone: "/people/phones", changes: "/people/changes" }[asked] ?? "/people";
  try {
    const found = await call("GET", path);
    if (asked !== tab) return; // another tab was chosen meanwhile
    if (asked === "phone") drawPhones(found);
    else if (asked === "changes") drawChanges(found);
    else { everything = found; drawRecords(); }
  } catch (problem) {
    if (problem.message === "not_logged_in") { location.assign("/login"); return; }
    toast(say(problem.message), true);
  }
}

function draw(columns, rows) {
  byId("head").replaceChildren(make("tr", {}, ...columns.map((column) => make("th", { scope: "col" }, column)), make("th", { scope: "col" }, say("do"))));
  byId("rows").replaceChildren(...rows);
  byId("empty").hidden = rows.length > 0;
}

function shown(name, value) {
  if (name === "skills") return Object.entries(value).map(([skill, level]) => `${skill} ${level}`).join(", ") || "–";
  if (typeof value === "boolean") return say(value ? "yes" : "no");
  if (["role", "answer", "language", "sound"].includes(name)) return say(`${name}_${value}`);
  if (name === "device" && value.startsWith("sip:nobody@")) return "–";
  return String(value ?? "") || "–";
}

function drawRecords() {
  const records = everything[tab].filter((record) => record.active || byId("inactive").checked);
  draw(COLUMNS[tab].map(label), records.map((record) => make("tr", { class: record.active ? "" : "gone" },
    ...COLUMNS[tab].map((name) => make("td", { class: "wrap" }, shown(name, record[name]))),
    make("td", { class: "actions" }, settings.may.edit ? make("div", { class: "row" },
      make("button", { class: "button", type: "button", id: `edit-${record[keyOf(tab)]}`, onclick: () => open(record) }, say("edit")),
      tab === "user" ? make("button", { class: "button", type: "button", id: `password-${record.login}`, onclick: () => givePassword(record) }, say("give_password")) : "",
      make("button", { class: "button", type: "button", onclick: () => save(tab, { ...record, active: !record.active }, record[keyOf(tab)]) }, say(record.active ? "retire" : "restore"))) : ""))));
}

function drawPhones(phones) {
  draw([label("account"), label("registered")], phones.map((phone) => make("tr", {},
    make("td", {}, phone.user), make("td", { class: "wrap" }, phone.places.map((place) => `${place.address} ${place.phone}`).join(", ") || "–"),
    make("td", { class: "actions" }, settings.may.edit ? make("button", { class: "button", type: "button", onclick: () => act("DELETE", `/people/phones/${phone.user}`) }, say("remove")) : ""))));
}

function drawChanges(changes) {
  draw(["when", "who_did", "what_changed", "before_after"].map(say), changes.map((change) => make("tr", {},
    make("td", {}, moment(change.at_ms)), make("td", {}, change.actor),
    make("td", {}, `${say(`tab_${change.kind}`)} ${change.key}`, change.undoes ? make("span", { class: "aside" }, ` ${say("undid")}`) : ""),
    make("td", { class: "wrap" }, difference(change)),
    make("td", { class: "actions" }, settings.may.edit && !change.undone ? make("button", { class: "button", type: "button", onclick: () => act("POST", `/people/changes/${change.id}/undo`) }, say("undo")) : ""))));
}

function difference(change) {
  if (!change.before) return say("made_new");
  return Object.keys(change.after).filter((name) => JSON.stringify(change.after[name]) !== JSON.stringify(change.before[name]))
    .map((name) => `${label(name)}: ${shown(name, change.before[name])} → ${shown(name, change.after[name])}`).join("; ");
}

async function act(method, path, body) {
  try { const answer = await call(method, path, body); await load(); return answer; } catch (problem) { toast(say(problem.message), true); return null; }
}

function tell(facts) {
  byId("told-facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) => [make("dt", {}, label(name)), make("dd", {}, value)]));
  byId("told").showModal();
}

async function givePassword(record) {
  try {
    const answer = await call("POST", `/people/users/${record.login}/password`);
    tell({ login: record.login, password: answer.password });
  } catch (problem) { toast(say(problem.message), true); }
}

function input(field, value) {
  const id = `field-${field.name}`;
  const fixed = field.key && editing;
  if (field.type === "choice") return make("select", { id }, ...field.options.map((option) => make("option", { value: option, selected: option === value }, say(`${field.name}_${option}`))));
  if (field.type === "switch") return make("input", { id, type: "checkbox", checked: value });
  if (field.type === "skills") return make("input", { id, value: Object.entries(value ?? {}).map(([skill, level]) => `${skill} ${level}`).join(", "), placeholder: say("skills_hint"), autocomplete: "off" });
  return make("input", { id, type: field.type === "number" ? "number" : "text", value: value ?? "", readonly: fixed, placeholder: field.hint ? say(field.hint) : null, autocomplete: "off" });
}

function open(record) {
  editing = record;
  byId("edit-title").textContent = `${say(record ? "edit" : "add")} · ${say(`tab_${tab}`)}`;
  byId("edit-error").hidden = true;
  const specs = tab === "phone" ? [text("user", { key: true })] : SPECS[tab];
  byId("fields").replaceChildren(...specs.map((field) => make("div", { class: "field" },
    make("label", { for: `field-${field.name}` }, label(field.name)), input(field, record ? record[field.name] : FRESH[field.name]))));
  byId("edit").showModal();
}

function read(field) {
  const element = byId(`field-${field.name}`);
  if (field.type === "switch") return element.checked;
  if (field.type === "number") return Number(element.value);
  if (field.type === "skills") {
    return Object.fromEntries(element.value.split(/[,，]/).map((part) => part.trim()).filter(Boolean).map((part) => {
      const [skill, level] = part.split(/[\s:：]+/);
      return [skill, Number(level ?? 1)];
    }));
  }
  return element.value.trim();
}

async function save(kind, values, key) {
  try {
    await call(key ? "PUT" : "POST", `/people/${kind}${key ? `/${key}` : ""}`, values);
    byId("edit").close();
    toast(say("record_saved"));
    await load();
  } catch (problem) {
    if (!byId("edit").open) { toast(say(problem.message), true); return; }
    const fields = Object.keys(problem.fields ?? {}).map((name) => label(name.split(".")[0]));
    byId("edit-error").textContent = [say(problem.message), fields.join(", ")].filter(Boolean).join(" ");
    byId("edit-error").hidden = false;
  }
}

byId("edit-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (tab === "phone") {
    const told = await act("POST", "/people/phones", { user: read(text("user")) });
    if (told) { byId("edit").close(); tell(told); }
    return;
  }
  save(tab, Object.fromEntries(SPECS[tab].map((field) => [field.name, read(field)])), editing?.[keyOf(tab)]);
});
byId("edit-close").addEventListener("click", () => byId("edit").close());
byId("add")?.addEventListener("click", () => open(null));
byId("inactive").addEventListener("change", () => drawRecords());
for (const button of document.querySelectorAll("[role=tab]")) {
  button.addEventListener("click", () => {
    for (const other of document.querySelectorAll("[role=tab]")) other.setAttribute("aria-selected", String(other === button));
    tab = button.id.replace("tab-", "");
    byId("list").setAttribute("aria-labelledby", button.id);
    if (byId("add")) byId("add").hidden = tab === "changes";
    byId("inactive").parentElement.hidden = !(tab in SPECS);
    byId("rows").replaceChildren();
    load();
  });
}
load();
