// What the page shows, as it stands in it: columns, unpacked into typed arrays. Times are microseconds
// since `origin` (microseconds since 1970).
"use strict";

const facts = JSON.parse(document.getElementById("data").textContent);
document.getElementById("data").remove();

const OUTCOMES = [
  { name: "ended", words: "Ended well", mark: "" },
  { name: "running", words: "Running", mark: "▸" },
  { name: "interrupted", words: "Interrupted", mark: "▪" },
  { name: "failed", words: "Failed", mark: "×" },
  { name: "timed-out", words: "Timed out", mark: "!" },
  { name: "cancelled", words: "Cancelled", mark: "–" },
];
// Of several in one pixel, the one with the highest is shown.
const SEVERITY = [0, 2, 3, 5, 4, 1];
const RUNNING = 1, INTERRUPTED = 2;

const count = facts.outcome.length;
const origin = facts.start[0] ?? 0;
const asOf = facts.as_of_us - origin;

const start = new Float64Array(count);
const end = new Float64Array(count);
const outcome = new Uint8Array(count);
const parent = new Int32Array(count);
for (let i = 0, at = 0; i < count; i++) {
  at += facts.start[i + 1];
  start[i] = at;
  end[i] = at + facts.duration[i];
  outcome[i] = facts.outcome.charCodeAt(i) - 48;
  parent[i] = facts.parent[i] > 0 ? i - facts.parent[i] : -1;
}

const texts = facts.texts;
const actionText = Int32Array.from(facts.action);
const detailText = Int32Array.from(facts.detail);
const taskText = Int32Array.from(facts.task);
const sampleText = Int32Array.from(facts.sample);
const epochText = Int32Array.from(facts.epoch);
const pid = Float64Array.from(facts.pid);
const log = facts.log.length > 0 ? Int32Array.from(facts.log) : new Int32Array(count);

/** The texts that only few actions have, by action. */
const pairs = (list) => {
  const found = new Map();
  for (let at = 0; at < list.length; at += 2) found.set(list[at], list[at + 1]);
  return found;
};
const errorText = pairs(facts.error);
const errorTypeText = pairs(facts.error_type);
const stackText = pairs(facts.stack);
const waitsText = pairs(facts.waits);
const nestedByTime = new Set(facts.by_time);
const onlyAround = new Set(facts.around);

const isOpen = (i) => outcome[i] === RUNNING || outcome[i] === INTERRUPTED;
const labelOf = (i) => {
  const detail = texts[detailText[i]];
  const text = detail === "" ? texts[actionText[i]] : `${texts[actionText[i]]}: ${detail}`;
  return text.length > 400 ? text.slice(0, 400) : text;
};
const oneLine = (text) => text.replace(/\s*\n\s*/g, " ↵ ");

/**
 * The moments between which everything is. Where it is not known whether a process lives (of a log that
 * was copied, say), its open actions last until now, which may be months after all that is recorded:
 * no room is lost for these, and the actions go on beyond the edge.
 */
const firstTime = 0;
let lastRecorded = 1;
let lastTime = 1;
for (let i = 0; i < count; i++) {
  lastRecorded = Math.max(lastRecorded, outcome[i] === RUNNING ? start[i] : end[i]);
  lastTime = Math.max(lastTime, end[i]);
}
const hasRunning = outcome.includes(RUNNING);
const isLive = facts.logs.some((each) => each.alive === true);
const goesOn = hasRunning && !isLive && lastTime > 2 * lastRecorded;
if (goesOn) lastTime = 1.1 * lastRecorded;
