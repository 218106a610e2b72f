// The beginning; and what tests, and the curious, can ask the page.

function tellSource() {
  const names = facts.logs.map(({ path }) => path);
  const source = document.getElementById("source");
  source.textContent = names.length === 1 ? names[0] : names.length === 0 ? "" : `${whole(names.length)} logs`;
  source.title = names.slice(0, 50).join("\n");
  if (names.length > 0) document.title = `${names.map(fileName).slice(0, 3).join(", ")} – timeline`;
  const notes = [];
  const { count: missing, bad, longest_us: longest, undated } = facts.left_out;
  const are = (number) => (number === 1 ? "1 action is" : `${whole(number)} actions are`);
  if (missing > 0) {
    const which = [];
    if (bad < missing) which.push(`the longest that ended well took ${durationWords(longest)}`);
    if (bad > 0) which.push(`${whole(bad)} did not end well`);
    notes.push(`${are(missing)} not on this page (--limit): ${which.join("; ")}.`);
  }
  if (undated > 0) notes.push(`${are(undated)} not on this page, as nothing dates them.`);
  if (goesOn) notes.push("It is not known whether the process still runs: what is open goes on beyond the right edge.");
  if (facts.filtered) notes.push("Only what the filters chose is on this page, and what that is part of.");
  if (facts.logs.some((each) => each.by_time)) {
    notes.push("No action of the log names the one that it is part of: they are nested by sample and time, as far as that is certain.");
  }
  const notice = document.getElementById("notice");
  notice.textContent = notes.join(" ");
  notice.hidden = notes.length === 0;
}

readColours();
tellSource();
fillLegend();
[view.from, view.to] = paddedRange();
const lanesBy = document.getElementById("lanes-by");
lanesBy.value = hasSamples ? "sample" : "process";
useLanes(lanesBy.value);
tellHits();

new ResizeObserver(fit).observe(stage);
for (const media of ["(prefers-color-scheme: dark)", "(resolution)"]) {
  window.matchMedia(media).addEventListener("change", () => {
    readColours();
    fit();
  });
}

window.inspectTraceTimeline = {
  /** What is shown now; times are seconds since 1970. */
  state: () => ({
    actions: count,
    shownLanes: shownLanes.length,
    rowHeight: view.row,
    mostOpen: mostOpen(),
    lanesBy: layout.by,
    lanes: layout.lanes.map(({ title, note, rows, count: actions }) => ({ title, note, rows, actions })),
    from: (origin + view.from) / 1e6,
    to: (origin + view.to) / 1e6,
    hits: hits === null ? null : hits.length,
    hit,
    selected,
    frameAsked,
    ...stats,
  }),
  /** What is known of an action. */
  action: (i) => ({
    action: texts[actionText[i]],
    detail: texts[detailText[i]],
    outcome: OUTCOMES[outcome[i]].name,
    start: (origin + start[i]) / 1e6,
    duration: (end[i] - start[i]) / 1e6,
    parent: parent[i],
    lane: layout.laneOf[i],
    row: layout.row[i] - layout.lanes[layout.laneOf[i]].row,
  }),
  /** Where an action is drawn, in pixels from the upper left corner of the chart. */
  rectangle: rectangleOf,
};
