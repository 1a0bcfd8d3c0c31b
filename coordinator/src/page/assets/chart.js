// Pictures. Each says in words what it shows; the tables beside them have the numbers.
import { h, setAttribute, setText } from "/page/dom.js";
import { plural } from "/page/format.js";

const SVG = "http://www.w3.org/2000/svg";

/** A line over the last minutes. Points are [at_s, value, second value]. */
export class Spark {
  constructor(name, format, second) {
    Object.assign(this, { name, format, second });
    this.svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of Object.entries({ class: "spark", viewBox: "0 0 300 70", preserveAspectRatio: "none", role: "img" })) {
      this.svg.setAttribute(key, value);
    }
    this.paths = ["first", "second"].map(kind => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", kind);
      this.svg.append(path);
      return path;
    });
    this.caption = h("figcaption", {}, name);
    this.node = h("figure", {}, this.svg, this.caption);
  }

  set(points) {
    const columns = this.second ? [1, 2] : [1];
    const highest = Math.max(0, ...points.map(point => Math.max(...columns.map(column => point[column]))));
    const end = points.length ? points[points.length - 1][0] : 0;
    const x = point => (300 - (end - point[0])).toFixed(1);
    const y = value => (68 - (highest > 0 ? value / highest * 64 : 0)).toFixed(1);
    columns.forEach((column, index) => {
      const line = points.filter(point => end - point[0] <= 300).map((point, at) => `${at ? "L" : "M"}${x(point)} ${y(point[column])}`);
      setAttribute(this.paths[index], "d", line.join(""));
    });
    const last = points.length ? points[points.length - 1] : null;
    const now = last ? this.format(last[1]) : "not known yet";
    const failing = this.second && last ? `, ${this.second} ${this.format(last[2])}` : "";
    const text = `${this.name}: ${now}${failing}; at most ${this.format(highest)} in the last five minutes`;
    setText(this.caption, text);
    setAttribute(this.svg, "aria-label", text);
  }
}

/** Points of a course that came as an object by number. */
export const points = history => Object.keys(history ?? {}).map(Number).sort((a, b) => a - b).map(key => history[key]);

let colours = null;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { colours = null; });

