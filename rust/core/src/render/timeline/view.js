// What is in view: a range of time, lanes from a height on; and where things are on the screen.

const stage = document.getElementById("stage");
const chart = document.getElementById("chart");
const spacer = document.getElementById("spacer");

const AXIS = 28, LANE_GAP = 8, NAME = 18;
const HIGH = 18, LOW = 6; // of rows; names of actions are on high ones only
const MANY_ROWS = 600;
const LEAST_SPAN = 20; // microseconds

const view = { from: 0, to: 1, width: 0, height: 0, gutter: 200, row: HIGH };
const rowHeight = document.getElementById("row-height");
let layout;
// The lanes that have something in view, and of each lane where it begins below the axis; -1 if it has not.
let shownLanes = [];
let laneTop = new Float64Array(0);
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
  arrange();
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
  laneTop = new Float64Array(layout.lanes.length).fill(-1);
  shownLanes = [];
  chooseLanes();
  fit();
}

/** Leaves out lanes in which nothing is to be seen, as it is hidden or not what is sought. */
function chooseLanes() {
  const isChosen = hits !== null || shownOutcomes.includes(false);
  for (const lane of layout.lanes) lane.chosen = !isChosen;
  if (isChosen) for (let i = 0; i < count; i++) if (emphasis[i] === SHOWN) layout.lanes[layout.laneOf[i]].chosen = true;
}

const laneHeight = (lane) => Math.max(layout.lanes[lane].rows * view.row, NAME);

/** The lane that is to stay where it is: that below the pointer, or of the selected action, or the first. */
function anchorLane(kept) {
  const isInView = (lane) => laneTop[lane] >= stage.scrollTop && laneTop[lane] < stage.scrollTop + view.height - AXIS;
  if (pointer === null && kept >= 0 && laneTop[kept] >= 0 && isInView(kept)) return kept;
  return shownLanes[laneAt(stage.scrollTop + Math.max(0, (pointer?.y ?? AXIS) - AXIS))] ?? -1;
}

/**
 * Puts lanes below each other that have something at the time in view: what is beside each other in time is
 * beside each other on the screen.
 */
function arrange() {
  const kept = selected >= 0 ? layout.laneOf[selected] : -1;
  const anchor = anchorLane(kept);
  const anchorTop = anchor >= 0 ? laneTop[anchor] : 0;
  shownLanes = [];
  let rows = 0;
  layout.lanes.forEach((lane, index) => {
    const isShown = lane.chosen && lane.from <= view.to && lane.to >= view.from;
    if (!isShown && index !== kept) return;
    shownLanes.push(index);
    rows += lane.rows;
  });
  const isLow = rowHeight.value === "low" || (rowHeight.value === "auto" && rows > MANY_ROWS);
  view.row = isLow ? LOW : HIGH;
  laneTop.fill(-1);
  contentHeight = LANE_GAP / 2;
  let moved = null;
  for (const lane of shownLanes) {
    if (moved === null && lane >= anchor && anchor >= 0) moved = contentHeight - anchorTop;
    laneTop[lane] = contentHeight;
    contentHeight += laneHeight(lane) + LANE_GAP;
  }
  const scrolled = stage.scrollTop;
  spacer.style.height = `${Math.max(0, contentHeight + AXIS - view.height)}px`;
  if (moved !== null && moved !== 0) stage.scrollTop = scrolled + moved;
  redraw();
}

/** Takes the size of the window over. */
function fit() {
  view.width = stage.clientWidth;
  view.height = stage.clientHeight;
  view.gutter = view.width < 640 ? 96 : 190;
  const scale = window.devicePixelRatio || 1;
  chart.width = Math.round(view.width * scale);
  chart.height = Math.round(view.height * scale);
  chart.style.width = `${view.width}px`;
  chart.style.height = `${view.height}px`;
  arrange();
}

const canScroll = () => contentHeight + AXIS > view.height;
const rowTop = (row, lane) => laneTop[lane] + (row - layout.lanes[lane].row) * view.row;

/** Where in `shownLanes` that is which is at a height below the axis, scrolling included. */
function laneAt(y) {
  let low = 0, high = shownLanes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (laneTop[shownLanes[middle]] <= y) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Where an action is drawn, in pixels of the chart. */
function rectangleOf(i) {
  const x = xOf(start[i]);
  const top = AXIS - stage.scrollTop + rowTop(layout.row[i], layout.laneOf[i]) + 1;
  return { x, y: top, width: Math.max(xOf(end[i]) - x, 1), height: view.row - 2 };
}

/** The worst action at a place of the chart, and how many others share it. */
function actionAt(x, y) {
  if (y < AXIS || x < view.gutter) return null;
  const height = y - AXIS + stage.scrollTop;
  const lane = shownLanes[laneAt(height)];
  if (lane === undefined) return null;
  const row = Math.floor((height - laneTop[lane]) / view.row);
  if (row < 0 || row >= layout.lanes[lane].rows) return null;
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
  const duration = end[i] - start[i];
  const span = view.to - view.from;
  const pixels = (duration / span) * plotWidth();
  if (pixels < 8 && duration > 0) {
    const wanted = Math.max((duration * plotWidth()) / 80, LEAST_SPAN);
    show(start[i] + duration / 2 - wanted / 2, start[i] + duration / 2 + wanted / 2);
  } else if (start[i] > view.to - span * 0.05 || end[i] < view.from + span * 0.05 || (start[i] < view.from && duration < span)) {
    show(start[i] - span * 0.3, start[i] + span * 0.7);
  } else {
    arrange();
  }
  scrollTo(i);
}

function scrollTo(i) {
  const top = rowTop(layout.row[i], layout.laneOf[i]);
  const visible = view.height - AXIS;
  if (top < stage.scrollTop || top + view.row > stage.scrollTop + visible) {
    stage.scrollTop = Math.max(0, top - visible / 3);
  }
  redraw();
}
