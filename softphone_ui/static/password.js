import { byId, call, say } from "./common.js";

const form = byId("password-form");
const wrong = (code) => { byId("error").textContent = say(code); byId("error").hidden = false; };

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("error").hidden = true;
  if (form.new.value !== form.again.value) { wrong("password_differs"); form.again.select(); return; }
  const button = form.querySelector("button");
  button.setAttribute("aria-busy", "true");
  try {
    await call("POST", "/session/password", { old: form.old.value, new: form.new.value });
    location.assign("/");
  } catch (problem) {
    if (problem.message === "not_logged_in") location.assign("/login");
    wrong(problem.message === "wrong_login" ? "password_wrong" : problem.message);
  } finally {
    button.removeAttribute("aria-busy");
  }
});
