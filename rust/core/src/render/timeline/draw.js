// The chart. Where actions are smaller than a few pixels, a row is drawn in runs of pixels: a frame has no
// more rectangles than the rows in view have pixels, however many actions there are.

const HIDDEN = 0, QUIET = 1, SHOWN = 2;
const emphasis = new Uint8Array(count).fill(SHOWN);
const SMALL = 3; // pixels

const pen = chart.getContext("2d");
const stats = { frames: 0, rectangles: 0, labels: 0, milliseconds: 0 };
let selected = -1;
let pointer = null;
let colours;
let frameAsked = false;

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  colours = { outcomes: OUTCOMES.map((each) => value(each.name)) };
  for (const name of ["page", "raised", "band", "line", "grid", "text", "quiet", "focus", "on-bar", "density", "shade"]) {
    colours[name] = value(name);
  }
  colours.font = getComputedStyle(document.body).fontFamily;
}

function redraw() {
  if (frameAsked) return;
  frameAsked = true;
  requestAnimationFrame(() => {
    frameAsked = false;
    const began = performance.now();
    stats.rectangles = stats.labels = 0;
    drawChart();
    stats.milliseconds = performance.now() - began;
    stats.frames++;
    drawOverview();
  });
}

function drawChart() {
  const scale = window.devicePixelRatio || 1;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.fillStyle = colours.page;
  pen.fillRect(0, 0, view.width, view.height);
  const step = stepFor(((view.to - view.from) / plotWidth()) * 92);
  const marks = ticks(view.from, view.to, step);
  drawBands();
  pen.fillStyle = colours.grid;
  for (const tick of marks) pen.fillRect(Math.round(xOf(tick)), AXIS, 1, view.height);
  pen.save();
  pen.beginPath();
  pen.rect(view.gutter, AXIS, view.width - view.gutter, view.height - AXIS);
  pen.clip();
  forLanesInView((lane, top) => {
    const rows = layout.lanes[lane];
    const first = Math.max(0, Math.floor((AXIS - top) / view.row));
    for (let row = first; row < rows.rows && top + row * view.row < view.height; row++) {
      drawRow(rows.row + row, top + row * view.row + 1);
    }
  });
  drawNow();
  if (selected >= 0) outline(selected);
  if (pointer !== null && pointer.x > view.gutter) {
    pen.fillStyle = colours.line;
    pen.fillRect(Math.round(pointer.x), AXIS, 1, view.height);
  }
  pen.restore();
  drawGutter();
  drawAxis(marks, step);
  if (count === 0) {
    pen.fillStyle = colours.quiet;
    pen.font = `14px ${colours.font}`;
    pen.fillText("No actions in what was chosen.", view.gutter + 20, AXIS + 40);
  }
}

/** Calls for each lane in view with the height at which it begins. */
function forLanesInView(each) {
  for (let at = Math.max(0, laneAt(stage.scrollTop)); at < shownLanes.length; at++) {
    const top = AXIS - stage.scrollTop + laneTop[shownLanes[at]];
    if (top > view.height) break;
    each(shownLanes[at], top, at);
  }
}

function drawBands() {
  forLanesInView((lane, top, at) => {
    const height = laneHeight(lane) + LANE_GAP;
    if (at % 2 === 0) {
      pen.fillStyle = colours.band;
      pen.fillRect(0, top - LANE_GAP / 2, view.width, height);
    }
  });
}

function drawRow(row, y) {
  const { inRow, rowFrom } = layout;
  // The pixel that is collected, its worst rank, and the run of pixels of one colour before it.
  let pixel = -1, rank = -1, runFrom = -1, runTo = -1, runRank = -1;
  const endRun = () => {
    if (runFrom >= 0) bar(runFrom, y, runTo - runFrom, runRank);
    runFrom = -1;
  };
  const endPixel = () => {
    if (pixel < 0) return;
    if (runFrom >= 0 && runTo === pixel && runRank === rank) runTo = pixel + 1;
    else {
      endRun();
      [runFrom, runTo, runRank] = [pixel, pixel + 1, rank];
    }
    pixel = -1;
  };
  const last = view.to + (view.to - view.from) / plotWidth();
  for (let at = firstFrom(layout, row, view.from); at < rowFrom[row + 1]; at++) {
    const i = inRow[at];
    if (start[i] > last) break;
    if (emphasis[i] === HIDDEN) continue;
    const left = Math.max(xOf(start[i]), view.gutter - 4);
    const right = Math.min(xOf(end[i]), view.width + 4);
    const rankHere = emphasis[i] * 8 + outcome[i];
    if (right - left >= SMALL) {
      endPixel();
      endRun();
      bar(left, y, right - left, rankHere);
      decorate(i, left, y, right - left);
      continue;
    }
    const to = Math.max(Math.floor(left) + 1, Math.ceil(right));
    for (let here = Math.floor(left); here < to; here++) {
      if (here !== pixel) {
        endPixel();
        [pixel, rank] = [here, rankHere];
      } else if (isWorse(rankHere, rank)) {
        rank = rankHere;
      }
    }
  }
  endPixel();
  endRun();
}

const isWorse = (a, b) => (a >> 3 !== b >> 3 ? a > b : SEVERITY[a & 7] > SEVERITY[b & 7]);

function bar(x, y, width, rank) {
  pen.globalAlpha = rank >> 3 === QUIET ? 0.2 : 1;
  pen.fillStyle = colours.outcomes[rank & 7];
  // A line of the background between neighbours.
  pen.fillRect(x, y, Math.max(width - (width > 4 ? 1 : 0), 1), view.row - 2);
  pen.globalAlpha = 1;
  stats.rectangles++;
}

