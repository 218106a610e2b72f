// Search: every word has to be somewhere in an action's texts. And which outcomes are shown at all.

const query = document.getElementById("query");
const hitsShown = document.getElementById("hits");
const shownOutcomes = OUTCOMES.map(() => true);
let lowerTexts = null;
let hits = null; // of what is sought; null if nothing is
let hit = -1; // which of them was gone to

/** Which actions have a word in one of their texts. */
function actionsWith(word) {
  lowerTexts ??= texts.map((text) => text.toLowerCase());
  const has = Uint8Array.from(lowerTexts, (text) => (text.includes(word) ? 1 : 0));
  const found = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    found[i] = has[actionText[i]] | has[detailText[i]] | has[taskText[i]] | has[sampleText[i]];
    if (facts.trace_id[i].toLowerCase() === word) found[i] = 1;
  }
  for (const few of [errorText, errorTypeText]) for (const [i, text] of few) found[i] |= has[text];
  return found;
}

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  hit = -1;
  if (words.length === 0) {
    hits = null;
  } else {
    const found = words.map(actionsWith);
    hits = [];
    for (let i = 0; i < count; i++) {
      if (shownOutcomes[outcome[i]] && found.every((each) => each[i] === 1)) hits.push(i);
    }
  }
  applyEmphasis();
}

function applyEmphasis() {
  for (let i = 0; i < count; i++) {
    emphasis[i] = !shownOutcomes[outcome[i]] ? HIDDEN : hits === null ? SHOWN : QUIET;
  }
  if (hits !== null) for (const i of hits) emphasis[i] = SHOWN;
  density = null;
  chooseLanes();
  tellHits();
  arrange();
}

function tellHits() {
  const any = hits !== null && hits.length > 0;
  document.getElementById("next-hit").disabled = document.getElementById("previous-hit").disabled = !any;
  if (hits === null) hitsShown.textContent = "";
  else if (!any) hitsShown.textContent = "no hits";
  else if (hit < 0) hitsShown.textContent = hits.length === 1 ? "1 hit" : `${whole(hits.length)} hits`;
  else hitsShown.textContent = `${whole(hit + 1)} of ${whole(hits.length)}`;
}

function goToHit(by) {
  if (hits === null || hits.length === 0) return;
  if (hit < 0) {
    // The first one in view, or behind it.
    const next = hits.findIndex((i) => end[i] >= view.from);
    hit = by > 0 ? Math.max(next, 0) : hits.length - 1;
  } else {
    hit = (hit + by + hits.length) % hits.length;
  }
  tellHits();
  select(hits[hit]);
}

query.addEventListener("input", () => search(query.value));
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter") goToHit(event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") {
    query.value = "";
    search("");
    chart.focus();
  } else return;
  event.preventDefault();
});
document.getElementById("next-hit").addEventListener("click", () => goToHit(1));
document.getElementById("previous-hit").addEventListener("click", () => goToHit(-1));

/** The outcomes that there are, as buttons that show and hide them. */
function fillLegend() {
  const counts = OUTCOMES.map(() => 0);
  for (let i = 0; i < count; i++) counts[outcome[i]]++;
  OUTCOMES.forEach(({ name, words, mark }, which) => {
    if (counts[which] === 0) return;
    const made = button("", "", () => {
      shownOutcomes[which] = !shownOutcomes[which];
      made.setAttribute("aria-pressed", String(shownOutcomes[which]));
      search(query.value);
    });
    made.append(element("span", `swatch ${name}`, mark), words, element("span", "count", whole(counts[which])));
    made.setAttribute("aria-pressed", "true");
    made.title = "Show or hide them";
    document.getElementById("legend").append(made);
  });
}
