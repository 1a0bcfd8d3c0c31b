// Workers, their slots and how the cluster does.
import { Figures, Table, h, setText } from "/page/dom.js";
import { SlotMap, Spark, points } from "/page/chart.js";
import { age, bytes, count, rate, short } from "/page/format.js";

/** Rows of the table at a time. */
const ROWS = 100;
/** Heartbeats that may be missing before a worker counts as silent. */
const SILENT = 5;

export class Cluster {
  name = "Cluster";
  query() { return "view=cluster"; }

  constructor(changed) {
    this.figures = new Figures(["Workers", "Slots busy", "Tasks waiting", "Tasks ended", "Jobs", "Failed tasks"]);
    this.ended = new Spark("Tasks ended", rate, "failed");
    this.waiting = new Spark("Tasks waiting", short);
    this.busy = new Spark("Busy slots", count);
    this.slots = new SlotMap();
    this.about = h("p", { class: "note" });
    const silence = it => this.now - it.heard_s;
    this.columns = [
      { name: "Worker", kind: "text", text: it => it.name, sort: it => it.name },
      { name: "Host", kind: "text", text: it => it.host, sort: it => it.host },
      { name: "State", text: it => it.state, state: it => it.state, sort: it => it.state },
      { name: "Sandbox", kind: "text", text: it => it.sandbox, sort: it => it.sandbox },
      { name: "Slots busy", kind: "number", text: it => `${it.busy} of ${it.slots}`, sort: it => it.busy / it.slots },
      { name: "Executors", kind: "number", text: it => count(it.executors), sort: it => it.executors },
      { name: "Memory", kind: "number", text: it => bytes(it.memory), sort: it => it.memory },
      { name: "Tasks leased", kind: "number", text: it => count(it.leased), sort: it => it.leased },
      { name: "Tasks done", kind: "number", text: it => count(it.done), sort: it => it.done },
      { name: "Heard", kind: "number", text: it => this.isThere(it) ? `${age(silence(it))} ago` : "–", sort: silence },
    ];
    [this.by, this.down, this.page] = [null, false, 0];
    this.table = new Table("Workers", this.columns, column => {
      this.down = this.by === column ? !this.down : false;
      this.by = column;
      this.table.sorted(column, this.down);
      changed();
    });
    const again = () => { this.page = 0; changed(); };
    this.text = h("input", { type: "search", oninput: again });
    this.place = h("span", { "aria-live": "polite" });
    const turn = step => () => { this.page += step; changed(); };
    this.before = h("button", { type: "button", class: "plain", onclick: turn(-1) }, "Previous");
    this.after = h("button", { type: "button", class: "plain", onclick: turn(1) }, "Next");
    const form = h("form", { onsubmit: event => event.preventDefault() }, h("label", {}, "Worker or host has", this.text));
    const charts = h("div", { class: "charts" }, this.ended.node, this.waiting.node, this.busy.node);
    this.content = h("div", {},
      this.figures.node, charts,
      h("h2", {}, "Slots"), this.slots.node,
      h("h2", {}, "Workers"), form, this.table.node,
      h("div", { class: "pager" }, this.before, this.place, this.after), this.about);
  }

  isThere(it) { return it.state === "up" || it.state === "draining"; }

  draw(state, now) {
    this.now = now();
    const { totals, about } = state;
    const gone = totals.lost ? `, ${count(totals.lost)} lost` : "";
    const draining = totals.draining ? `, ${count(totals.draining)} draining` : "";
    this.figures.set("Workers", `${count(totals.up)} up${draining}${gone}`);
    this.figures.set("Slots busy", `${count(totals.busy)} of ${count(totals.slots)}`);
    this.figures.set("Tasks waiting", count(totals.queued));
    this.figures.set("Tasks ended", rate(state.rate));
    this.figures.set("Jobs", `${count(totals.jobs)} live${totals.paused ? `, ${totals.paused} paused` : ""}`);
    this.figures.set("Failed tasks", count(totals.failed));
    const course = points(state.history);
    this.ended.set(course);
    this.waiting.set(course.map(point => [point[0], point[3]]));
    this.busy.set(course.map(point => [point[0], point[4]]));
    const workers = Object.entries(state.workers).map(([key, it]) => [Number(key), it]).sort((a, b) => a[0] - b[0]);
    const silent = it => this.now - it.heard_s > SILENT * about.heartbeat_s;
    this.slots.set(workers.filter(([, it]) => this.isThere(it)), silent);
    this.list(workers);
    const kept = about.durable ? "jobs survive a restart" : "without a state folder: jobs do not survive a restart";
    setText(this.about, `muster ${about.version}, life ${about.epoch} of the coordinator, policy ${about.policy}; ${kept}`);
  }

  list(workers) {
    const text = this.text.value.toLowerCase();
    const found = workers.filter(([, it]) => it.name.toLowerCase().includes(text) || it.host.toLowerCase().includes(text));
    if (this.by) {
      const order = this.down ? -1 : 1, value = this.by.sort;
      found.sort(([, a], [, b]) => (value(a) < value(b) ? -order : value(a) > value(b) ? order : 0));
    }
    const pages = Math.max(1, Math.ceil(found.length / ROWS));
    this.page = Math.max(0, Math.min(this.page, pages - 1));
    const from = this.page * ROWS, shown = found.slice(from, from + ROWS);
    this.table.set(shown);
    const range = shown.length ? `${from + 1} to ${from + shown.length} of ${found.length}` : "None";
    setText(this.place, found.length === workers.length ? range : `${range} found among ${workers.length}`);
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page >= pages - 1;
  }
}