/** What is on a bar: a mark for its outcome and its name, and the edge of one that is open. */
function decorate(i, x, y, width) {
  const quiet = emphasis[i] === QUIET;
  if (isOpen(i) && width > 10) drawOpenEdge(i, x, y, width);
  const left = Math.max(x, view.gutter) + 4;
  const room = Math.min(x + width, view.width) - left - 4;
  if (room < 12 || quiet || view.row < HIGH) return;
  const { mark } = OUTCOMES[outcome[i]];
  const text = fitText(oneLine(`${mark === "" ? "" : `${mark} `}${labelOf(i)}`), room);
  if (text === "") return;
  pen.fillStyle = colours["on-bar"];
  pen.textBaseline = "middle";
  pen.fillText(text, left, y + view.row / 2 - 0.5);
  stats.labels++;
}

/** Stripes where an open action ends for want of knowing. */
function drawOpenEdge(i, x, y, width) {
  const to = x + width - 1;
  const from = Math.max(x, to - 14);
  pen.save();
  pen.beginPath();
  const height = view.row - 2;
  pen.rect(from, y, to - from, height);
  pen.clip();
  pen.strokeStyle = colours.page;
  pen.lineWidth = 2;
  pen.beginPath();
  for (let at = from - height; at < to; at += 5) {
    pen.moveTo(at, y + height);
    pen.lineTo(at + height, y);
  }
  pen.stroke();
  pen.restore();
}

const widths = new Map();
function textWidth(text) {
  let width = widths.get(text);
  if (width === undefined) {
    if (widths.size > 20000) widths.clear();
    width = pen.measureText(text).width;
    widths.set(text, width);
  }
  return width;
}

/** A text, or as much of its beginning as there is room for. */
function fitText(text, room) {
  pen.font = `11.5px ${colours.font}`;
  if (textWidth(text) <= room) return text;
  let low = 0, high = Math.min(text.length, Math.ceil(room / 2));
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (pen.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low < 2 ? "" : `${text.slice(0, low).trimEnd()}…`;
}

function outline(i) {
  const { x, y, width, height } = rectangleOf(i);
  const left = Math.max(x, view.gutter - 6), right = Math.min(x + width, view.width + 6);
  if (right < left) return;
  pen.strokeStyle = colours.text;
  pen.lineWidth = 2;
  pen.strokeRect(left - 1, y - 1, right - left + 1, height + 2);
}

function drawNow() {
  if (!hasRunning) return;
  const x = xOf(asOf);
  if (x < view.gutter || x > view.width) return;
  pen.fillStyle = colours.quiet;
  pen.fillRect(Math.round(x), AXIS, 1, view.height);
}

function drawGutter() {
  pen.fillStyle = colours.page;
  pen.fillRect(0, AXIS, view.gutter, view.height);
  pen.textBaseline = "middle";
  forLanesInView((lane, top, at) => {
    const { title, note } = layout.lanes[lane];
    const height = laneHeight(lane);
    if (at % 2 === 0) {
      pen.fillStyle = colours.band;
      pen.fillRect(0, Math.max(AXIS, top - LANE_GAP / 2), view.gutter, height + LANE_GAP - Math.max(0, AXIS - top + LANE_GAP / 2));
    }
    // The name stays in view as long as its lane is.
    const y = Math.min(Math.max(top, AXIS + 2), top + height - NAME);
    if (y + NAME < AXIS) return;
    pen.fillStyle = colours.text;
    pen.fillText(fitText(oneLine(title), view.gutter - 20), 12, y + NAME / 2);
    if (note !== "" && y + 2 * NAME <= top + height + 1) {
      pen.fillStyle = colours.quiet;
      pen.fillText(fitText(oneLine(note), view.gutter - 20), 12, y + NAME * 1.5);
    }
  });
  pen.fillStyle = colours.line;
  pen.fillRect(view.gutter - 1, 0, 1, view.height);
}

function drawAxis(marks, step) {
  pen.fillStyle = colours.raised;
  pen.fillRect(0, 0, view.width, AXIS);
  pen.fillStyle = colours.line;
  pen.fillRect(0, AXIS - 1, view.width, 1);
  pen.fillRect(view.gutter - 1, 0, 1, AXIS);
  pen.textBaseline = "middle";
  pen.font = `11.5px ${colours.font}`;
  pen.fillStyle = colours.quiet;
  const date = dayWords(dateOf(Math.max(view.from, 0)));
  const withZone = `${date} ${zoneWords(view.from)}`;
  pen.fillText(textWidth(withZone) < view.gutter - 16 ? withZone : date, 12, AXIS / 2);
  const room = view.width - 4;
  const now = hasRunning ? xOf(asOf) : Infinity;
  const nowWidth = textWidth("now") + 10;
  for (const tick of marks) {
    const x = Math.round(xOf(tick));
    if (x < view.gutter) continue;
    const text = clockWords(tick, step);
    const width = textWidth(text);
    pen.fillStyle = colours.line;
    pen.fillRect(x, AXIS - 7, 1, 6);
    if (x + 4 + width > room || (x + 4 + width > now - nowWidth && x < now + 4)) continue;
    pen.fillStyle = colours.text;
    pen.fillText(text, x + 4, AXIS / 2);
  }
  if (now >= view.gutter && now <= view.width) {
    pen.fillStyle = colours.quiet;
    pen.fillRect(Math.round(now), 0, 1, AXIS);
    pen.fillText("now", now - nowWidth + 6, AXIS / 2);
  }
}
