// What is in view: a range of time, lanes from a height on; and where things are on the screen.

const stage = document.getElementById("stage");
const chart = document.getElementById("chart");
const spacer = document.getElementById("spacer");

const AXIS = 28, ROW = 18, BAR = 16, LANE_GAP = 8;
const LEAST_SPAN = 20; // microseconds

const view = { from: 0, to: 1, width: 0, height: 0, gutter: 200 };
let layout;
let laneTop = []; // of each lane, below the axis
let contentHeight = 0;

const paddedRange = () => {
  const padding = Math.max((lastTime - firstTime) * 0.01, 10);
  return [firstTime - padding, lastTime + padding];
};

const plotWidth = () => Math.max(1, view.width - view.gutter - 12);
const xOf = (time) => view.gutter + ((time - view.from) / (view.to - view.from)) * plotWidth();
const timeAt = (x) => view.from + ((x - view.gutter) / plotWidth()) * (view.to - view.from);

/** Shows a range of time, or what of it makes sense. */
function show(from, to) {
  const [first, last] = paddedRange();
  const span = Math.min(Math.max(to - from, LEAST_SPAN), last - first);
  const middle = (from + to) / 2;
  const begin = Math.min(Math.max(middle - span / 2, first), last - span);
  view.from = begin;
  view.to = begin + span;
  redraw();
}
const showAll = () => show(...paddedRange());
const isAllShown = () => view.to - view.from >= (paddedRange()[1] - paddedRange()[0]) * 0.999;

function zoom(factor, x = view.gutter + plotWidth() / 2) {
  const at = timeAt(x);
  show(at - (at - view.from) * factor, at + (view.to - at) * factor);
}
function pan(pixels) {
  const by = (pixels / plotWidth()) * (view.to - view.from);
  const span = view.to - view.from;
  const [first, last] = paddedRange();
  const from = Math.min(Math.max(view.from + by, first), last - span);
  show(from, from + span);
}

/** Gives the actions their places, anew. */
function useLanes(by) {
  layout = layOut(by);
  laneTop = [];
  contentHeight = LANE_GAP / 2;
  for (const lane of layout.lanes) {
    laneTop.push(contentHeight);
    contentHeight += lane.rows * ROW + LANE_GAP;
  }
  fit();
}

/** Takes the size of the window over. */
function fit() {
  view.width = stage.clientWidth;
  view.height = stage.clientHeight;
  view.gutter = view.width < 640 ? 96 : 190;
  spacer.style.height = `${Math.max(0, contentHeight + AXIS - view.height)}px`;
  // The bar for scrolling may have come or gone.
  view.width = stage.clientWidth;
  const scale = window.devicePixelRatio || 1;
  chart.width = Math.round(view.width * scale);
  chart.height = Math.round(view.height * scale);
  chart.style.width = `${view.width}px`;
  chart.style.height = `${view.height}px`;
  redraw();
}

const canScroll = () => contentHeight + AXIS > view.height;
const rowTop = (row, lane) => laneTop[lane] + (row - layout.lanes[lane].row) * ROW;

/** The lane at a height below the axis, scrolling included: the last that begins above it. */
function laneAt(y) {
  let low = 0, high = laneTop.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (laneTop[middle] <= y) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Where an action is drawn, in pixels of the chart. */
function rectangleOf(i) {
  const x = xOf(start[i]);
  const top = AXIS - stage.scrollTop + rowTop(layout.row[i], layout.laneOf[i]) + 1;
  return { x, y: top, width: Math.max(xOf(end[i]) - x, 1), height: BAR };
}

/** The worst action at a place of the chart, and how many others share it. */
function actionAt(x, y) {
  if (y < AXIS || x < view.gutter) return null;
  const height = y - AXIS + stage.scrollTop;
  const lane = laneAt(height);
  if (lane < 0) return null;
  const row = Math.floor((height - laneTop[lane]) / ROW);
  if (row >= layout.lanes[lane].rows) return null;
  const [from, to] = [timeAt(x - 1.5), timeAt(x + 1.5)];
  const here = layout.lanes[lane].row + row;
  let found = -1, others = -1;
  for (let at = firstFrom(layout, here, from); at < layout.rowFrom[here + 1]; at++) {
    const i = layout.inRow[at];
    if (start[i] > to) break;
    if (emphasis[i] === HIDDEN) continue;
    others++;
    const rank = (j) => emphasis[j] * 8 + SEVERITY[outcome[j]];
    if (found < 0 || rank(i) > rank(found)) found = i;
  }
  return found < 0 ? null : { action: found, others };
}

/** Scrolls and moves until an action is in view, and zooms in if it is too small to see. */
function reveal(i) {
  const top = rowTop(layout.row[i], layout.laneOf[i]);
  const visible = view.height - AXIS;
  if (top < stage.scrollTop || top + ROW > stage.scrollTop + visible) {
    stage.scrollTop = Math.max(0, top - visible / 3);
  }
  const duration = end[i] - start[i];
  const span = view.to - view.from;
  const pixels = (duration / span) * plotWidth();
  if (pixels < 8 && duration > 0) {
    const wanted = Math.max((duration * plotWidth()) / 80, LEAST_SPAN);
    show(start[i] + duration / 2 - wanted / 2, start[i] + duration / 2 + wanted / 2);
  } else if (start[i] > view.to - span * 0.05 || end[i] < view.from + span * 0.05 || (start[i] < view.from && duration < span)) {
    show(start[i] - span * 0.3, start[i] + span * 0.7);
  } else {
    redraw();
  }
}
