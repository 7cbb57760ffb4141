import { byId, call, say } from "./common.js";

const form = byId("login-form");
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  const error = byId("error");
  error.hidden = true;
  button.setAttribute("aria-busy", "true");
  try {
    await call("POST", "/session", { login: form.login.value.trim(), password: form.password.value });
    location.assign("/");
  } catch (problem) {
    error.textContent = say(problem.message);
    error.hidden = false;
    form.password.select();
  } finally {
    button.removeAttribute("aria-busy");
  }
});
