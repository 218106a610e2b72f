// Which lane an action is in, and which row of that: below the one that it is part of, and beside none
// that was open at the same time.

// So that no log makes it take long: beyond so many rows the first ones are not looked at again, and what is
// in more actions than so many is beside them.
const ROWS_LOOKED_AT = 400;
const MAX_DEPTH = 100;

const laneNames = {
  sample: (i) => `${log[i]} ${taskText[i]} ${sampleText[i]} ${epochText[i]}`,
  process: (i) => `${log[i]} ${pid[i]}`,
};

const hasSamples = sampleText.some((text) => text > 0) || taskText.some((text) => text > 0);
document.querySelector("#lanes-by option[value=sample]").disabled = !hasSamples;
const isMixed = (list) => list.length > 0 && list.some((value) => value !== list[0]);
const hasTasks = isMixed(taskText.filter((_, i) => sampleText[i] > 0));
const hasEpochs = isMixed(epochText.filter((_, i) => sampleText[i] > 0));
const hasLogs = facts.logs.length > 1;
const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);

/** What a lane is called: a line, and a quieter one. */
function laneLabel(by, i) {
  const of = hasLogs ? [fileName(facts.logs[log[i]].path)] : [];
  if (by === "process") return [pid[i] > 0 ? `Process ${pid[i]}` : "Process", of.join(" · ")];
  const task = texts[taskText[i]];
  if (sampleText[i] === 0) return [task === "" ? "No sample" : task, of.join(" · ")];
  const epoch = hasEpochs && epochText[i] > 0 ? ` · epoch ${texts[epochText[i]]}` : "";
  const more = hasTasks && task !== "" ? [task, ...of] : of;
  const sample = texts[sampleText[i]];
  return [`${/^\d+$/.test(sample) ? "Sample " : ""}${sample}${epoch}`, more.join(" · ")];
}

/** Puts children, or outermost actions, into rows; gives how many rows they need. */
function pack(first, next, height, until, offset) {
  const free = []; // by row, from when on
  for (let i = first; i >= 0; i = next[i]) {
    let row = Math.max(0, free.length - ROWS_LOOKED_AT);
    for (let look = row; look < Math.min(row + height[i], free.length); ) {
      if (free[look] > start[i]) row = ++look;
      else look++;
    }
    offset[i] = row;
    for (let below = row; below < row + height[i]; below++) free[below] = until[i];
  }
  return free.length;
}

/** All lanes, in the order in which they begin, and of each row its actions in the order of time. */
function layOut(by) {
  const laneOf = new Int32Array(count);
  const byName = new Map();
  const lanes = [];
  for (let i = 0; i < count; i++) {
    const name = laneNames[by](i);
    let lane = byName.get(name);
    if (lane === undefined) {
      lane = lanes.length;
      byName.set(name, lane);
      const [title, note] = laneLabel(by, i);
      lanes.push({ title, note, first: -1, rows: 0, row: 0, count: 0, from: start[i], to: end[i], chosen: true });
    }
    laneOf[i] = lane;
    lanes[lane].count++;
    lanes[lane].to = Math.max(lanes[lane].to, end[i]);
  }
  const around = new Int32Array(count).fill(-1);
  const depth = new Uint8Array(count);
  for (let i = 0; i < count; i++) {
    const outer = parent[i];
    if (outer < 0 || laneOf[outer] !== laneOf[i] || depth[outer] >= MAX_DEPTH) continue;
    around[i] = outer;
    depth[i] = depth[outer] + 1;
  }
  const first = new Int32Array(count).fill(-1);
  const next = new Int32Array(count).fill(-1);
  const height = new Int32Array(count);
  const until = Float64Array.from(end);
  const offset = new Int32Array(count);
  // What an action is in comes before it: backwards, all that is in it has its rows already.
  for (let i = count - 1; i >= 0; i--) {
    height[i] = 1 + pack(first[i], next, height, until, offset);
    const outer = around[i];
    if (outer >= 0) {
      next[i] = first[outer];
      first[outer] = i;
      until[outer] = Math.max(until[outer], until[i]);
    } else {
      next[i] = lanes[laneOf[i]].first;
      lanes[laneOf[i]].first = i;
    }
  }
  let rows = 0;
  for (const lane of lanes) {
    lane.row = rows;
    lane.rows = pack(lane.first, next, height, until, offset);
    rows += lane.rows;
  }
  const row = new Int32Array(count);
  const rowFrom = new Int32Array(rows + 1);
  for (let i = 0; i < count; i++) {
    const outer = around[i];
    row[i] = offset[i] + (outer >= 0 ? row[outer] + 1 : lanes[laneOf[i]].row);
    rowFrom[row[i] + 1]++;
  }
  for (let at = 0; at < rows; at++) rowFrom[at + 1] += rowFrom[at];
  const filled = rowFrom.slice();
  const inRow = new Int32Array(count);
  for (let i = 0; i < count; i++) inRow[filled[row[i]]++] = i;
  return { by, lanes, laneOf, row, rowFrom, inRow, rows };
}

/** Of a row, where in `inRow` those begin that have not ended before a moment. */
function firstFrom(layout, row, time) {
  let low = layout.rowFrom[row], high = layout.rowFrom[row + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (end[layout.inRow[middle]] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
