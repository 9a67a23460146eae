// Quantities refresh by themselves; an unchanged answer costs no body (the browser keeps it, and asks by its ETag).
// An element with data-refresh-seconds says how often; the words are those of <main>.
// R1 A page that nobody sees asks nothing; as soon as it is seen again it asks at once.
// R2 One question at a time. Pages that were opened together part ways: each pause is a little longer or shorter.
// R3 While the shop cannot answer, the pause doubles up to a minute, and is never shorter than the shop asks for.
// R4 A page at rest asks half as often: one on which nothing has changed, and that nobody has touched, for REST_AFTER_MS.
//    As soon as it is touched it asks at once, unless the shop is away (R3); what changes ends the rest, too.

const FEW = 5; // as in parts.html
const SPEAK_MS = 5000; // changes are gathered this long and then said at once, so that they do not drown everything else
const IDS_MAX = 100; // as the shop takes them
const ANSWER_MS_MAX = 10_000;
const PAUSE_MS_MAX = 60_000;
const REST_AFTER_MS = 30_000;
const REST_PAUSES = 2;
const TOUCHES = ["pointermove", "pointerdown", "keydown", "wheel", "scroll", "focus"];
const PAUSE_SECONDS = 5; // of a page that shows no goods; it may get some when its reader searches
const words = document.querySelector("main").dataset;
const language = document.documentElement.lang;
const left = JSON.parse(words.left); // a text for each plural form of the language
const form = new Intl.PluralRules(language);
const written = new Intl.NumberFormat(language, { useGrouping: "always" });

function show(badge, available, inOtherCarts) {
  const held = available === 0 && inOtherCarts > 0;
  const text = available ? left[form.select(available)].replace("{count}", written.format(available)) : held ? words.held : words.none;
  if (badge.textContent === text) return;
  livelyAt = performance.now();
  badge.textContent = text;
  badge.classList.toggle("none", available === 0 && !held);
  badge.classList.toggle("held", held);
  badge.classList.toggle("few", available > 0 && available <= FEW);
  badge.classList.add("changed");
  setTimeout(() => badge.classList.remove("changed"), 1200);
  speakLater(badge, text);
}

const spoken = document.getElementById("spoken");
const unsaid = new Map();

// For screen readers, politely, and only of what the page is about: what lies within data-announce, which names it.
function speakLater(badge, text) {
  const about = badge.closest("[data-announce]");
  if (!about) return;
  if (!unsaid.size) {
    setTimeout(() => {
      spoken.textContent = [...unsaid].map(([name, news]) => `${name}: ${news}`).join("; ");
      unsaid.clear();
    }, SPEAK_MS);
  }
  unsaid.set(about.dataset.announce, text);
}

// Throws what went wrong, with the seconds for which the shop wants to be left alone.
async function refresh() {
  const badges = [...document.querySelectorAll("[data-stock]")];
  const ids = [...new Set(badges.map((badge) => badge.dataset.stock))].sort((a, b) => a - b).slice(0, IDS_MAX);
  if (!ids.length) return;
  const response = await fetch(`/stock?ids=${ids.join(",")}`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  if (!response.ok) throw Object.assign(new Error(response.statusText), { seconds: Number(response.headers.get("Retry-After")) });
  const { available, in_other_carts: held = {} } = await response.json();
  for (const badge of badges) {
    const id = badge.dataset.stock;
    if (ids.includes(id)) show(badge, available[id] ?? 0, held[id] ?? 0);
  }
}

let timer;
let failures = 0;
let asking = false;
let livelyAt = performance.now();
const isAtRest = () => performance.now() - livelyAt > REST_AFTER_MS;

function wait(leastMs = 0) {
  const area = document.querySelector("[data-refresh-seconds]");
  const pause = Math.min(Number(area?.dataset.refreshSeconds ?? PAUSE_SECONDS) * 1000 * 2 ** failures * (isAtRest() ? REST_PAUSES : 1), PAUSE_MS_MAX);
  clearTimeout(timer);
  timer = setTimeout(ask, Math.max(pause, leastMs) * (0.9 + 0.2 * Math.random()));
}

async function ask() {
  if (document.hidden || asking) return;
  asking = true;
  let leastMs = 0;
  try {
    await refresh();
    failures = 0;
  } catch (error) {
    failures += 1; // the network or the shop is away for a moment; what is shown stays
    leastMs = (error.seconds || 0) * 1000;
  } finally {
    asking = false;
    wait(leastMs);
  }
}

function touched() {
  const rested = isAtRest();
  livelyAt = performance.now();
  if (rested && !failures) ask();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return clearTimeout(timer);
  livelyAt = performance.now();
  return ask();
});
for (const touch of TOUCHES) addEventListener(touch, touched, { passive: true, capture: true });
wait();
