// All of the time in one strip: how many actions were open, where some did not end well, and which part of
// it is in view.

const overview = document.getElementById("overview");
const strip = overview.getContext("2d");
const STRIP_HEIGHT = 54;
let density = null; // for the width that it was counted for

const stripWidth = () => Math.max(1, overview.clientWidth - view.gutter - 12);
const stripX = (time) => {
  const [first, last] = paddedRange();
  return view.gutter + ((time - first) / (last - first)) * stripWidth();
};
const stripTime = (x) => {
  const [first, last] = paddedRange();
  return first + ((x - view.gutter) / stripWidth()) * (last - first);
};

/** How many of the actions that are shown were open at the same time, at most. */
function mostOpen() {
  const ends = end.filter((_, i) => emphasis[i] === SHOWN).sort();
  let most = 0, begun = 0, ended = 0;
  for (let i = 0; i < count; i++) {
    if (emphasis[i] !== SHOWN) continue;
    begun++;
    while (ends[ended] <= start[i] && ended < begun - 1) ended++;
    most = Math.max(most, begun - ended);
  }
  return most;
}

/** Of each pixel, how many actions are open in it, and the worst outcome that they come to in it. */
function countDensity() {
  const width = Math.ceil(stripWidth());
  const open = new Int32Array(width + 1);
  const worst = new Uint8Array(width);
  const column = (time) => Math.min(width - 1, Math.max(0, Math.floor(stripX(time) - view.gutter)));
  for (let i = 0; i < count; i++) {
    if (emphasis[i] !== SHOWN) continue;
    const last = column(end[i]);
    open[column(start[i])]++;
    open[last + 1]--;
    if (SEVERITY[outcome[i]] > SEVERITY[worst[last]]) worst[last] = outcome[i];
  }
  let most = 1;
  for (let at = 1; at < width; at++) open[at] += open[at - 1];
  for (let at = 0; at < width; at++) most = Math.max(most, open[at]);
  density = { width, open, worst, most, atOnce: mostOpen(), gutter: view.gutter };
}

function drawOverview() {
  const scale = window.devicePixelRatio || 1;
  const width = overview.clientWidth;
  if (overview.width !== Math.round(width * scale)) overview.width = Math.round(width * scale);
  overview.height = Math.round(STRIP_HEIGHT * scale);
  strip.setTransform(scale, 0, 0, scale, 0, 0);
  if (density === null || density.width !== Math.ceil(stripWidth()) || density.gutter !== view.gutter) countDensity();
  strip.fillStyle = colours.raised;
  strip.fillRect(0, 0, width, STRIP_HEIGHT);
  const tall = STRIP_HEIGHT - 14;
  strip.fillStyle = colours.density;
  for (let at = 0; at < density.width; at++) {
    const height = density.open[at] === 0 ? 0 : Math.max(1.5, (density.open[at] / density.most) * tall);
    strip.fillRect(view.gutter + at, STRIP_HEIGHT - 8 - height, 1, height);
  }
  for (let at = 0; at < density.width; at++) {
    if (density.worst[at] === 0) continue;
    strip.fillStyle = colours.outcomes[density.worst[at]];
    strip.fillRect(view.gutter + at - 0.5, STRIP_HEIGHT - 7, 2, 6);
  }
  const from = stripX(view.from), to = Math.max(stripX(view.to), stripX(view.from) + 2);
  strip.fillStyle = colours.shade;
  if (!isAllShown()) {
    strip.fillRect(view.gutter, 0, from - view.gutter, STRIP_HEIGHT);
    strip.fillRect(to, 0, width - to, STRIP_HEIGHT);
    strip.strokeStyle = colours.focus;
    strip.lineWidth = 1.5;
    strip.strokeRect(from, 0.75, to - from, STRIP_HEIGHT - 1.5);
  }
  strip.font = `11.5px ${colours.font}`;
  strip.textBaseline = "middle";
  strip.fillStyle = colours.quiet;
  tellNumbers();
  strip.fillStyle = colours.line;
  strip.fillRect(view.gutter - 1, 0, 1, STRIP_HEIGHT);
}

/** How long, how many: beside the strip. */
function tellNumbers() {
  const isWide = view.gutter > 150;
  const span = durationWords(isAllShown() ? lastTime - firstTime : view.to - view.from);
  const [shown, all] = [whole(shownLanes.length), whole(layout.lanes.length)];
  const lines = [
    isAllShown() || !isWide ? span : `${span} in view`,
    `${isWide ? "at most" : "≤"} ${whole(density.atOnce)} open`,
    isWide ? `${shown} of ${all} lanes` : `${shown} lanes`,
  ];
  lines.forEach((words, line) => strip.fillText(words, 12, STRIP_HEIGHT / 2 + (line - 1) * 15));
}

// What was taken hold of: the window, one of its edges, or nothing, for a new one.
let grip = null;
overview.addEventListener("pointerdown", (event) => {
  const x = event.offsetX;
  const [from, to] = [stripX(view.from), stripX(view.to)];
  const edge = Math.min(6, Math.max(1, (to - from) / 4));
  if (!isAllShown() && Math.abs(x - from) <= edge) grip = { fixed: view.to };
  else if (!isAllShown() && Math.abs(x - to) <= edge) grip = { fixed: view.from };
  else if (!isAllShown() && x > from && x < to) grip = { offset: stripTime(x) - view.from };
  else grip = { fixed: stripTime(x), began: x };
  overview.setPointerCapture(event.pointerId);
});
overview.addEventListener("pointermove", (event) => {
  if (grip === null) return;
  const time = stripTime(event.offsetX);
  if (grip.offset !== undefined) {
    const [first, last] = paddedRange();
    const span = view.to - view.from;
    const from = Math.min(Math.max(time - grip.offset, first), last - span);
    show(from, from + span);
  } else if (grip.began === undefined || Math.abs(event.offsetX - grip.began) > 3) {
    grip.began = undefined;
    show(Math.min(grip.fixed, time), Math.max(grip.fixed, time));
  }
});
for (const name of ["pointerup", "pointercancel"]) {
  overview.addEventListener(name, (event) => {
    if (name === "pointerup" && grip?.began !== undefined && !isAllShown()) {
      const middle = stripTime(event.offsetX);
      const half = (view.to - view.from) / 2;
      show(middle - half, middle + half);
    }
    grip = null;
  });
}
overview.addEventListener("dblclick", showAll);
