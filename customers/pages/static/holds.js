// Counts down what is held in the cart. The server's own text stands there without it.
// H1 The time left is the database's, measured from when the page was made; this browser's clock only measures what passed.
// H2 The numbers change every second and are never read aloud; a word a minute is, for the hold that ends first, and each end.

const ANNOUNCE_MS = 60_000;
const words = document.querySelector("[data-hold-aloud]");
const began = performance.now();

const holds = [...document.querySelectorAll("[data-hold-seconds]")].map((line) => ({
  line,
  name: line.dataset.holdName,
  clock: line.querySelector("[data-hold-left]"),
  ends: began + Number(line.dataset.holdSeconds) * 1000,
}));
let running = holds;
let announced = began;

function clockText(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function end(hold) {
  hold.line.classList.add("over");
  hold.line.textContent = words.dataset.holdOver;
}

function announce(ended, now) {
  if (ended.length) {
    words.textContent = `${ended.map((hold) => hold.name).join(", ")}: ${words.dataset.holdOver}`;
    announced = now;
  } else if (running.length && now - announced >= ANNOUNCE_MS) {
    const first = running.reduce((a, b) => (a.ends <= b.ends ? a : b));
    const minutes = Math.max(1, Math.round((first.ends - now) / 60_000));
    words.textContent = words.dataset.holdMinutes.replace("{name}", first.name).replace("{minutes}", minutes);
    announced = now;
  }
}

function tick() {
  const now = performance.now();
  const ended = running.filter((hold) => hold.ends <= now);
  running = running.filter((hold) => hold.ends > now);
  ended.forEach(end);
  for (const hold of running) hold.clock.textContent = clockText(Math.ceil((hold.ends - now) / 1000));
  announce(ended, now);
  if (running.length) setTimeout(tick, 1000);
}

if (holds.length && words) tick();
