// What every page has: clocks that count down, passwords that can be shown, the focus on what went wrong.

const clocks = [...document.querySelectorAll("[data-seconds-left]")].map((node) => ({
  node,
  end: performance.now() + Number(node.dataset.secondsLeft) * 1000,
}));

// In the page's language, as the server wrote them (shown.py).
const times = clocks.length ? JSON.parse(document.querySelector("main").dataset.times) : {};

function words(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  if (seconds < 60) return fill(times.seconds, { seconds });
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return fill(times.minutes, { minutes, seconds: two(seconds % 60) });
  return fill(times.hours, { hours: Math.floor(minutes / 60), minutes: two(minutes % 60) });
}

// Silent for screen readers: a clock that speaks every second would drown everything else.
function tick() {
  for (const { node, end } of clocks) node.textContent = words(Math.max(0, Math.floor((end - performance.now()) / 1000)));
}
if (clocks.length) setInterval(tick, 1000);

for (const button of document.querySelectorAll("button[data-show]")) {
  const input = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.firstElementChild.textContent = shown ? button.dataset.hide : button.dataset.show;
  });
  // A password never leaves the page as plain text that the browser would remember.
  input.form.addEventListener("submit", () => { input.type = "password"; });
}

document.querySelector("[data-focus]")?.focus();
