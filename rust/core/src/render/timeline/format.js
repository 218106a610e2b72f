// Times and numbers as people read them.

const MS = 1e3, SECOND = 1e6, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const two = (number) => String(number).padStart(2, "0");
const whole = (number) => number.toLocaleString("en-US");

function durationWords(us) {
  if (us < 1) return "0 s";
  if (us < MS) return `${Math.round(us)} µs`;
  if (us < 10 * MS) return `${(us / MS).toFixed(1)} ms`;
  if (us < 999.5 * MS) return `${Math.round(us / MS)} ms`;
  if (us < 59.95 * SECOND) return `${(us / SECOND).toFixed(us < 10 * SECOND ? 2 : 1)} s`;
  const seconds = Math.round(us / SECOND);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}h ${two(minutes % 60)}m`;
  return `${Math.floor(minutes / 1440)}d ${two(Math.floor((minutes % 1440) / 60))}h`;
}

/** A moment as a date of the reader's time zone. */
const dateOf = (time) => new Date((origin + time) / 1000);
const dayWords = (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** The time of day, to the digit that `step` needs. */
function clockWords(time, step) {
  const date = dateOf(time);
  if (step >= DAY) return dayWords(date).slice(5);
  const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (step >= MINUTE) return minutes;
  const seconds = `${minutes}:${two(date.getSeconds())}`;
  if (step >= SECOND) return seconds;
  const digits = step >= MS ? 3 : 6;
  const micros = (((origin + time) % SECOND) + SECOND) % SECOND;
  return `${seconds}.${String(Math.floor(micros + 1e-3)).padStart(6, "0").slice(0, digits)}`;
}

const momentWords = (time) => `${dayWords(dateOf(time))} ${clockWords(time, MS)}`;

function zoneWords(time) {
  const minutes = -dateOf(time).getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const rest = Math.abs(minutes) % 60;
  const hours = Math.floor(Math.abs(minutes) / 60);
  return `UTC${minutes < 0 ? "−" : "+"}${hours}${rest > 0 ? `:${two(rest)}` : ""}`;
}

const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((step) => step),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((step) => step * MS),
  ...[1, 2, 5, 10, 15, 30].map((step) => step * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((step) => step * MINUTE),
  ...[1, 2, 3, 6, 12].map((step) => step * HOUR),
  ...[1, 2, 7, 14, 30, 90, 365, 3650].map((step) => step * DAY),
];
const stepFor = (least) => STEPS.find((step) => step >= least) ?? STEPS[STEPS.length - 1];

/** The moments in a range that are whole multiples of a step, by the reader's clock. */
function ticks(from, to, step) {
  const zone = -dateOf(from).getTimezoneOffset() * MINUTE;
  const found = [];
  // From the origin's day on: whole numbers of microseconds since 1970 fit, their fractions do not.
  let tick = Math.ceil((from + origin + zone) / step) * step - origin - zone;
  for (; tick <= to && found.length < 400; tick += step) found.push(tick);
  return found;
}
