import { byId, call, duration, make, moment, say, toast } from "./common.js";

/** Messages for my queues, oldest first: hear, call back, see to. */
export function messageRows(rows, act, mayCall) {
  return rows.map((row) => {
    const button = (word, path, more = {}) => {
      const id = `${path}-${row.name}`;
      return make("button", { class: "button", id, type: "button", onclick: () => act(byId(id), "POST", `/messages/${row.name}/${path}`), ...more }, say(word));
    };
    const free = !row.taken_by || row.mine;
    return make("li", {},
      make("div", { class: "line" }, make("b", {}, row.party || say("withheld")), moment(row.left_at_ms)),
      make("div", { class: "line aside" }, make("span", {}, `${row.queue} · ${duration(row.duration_ms)}`),
        row.taken_by ? make("span", {}, `${say("seen_by")} ${row.taken_by}`) : ""),
      free ? make("div", { class: "row" },
        make("button", { class: "button", id: `hear-${row.name}`, type: "button", onclick: () => hear(row.name) }, say("hear")),
        row.party ? button("message_call", "call", { disabled: !mayCall }) : "",
        row.mine ? button("give_back", "give-back") : button("take_message", "take"),
        button("message_seen", "done")) : "");
  });
}

async function hear(name) {
  try {
    const { url } = await call("POST", `/messages/${name}/grants`);
    const sound = byId("message-sound");
    sound.hidden = false;
    sound.src = url;
    sound.play();
  } catch (problem) { toast(say(problem.message), true); }
}