function palette() {
  if (!colours) {
    const style = getComputedStyle(document.documentElement);
    const names = ["busy", "idle", "draining", "lost", "left", "ok", "soft", "front", "line", "back"];
    colours = Object.fromEntries(names.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return colours;
}

/** A canvas in the pixels of the screen. */
function sized(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== columns || canvas.height !== rows) {
    canvas.width = columns;
    canvas.height = rows;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d", { alpha: true });
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

const legend = keys => h("ul", { class: "legend" }, ...keys.map(([key, name]) => h("li", {}, h("span", { class: `key-${key}` }), name)));

/** Every slot of every worker as a square; squares of a worker stand together. */
export class SlotMap {
  constructor() {
    this.canvas = h("canvas", { role: "img" });
    this.caption = h("figcaption", {}, "Slots");
    const keys = [["busy", "busy"], ["idle", "idle"], ["draining", "draining, idle"], ["lost", "silent for five heartbeats"]];
    this.node = h("figure", {}, this.canvas, this.caption, legend(keys));
    this.places = [];
    this.width = 0;
    new ResizeObserver(entries => { this.width = entries[0].contentRect.width; }).observe(this.node);
    this.canvas.addEventListener("mousemove", event => {
      const at = this.places.findLast(place => place.y <= event.offsetY && (place.y + this.size > event.offsetY ? place.x <= event.offsetX : true));
      this.canvas.title = at ? at.name : "";
    });
  }

  /** Workers are pairs of key and worker; `silent(worker)`: nothing was heard of it for too long. */
  set(workers, silent) {
    const width = this.width || this.node.clientWidth;
    if (!width) return;
    const slots = workers.reduce((sum, [, it]) => sum + it.slots, 0);
    // As large as they fit into a quarter of a million square pixels, and not larger than a fingertip.
    const size = this.size = Math.max(3, Math.min(18, Math.floor(Math.sqrt(width * 240 / Math.max(slots * 1.15, 1)))));
    const gap = size > 5 ? 1 : 0.5, columns = Math.max(1, Math.floor((width - 4) / size));
    const rows = Math.min(Math.ceil(slots / columns) || 1, Math.floor(600 / size));
    const context = sized(this.canvas, width, rows * size + 4);
    const by = palette();
    const colour = { busy: new Path2D(), idle: new Path2D(), draining: new Path2D(), lost: new Path2D() };
    let at = 0, busy = 0, quiet = 0;
    this.places = [];
    for (const [, it] of workers) {
      const gone = silent(it);
      quiet += gone;
      busy += it.busy;
      this.places.push({ x: 2 + at % columns * size, y: 2 + Math.floor(at / columns) * size, name: `${it.name}: ${it.busy} of ${it.slots} busy` });
      for (let slot = 0; slot < it.slots && at < rows * columns; slot++, at++) {
        const key = gone ? "lost" : slot < it.busy ? "busy" : it.state === "draining" ? "draining" : "idle";
        // A gap to the left of each worker's first slot tells workers apart.
        const wider = slot === 0 ? gap : 0;
        colour[key].rect(2 + at % columns * size + wider, 2 + Math.floor(at / columns) * size, size - gap - wider, size - gap);
      }
    }
    for (const [key, path] of Object.entries(colour)) {
      context.fillStyle = by[key];
      context.fill(path);
    }
    const left = slots > at ? `; ${slots - at} more are not drawn` : "";
    const text = `${busy} of ${slots} slots of ${workers.length} workers are busy${quiet ? `; ${quiet} workers are silent` : ""}${left}`;
    setText(this.caption, text);
    setAttribute(this.canvas, "aria-label", text);
  }
}

const LANE = 12, LANES_MAX = 48, NAME = 110, NARROW = 70, THREAD = 34;

/** The executor and its thread that a block ran on, as `3.0`. */
export const thread = block => block.length > 6 ? `${block[6]}.${block[7]}` : "–";

/**
 * The lanes of a worker. Blocks of one thread share a lane; a thread takes one whose threads had ended before it began, so that new
 * executors stand where old ones stood. Blocks whose thread is not known stand where there is room.
 */
function lanesOf(blocks) {
  const tracks = new Map();
  blocks.forEach((block, index) => {
    const key = block.length > 6 ? thread(block) : index;
    const track = tracks.get(key) ?? tracks.set(key, { from: Infinity, slack: 0, to: 0, blocks: [] }).get(key);
    const from = block[1] - block[2];
    if (from < track.from) [track.from, track.slack] = [from, block[2] * 0.01 + 1e-4];
    track.to = Math.max(track.to, block[1]);
    track.blocks.push(block);
  });
  const lanes = [];
  for (const track of [...tracks.values()].sort((a, b) => a.from - b.from)) {
    // When blocks began is known up to a little.
    const free = lanes.find(lane => lane.to <= track.from + track.slack);
    const lane = free ?? (lanes.push({ to: 0, blocks: [] }), lanes[lanes.length - 1]);
    lane.to = track.to;
    lane.blocks.push(...track.blocks);
  }
  return lanes;
}

/** Blocks of results by worker and thread, as long as the thread time they took, up to when they ended. */
export class TaskStream {
  constructor() {
    this.canvas = h("canvas", { role: "img" });
    this.caption = h("figcaption", {}, "Nothing has come yet");
    this.node = h("figure", {}, this.canvas, this.caption, legend([["ok", "results"], ["lost", "failed attempt"]]));
    this.width = 0;
    new ResizeObserver(entries => { this.width = entries[0].contentRect.width; }).observe(this.node);
  }

  /** Blocks are [worker, ended_s, busy_s, first, tasks, failed, executor, thread], oldest first; the last two may be missing. */
  set(blocks, names, ended) {
    const width = this.width || this.node.clientWidth;
    if (!width) return;
    const name = worker => names[worker] ?? `worker ${worker}`;
    const side = width > 500 ? NAME : NARROW;
    const begin = Math.min(...blocks.map(block => block[1] - block[2])), end = Math.max(...blocks.map(block => block[1]));
    const scale = (width - side - 4) / Math.max(end - begin, 1e-6);
    const workers = new Map();
    for (const block of blocks) (workers.get(block[0]) ?? workers.set(block[0], []).get(block[0])).push(block);
    const shown = [];
    for (const worker of [...workers.keys()].sort((a, b) => a - b)) {
      lanesOf(workers.get(worker)).forEach((lane, index) => shown.push({ worker, index, blocks: lane.blocks }));
    }
    const lanes = shown.slice(0, LANES_MAX);
    const context = sized(this.canvas, width, Math.max(lanes.length, 1) * LANE + 20);
    const by = palette();
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    lanes.forEach((lane, row) => {
      const y = row * LANE + 2;
      if (lane.index === 0) {
        context.fillStyle = by.line;
        context.fillRect(0, y - 1, width, 1);
        context.fillStyle = by.front;
        context.fillText(name(lane.worker), 4, y + LANE / 2, side - THREAD - 8);
      }
      const threads = new Set(lane.blocks.map(thread));
      context.fillStyle = by.soft;
      context.fillText(threads.size === 1 ? [...threads][0] : "…", side - THREAD, y + LANE / 2, THREAD - 4);
      for (const [, ended, busy, , , failed] of lane.blocks) {
        context.fillStyle = failed ? by.lost : by.ok;
        const x = side + (ended - busy - begin) * scale;
        context.fillRect(x, y, Math.max(busy * scale, 1.5), LANE - 2);
      }
    });
    context.fillStyle = by.soft;
    const span = end - begin, bottom = lanes.length * LANE + 12;
    if (blocks.length) {
      context.fillText(`${-Number(span.toPrecision(2))} s`, side, bottom);
      context.textAlign = "right";
      context.fillText("last block", width - 4, bottom);
      context.textAlign = "left";
    }
    const tasks = blocks.reduce((sum, block) => sum + block[4], 0);
    const failed = blocks.filter(block => block[5]).length;
    const more = shown.length > lanes.length ? `; ${shown.length - lanes.length} more lanes are not drawn` : "";
    const text = blocks.length
      ? `The last ${blocks.length} blocks, with ${tasks.toLocaleString("en")} of ${ended.toLocaleString("en")} tasks that ended, ` +
        `in ${plural(shown.length, "lane")} of ${plural(workers.size, "worker")} over ${Number(span.toPrecision(3))} s; ${failed} failed attempts${more}`
      : ended > 0 ? "The blocks of this job are no longer kept: those of all jobs that came last are" : "Nothing has come yet";
    setText(this.caption, text);
    setAttribute(this.canvas, "aria-label", text);
  }
}
