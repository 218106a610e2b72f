// Mouse, touch and keys.

const help = document.getElementById("help");
const KEYS = [
  ["← → ↑ ↓", "move; also drag, and the wheel"],
  ["+ −", "zoom; also Ctrl and the wheel, the wheel over the axis, or a range dragged on the strip at the top"],
  ["0", "all of the time"],
  ["j k", "next, previous action in the row"],
  ["u d", "what the action is in, and what is in it"],
  ["e Shift+e", "next, previous action that did not end well"],
  ["o Shift+o", "next, previous action that is open"],
  ["f", "zoom to the action; also a double click"],
  ["/", "search; Enter and Shift+Enter go from hit to hit"],
  ["n Shift+n", "next, previous hit"],
  ["l", "lanes by sample, or by process"],
  ["r", "rows low, or high enough for names"],
  ["Esc", "close what is told of an action"],
];
for (const [keys, words] of KEYS) {
  document.getElementById("help-keys").append(element("dt", "", keys), element("dd", "", words));
}

// Dragging: from where, and whether it has moved. Two fingers zoom.
const fingers = new Map();
let drag = null;
let pinch = 0;
const spread = () => {
  const [a, b] = [...fingers.values()];
  return { distance: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2 };
};
chart.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  chart.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  drag = { x: event.offsetX, y: event.offsetY, moved: false };
  if (fingers.size === 2) pinch = spread().distance;
});
chart.addEventListener("pointermove", (event) => {
  pointer = { x: event.offsetX, y: event.offsetY };
  if (fingers.has(event.pointerId)) fingers.set(event.pointerId, { ...pointer });
  if (fingers.size === 2) {
    const { distance, x } = spread();
    zoom(pinch / Math.max(distance, 1), x);
    pinch = distance;
    drag.moved = true;
    return;
  }
  if (drag !== null) {
    const [dx, dy] = [pointer.x - drag.x, pointer.y - drag.y];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    Object.assign(drag, { x: pointer.x, y: pointer.y, moved: true });
    chart.classList.add("moving");
    showTooltip(null);
    stage.scrollTop -= dy;
    pan(-dx);
    return;
  }
  const found = actionAt(pointer.x, pointer.y);
  chart.classList.toggle("over", found !== null);
  showTooltip(found, event.clientX, event.clientY);
  redraw();
});
const letGo = (event) => {
  fingers.delete(event.pointerId);
  if (drag !== null && !drag.moved && event.type === "pointerup") {
    const found = actionAt(event.offsetX, event.offsetY);
    showTooltip(null);
    select(found === null ? -1 : found.action, { moves: false });
  }
  drag = null;
  chart.classList.remove("moving");
};
chart.addEventListener("pointerup", letGo);
chart.addEventListener("pointercancel", letGo);
chart.addEventListener("pointerleave", () => {
  pointer = null;
  showTooltip(null);
  redraw();
});
chart.addEventListener("dblclick", (event) => {
  const found = actionAt(event.offsetX, event.offsetY);
  if (found !== null) zoomTo(found.action);
});
const wheelZoom = (event, x) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 16 : 1;
  zoom(Math.exp(Math.max(-240, Math.min(240, event.deltaY * lines)) * 0.0025), x);
};
stage.addEventListener("wheel", (event) => {
  const x = event.clientX - stage.getBoundingClientRect().left;
  const isOverAxis = event.clientY - stage.getBoundingClientRect().top < AXIS;
  const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
  showTooltip(null);
  if (event.ctrlKey || event.metaKey || event.altKey || isOverAxis || (!canScroll() && !isSideways)) {
    wheelZoom(event, x);
  } else if (isSideways) {
    event.preventDefault();
    pan(event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX);
  }
}, { passive: false });
overview.addEventListener("wheel", (event) => wheelZoom(event), { passive: false });
stage.addEventListener("scroll", redraw);

/** The next action in time for which something holds. */
function step(by, holds) {
  const from = selected >= 0 ? selected : by > 0 ? -1 : count;
  for (let i = from + by; i >= 0 && i < count; i += by) {
    if (emphasis[i] !== HIDDEN && holds(i)) return select(i);
  }
}
function stepInRow(by) {
  if (selected < 0) {
    // The first one in view.
    const first = start.findIndex((time, i) => time >= view.from && emphasis[i] === SHOWN);
    if (first >= 0) select(first);
    return;
  }
  const row = layout.row[selected];
  let at = firstFrom(layout, row, start[selected]);
  while (layout.inRow[at] !== selected) at++;
  const next = at + by;
  if (next >= layout.rowFrom[row] && next < layout.rowFrom[row + 1]) select(layout.inRow[next]);
}
function switchLanes(by) {
  if (by === "sample" && !hasSamples) return;
  const old = selected;
  document.getElementById("lanes-by").value = by;
  useLanes(by);
  stage.scrollTop = 0;
  if (old >= 0) reveal(old);
}

const isBad = (i) => outcome[i] > INTERRUPTED;
const ON_KEY = {
  ArrowLeft: () => pan(-plotWidth() / 8), ArrowRight: () => pan(plotWidth() / 8),
  ArrowUp: () => { stage.scrollTop -= 3 * HIGH; }, ArrowDown: () => { stage.scrollTop += 3 * HIGH; },
  PageUp: () => { stage.scrollTop -= view.height - AXIS - HIGH; },
  PageDown: () => { stage.scrollTop += view.height - AXIS - HIGH; },
  Home: () => show(paddedRange()[0], paddedRange()[0] + view.to - view.from),
  End: () => show(paddedRange()[1] - (view.to - view.from), paddedRange()[1]),
  "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: showAll,
  j: () => stepInRow(1), k: () => stepInRow(-1),
  u: () => selected >= 0 && parent[selected] >= 0 && select(parent[selected]),
  d: () => selected >= 0 && childrenOf(selected).length > 0 && select(childrenOf(selected)[0]),
  e: () => step(1, isBad), E: () => step(-1, isBad), o: () => step(1, isOpen), O: () => step(-1, isOpen),
  f: () => selected >= 0 && zoomTo(selected),
  "/": () => { query.focus(); query.select(); },
  n: () => goToHit(1), N: () => goToHit(-1),
  l: () => switchLanes(layout.by === "sample" ? "process" : "sample"),
  r: () => {
    rowHeight.value = view.row === LOW ? "high" : "low";
    arrange();
  },
  "?": () => help.showModal(),
  Escape: () => select(-1),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (event.target.matches("input, select")) return;
  const act = ON_KEY[event.key];
  if (act === undefined) return;
  // Keys that scroll stay with what can be scrolled, if that has the focus.
  if (event.target.closest("#details") !== null && /^(Arrow|Page|Home|End)/.test(event.key)) return;
  event.preventDefault();
  act();
});

document.getElementById("lanes-by").addEventListener("change", (event) => {
  switchLanes(event.target.value);
  chart.focus(); // so that keys mean what they mean there
});
rowHeight.addEventListener("change", () => {
  arrange();
  chart.focus();
});
document.getElementById("zoom-in").addEventListener("click", () => zoom(0.5));
document.getElementById("zoom-out").addEventListener("click", () => zoom(2));
document.getElementById("zoom-all").addEventListener("click", showAll);
document.getElementById("help-button").addEventListener("click", () => help.showModal());
