import { call, make, say, settings } from "./common.js";

/** Hot-desking: at which telephone I sit until I log out. */
export class Seat {
  constructor(select, act) {
    this.select = select;
    select.addEventListener("focus", () => this.load());
    select.addEventListener("change", async () => {
      if (await act(select, "POST", "/agent/seat", { seat: select.value })) location.reload();
      else this.load();
    });
    this.load();
  }

  async load() {
    try {
      const { seat, phones } = await call("GET", "/agent/seats");
      const option = (value, text, disabled = false) => make("option", { value, selected: value === seat, disabled }, text);
      this.select.replaceChildren(option("", say("own_device")), settings.browser_phones ? option("browser", say("browser_device")) : "",
        ...phones.map((phone) => option(phone.user, [phone.user, phone.registered ? "" : say("not_registered"), phone.taken_by ? say("taken_by") : ""].filter(Boolean).join(" · "), Boolean(phone.taken_by))));
      this.select.hidden = !phones.length && !settings.browser_phones;
    } catch { this.select.hidden = true; }
  }
}
