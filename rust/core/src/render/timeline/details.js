// What is told of one action: in short below the pointer, in full beside the chart. Texts of a log become
// text of the page and never anything else.

const details = document.getElementById("details");
const tooltip = document.getElementById("tooltip");
const announcement = document.getElementById("announcement");

/** An element with a class and a text, or with what is to be in it. */
function element(name, className, ...inside) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...inside);
  return made;
}
function button(words, className, act) {
  const made = element("button", className, words);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

const durationTold = (i) => `${durationWords(end[i] - start[i])}${outcome[i] === RUNNING ? " so far" : outcome[i] === INTERRUPTED ? ", then its process ended" : ""}`;
const errorTold = (i) => {
  const parts = [texts[errorTypeText.get(i) ?? 0], texts[errorText.get(i) ?? 0]];
  return parts.filter((part) => part !== "").join(": ");
};
const placeTold = (i) => {
  const parts = [];
  if (taskText[i] > 0) parts.push(texts[taskText[i]]);
  if (sampleText[i] > 0) parts.push(`sample ${texts[sampleText[i]]}`);
  if (epochText[i] > 0) parts.push(`epoch ${texts[epochText[i]]}`);
  return parts.join(" · ");
};

function showTooltip(found, x, y) {
  if (found === null) {
    tooltip.hidden = true;
    return;
  }
  const i = found.action;
  const outcomeWords = OUTCOMES[outcome[i]].words.toLowerCase();
  const lines = [
    element("div", "", element("b", "", texts[actionText[i]])),
    element("div", "text", texts[detailText[i]]),
    element("div", "quiet", `${outcomeWords} · ${durationTold(i)} · from ${clockWords(start[i], MS)}`),
  ];
  const error = errorTold(i);
  if (error !== "") lines.push(element("div", "text", error));
  if (placeTold(i) !== "") lines.push(element("div", "quiet", placeTold(i)));
  if (found.others > 0) {
    lines.push(element("div", "quiet", `and ${whole(found.others)} more here: zoom in to see them`));
  }
  tooltip.replaceChildren(...lines);
  tooltip.hidden = false;
  const { width, height } = tooltip.getBoundingClientRect();
  const left = Math.min(x + 14, window.innerWidth - width - 6);
  const below = y + 18 + height < window.innerHeight ? y + 18 : y - height - 10;
  tooltip.style.left = `${Math.max(6, left)}px`;
  tooltip.style.top = `${Math.max(6, below)}px`;
}

function select(i, { moves = true } = {}) {
  selected = i;
  const was = details.hidden;
  details.hidden = i < 0;
  if (i >= 0) {
    fillDetails(i);
    details.scrollTop = 0;
    const error = errorTold(i);
    announcement.textContent = `${oneLine(labelOf(i))}, ${OUTCOMES[outcome[i]].words}, ${durationTold(i)}${error === "" ? "" : `, ${error}`}`;
  }
  if (was !== details.hidden) fit();
  if (i >= 0 && moves) reveal(i);
  redraw();
}

function fillDetails(i) {
  const badge = element("span", `badge ${OUTCOMES[outcome[i]].name}`, OUTCOMES[outcome[i]].words);
  const close = button("×", "", () => {
    select(-1);
    chart.focus();
  });
  close.setAttribute("aria-label", "Close");
  const title = element("h2", "", texts[actionText[i]]);
  const parts = [element("div", "head", title, close), badge];
  if (detailText[i] > 0) parts.push(element("div", "text", texts[detailText[i]]));
  const list = element("dl", "");
  const tell = (name, value) => {
    if (value !== "") list.append(element("dt", "", name), element("dd", "", value));
  };
  tell("Duration", durationTold(i));
  tell("Start", `${momentWords(start[i])} (+${durationWords(start[i])})`);
  tell(outcome[i] === RUNNING ? "Seen running" : outcome[i] === INTERRUPTED ? "Last record" : "End", momentWords(end[i]));
  tell("Task", texts[taskText[i]]);
  tell("Sample", texts[sampleText[i]]);
  tell("Epoch", texts[epochText[i]]);
  tell("Process", pid[i] > 0 ? String(pid[i]) : "");
  tell("Trace id", facts.trace_id[i]);
  if (hasLogs) tell("Log", facts.logs[log[i]].path);
  parts.push(list, detailTools(i));
  const section = (name, ...inside) => parts.push(element("h3", "", name), ...inside);
  if (errorTold(i) !== "") section("Error", element("pre", "error", errorTold(i)));
  if (waitsText.has(i)) {
    const words = outcome[i] === RUNNING ? "Where it waits" : "Where it was last seen to wait";
    section(words, element("pre", "waits", texts[waitsText.get(i)]));
  }
  if (stackText.has(i)) section("Stack trace", element("pre", "stack", texts[stackText.get(i)]));
  const around = [];
  for (let outer = parent[i]; outer >= 0 && around.length < 16; outer = parent[outer]) around.push(outer);
  if (around.length > 0) section("Part of", ...around.map(linkTo));
  if (nestedByTime.has(i)) parts.push(element("p", "", "The log does not say what it is part of: that is told by sample and time."));
  const inside = childrenOf(i);
  if (inside.length > 0) {
    section(`In it (${whole(inside.length)})`, ...inside.slice(0, 20).map(linkTo));
  }
  if (onlyAround.has(i)) parts.push(element("p", "", "The filters did not choose it: it is here for what is in it."));
  details.replaceChildren(...parts);
}

const linkTo = (i) =>
  button(`${OUTCOMES[outcome[i]].mark} ${oneLine(labelOf(i)).slice(0, 80)} (${durationWords(end[i] - start[i])})`.trim(), "link", () => select(i));

function detailTools(i) {
  const tools = element("div", "tools");
  tools.append(button("Zoom to it (f)", "", () => zoomTo(i)));
  if (parent[i] >= 0) tools.append(button("What it is in (u)", "", () => select(parent[i])));
  return tools;
}

function zoomTo(i) {
  const padding = Math.max((end[i] - start[i]) * 0.1, LEAST_SPAN / 2);
  show(start[i] - padding, end[i] + padding);
  scrollTo(i);
}

/** What is in an action, the worst first. */
function childrenOf(i) {
  const found = [];
  // It begins after the one that it is in, and hardly ever after that has ended.
  for (let j = i + 1; j < count && start[j] <= end[i]; j++) if (parent[j] === i) found.push(j);
  return found.sort((a, b) => SEVERITY[outcome[b]] - SEVERITY[outcome[a]] || a - b);
}
