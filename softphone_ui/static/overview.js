import { byId, duration, make, reasonWord, say, settings } from "./common.js";

const watches = settings.role === "supervisor";

/** What a supervisor sees: queues, calls, agents; and, where the role permits, what can be done about them. */
export function renderOverview(state, act, now) {
  byId("alarms").replaceChildren(...state.alarms.map((alarm) =>
    make("p", { class: "alarm-bar" }, `${say(`alarm_${alarm.name}`)} ${alarm.detail}`)));
  byId("queue-rows").replaceChildren(...state.queues.map((queue) =>
    make("tr", {}, make("td", {}, queue.title),
      make("td", {}, make("span", { class: `badge ${queue.shut ? "alarm" : queue.open ? "idle" : ""}` }, say(queue.shut ? "shut_by_hand" : queue.open ? "open_state" : "closed"))),
      make("td", { class: "number" }, String(queue.waiting)),
      make("td", { class: "number clock" }, queue.waiting ? duration(queue.longest_ms) : "–"),
      make("td", {}, watches ? closing(queue, state, act) : ""))));
  if (watches) renderAnnouncement(state.announcement, act);
  const names = new Map(state.agents.map((agent) => [agent.login, agent.name]));
  const idle = state.agents.filter((agent) => agent.state === "idle");
  byId("call-rows").replaceChildren(...state.calls.map((row) =>
    make("tr", {},
      make("td", {}, row.party || say("withheld")), make("td", {}, row.queue || "–"),
      make("td", {}, make("span", { class: `badge ${row.held ? "held" : row.state}` }, make("span", { class: "dot" }), say(row.held ? "held" : row.state))),
      make("td", {}, names.get(row.agent) ?? "–"),
      make("td", { class: "number clock", "data-since": row.since_ms }, duration(now() - row.since_ms)),
      make("td", {}, watches ? actions(row, idle, act) : ""))));
  byId("calls-empty").hidden = state.calls.length > 0;
  byId("agent-rows").replaceChildren(...state.agents.map((agent) =>
    make("tr", {}, make("td", {}, `${agent.name} `, make("span", { class: "aside" }, agent.login)),
      make("td", {}, make("span", { class: `badge ${agent.state}` }, make("span", { class: "dot" }), say(agent.state)),
        " ", make("span", { class: "aside" }, agent.reason ? reasonWord(agent.reason) : "")),
      agent.since_ms ? make("td", { class: "number clock", "data-since": agent.since_ms }) : make("td", { class: "number" }, "–"),
      make("td", {}, ...state.queues.map((queue) => member(agent, queue, act))),
      make("td", {}, watches ? stateChoice(agent, act) : ""))));
}

/** A queue closes until it is reopened by hand; where people wait, what becomes of them is asked first. */
function closing(queue, state, act) {
  const id = `close-${queue.name}`;
  if (queue.shut) return make("button", { class: "button", id, type: "button", onclick: () => act(byId(id), "POST", `/supervise/queues/${queue.name}/open`) }, say("open_queue"));
  return make("button", { class: "button", id, type: "button", onclick: () => {
    const dialog = byId("closing");
    const form = byId("closing-form");
    const others = state.queues.filter((other) => other !== queue && other.open);
    byId("closing-to").replaceChildren(...others.map((other) => make("option", { value: other.name }, other.title)));
    byId("closing-then").value = "stay";
    byId("closing-where").hidden = true;
    byId("closing-then").onchange = () => { byId("closing-where").hidden = byId("closing-then").value !== "move"; };
    byId("closing-not").onclick = () => dialog.close();
    form.onsubmit = async (event) => {
      event.preventDefault();
      const then = byId("closing-then").value;
      if (await act(null, "POST", `/supervise/queues/${queue.name}/close`, { then, to: then === "move" ? byId("closing-to").value : "" })) dialog.close();
    };
    dialog.showModal();
  } }, say("close_queue"));
}

function member(agent, queue, act) {
  const id = `serves-${agent.login}-${queue.name}`;
  const serves = agent.queues.includes(queue.name);
  if (!settings.may_move) return serves ? make("span", { class: "badge" }, queue.title) : "";
  return make("button", { class: "chip", id, type: "button", "aria-pressed": String(serves), onclick: () => act(byId(id), "PUT", `/supervise/queues/${queue.name}/members/${agent.login}`, { serves: !serves }) }, queue.title);
}

let announced = null;
function renderAnnouncement(words, act) {
  const text = JSON.stringify(words);
  byId("announced").hidden = byId("end-announcement").hidden = text === "{}";
  if (text === announced) return;
  announced = text;
  for (const language of ["zh", "en"]) byId(`announcement-${language}`).value = words[language] ?? "";
  const put = (body) => act(byId("announce"), "PUT", "/supervise/announcement", body);
  byId("end-announcement").onclick = () => put({ zh: "", en: "" });
  byId("announcement-form").onsubmit = (event) => {
    event.preventDefault();
    put({ zh: byId("announcement-zh").value, en: byId("announcement-en").value });
  };
}

function actions(row, idle, act) {
  const mine = row.watched.find((one) => one.who === settings.login);
  const others = row.watched.filter((one) => one !== mine && one.joined).map((one) => one.who);
  const button = (word, path, body) => {
    const id = `${word}-${row.id}`;
    return make("button", { class: "button", id, type: "button", onclick: () => act(byId(id), "POST", `/supervise/interactions/${row.id}/${path}`, body) }, say(word));
  };
  const found = [];
  if (row.state === "talking" && row.medium !== "chat") {
    const way = { talk: "barge" }[mine?.mode] ?? mine?.mode;
    for (const word of ["listen", "whisper", "barge"]) {
      const one = button(word, "watch", { way: word });
      if (mine?.joined && way === word) one.setAttribute("aria-pressed", "true");
      found.push(one);
    }
    if (mine?.joined) found.push(button("take_over", "take-over"));
  }
  if (mine) found.push(button("leave", "leave"));
  if (["waiting", "parked"].includes(row.state) && idle.length && row.medium !== "chat") {
    const id = `assign-${row.id}`;
    found.push(make("select", { id, "aria-label": say("assign"),
      onchange: (event) => event.target.value && act(byId(id), "POST", `/supervise/interactions/${row.id}/assign`, { agent: event.target.value }) },
      make("option", { value: "" }, say("assign")), ...idle.map((agent) => make("option", { value: agent.login }, agent.name))));
  }
  if (row.callback && row.state === "waiting") {
    const id = `cancel-${row.id}`;
    found.push(make("button", { class: "button", id, type: "button", onclick: () => act(byId(id), "DELETE", `/supervise/interactions/${row.id}/callback`) }, say("cancel_callback")));
  }
  found.push(make("a", { class: "button quiet", href: `/why?interaction=${row.id}` }, say("why")));
  if (others.length) found.push(make("span", { class: "aside" }, `${say("watched")}: ${others.join(", ")}`));
  return make("div", { class: "row" }, ...found);
}

function stateChoice(agent, act) {
  const id = `state-${agent.login}`;
  return make("select", { id, "aria-label": `${say("set_state")} ${agent.name}`,
    onchange: (event) => event.target.value && act(byId(id), "POST", `/supervise/agents/${agent.login}/state`, { state: event.target.value }) },
    make("option", { value: "" }, say("set_state")), make("option", { value: "ready" }, say("idle")),
    make("option", { value: "not_ready" }, say("not_ready")), make("option", { value: "logged_out" }, say("log_off")));
}
