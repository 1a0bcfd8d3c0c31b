// Numbers in words. What is not known is a dash.
const whole = new Intl.NumberFormat("en");
const DASH = "–";

export const known = value => value !== undefined && value !== null;
export const count = value => known(value) ? whole.format(value) : DASH;

/** Three figures that count. */
export function short(value) {
  if (!known(value)) return DASH;
  for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= unit * 10 || (value >= unit && unit > 1e3)) return `${Number((value / unit).toPrecision(3))} ${name}`;
  }
  return value >= 100 ? whole.format(Math.round(value)) : String(Number(value.toPrecision(3)));
}

export const rate = value => known(value) ? `${short(value)}/s` : DASH;

export function bytes(value) {
  if (!known(value)) return DASH;
  for (const [unit, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (value >= unit) return `${Number((value / unit).toPrecision(3))} ${name}`;
  }
  return `${value} B`;
}

/** A time, in the unit that suits it. */
export function seconds(value) {
  if (!known(value)) return DASH;
  if (value >= 3600) return `${Math.floor(value / 3600)} h ${Math.floor(value % 3600 / 60)} min`;
  if (value >= 120) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  if (value === 0) return "0 s";
  for (const [unit, name] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]]) {
    if (value >= unit) return `${Number((value / unit).toPrecision(3))} ${name}`;
  }
  return `${Math.round(value * 1e9)} ns`;
}

/** An age that is read again and again: whole seconds. */
export const age = value => value < 1 ? "< 1 s" : value < 120 ? `${Math.floor(value)} s` : seconds(value);

const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "short", timeStyle: "medium" });
export const clock = value => known(value) ? date.format(value * 1000) : DASH;

export const share = value => known(value) ? `${Math.round(value * 100)} %` : DASH;
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
