// Quantities refresh by themselves, only while the page is seen, and an unchanged answer costs no body (ETag).
// Needs an element with data-refresh-seconds; the words are those of <main>. Without it the page shows what was there.

const FEW = 5; // as in parts.html
const SPEAK_MS = 5000; // changes are gathered this long and then said at once, so that they do not drown everything else
const area = document.querySelector("[data-refresh-seconds]");
const words = document.querySelector("main").dataset;
const language = document.documentElement.lang;
const left = JSON.parse(words.left); // a text for each plural form of the language
const form = new Intl.PluralRules(language);
const written = new Intl.NumberFormat(language, { useGrouping: "always" });

function show(badge, available, inOtherCarts) {
  const held = available === 0 && inOtherCarts > 0;
  const text = available ? left[form.select(available)].replace("{count}", written.format(available)) : held ? words.held : words.none;
  if (badge.textContent === text) return;
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

async function refresh() {
  const badges = [...document.querySelectorAll("[data-stock]")];
  const ids = [...new Set(badges.map((badge) => badge.dataset.stock))].sort().slice(0, 100);
  if (!ids.length) return;
  const response = await fetch(`/stock?ids=${ids.join(",")}`);
  if (!response.ok) return;
  const { available, in_other_carts: held = {} } = await response.json();
  for (const badge of badges) show(badge, available[badge.dataset.stock] ?? 0, held[badge.dataset.stock] ?? 0);
}

if (area) {
  const pause = Number(area.dataset.refreshSeconds) * 1000;
  const again = async () => {
    try {
      if (!document.hidden) await refresh();
    } catch {
      // The network is away for a moment; the next round asks again.
    } finally {
      setTimeout(again, pause);
    }
  };
  setTimeout(again, pause);
}
