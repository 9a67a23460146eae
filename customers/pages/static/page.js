// What every page has: clocks that count down, passwords that can be shown, the focus on what went wrong.

const clocks = [...document.querySelectorAll("[data-seconds-left]")].map((node) => ({
  node,
  end: performance.now() + Number(node.dataset.secondsLeft) * 1000,
}));

function words(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
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
    button.textContent = shown ? button.dataset.hide : button.dataset.show;
    button.setAttribute("aria-pressed", String(shown));
  });
  // A password never leaves the page as plain text that the browser would remember.
  input.form.addEventListener("submit", () => { input.type = "password"; });
}

document.querySelector("[data-focus]")?.focus();
