// One job: how far it is, its last blocks by worker, times, failures and logs.
import { Figures, Table, h, setAttribute, setText, show } from "/page/dom.js";
import { Spark, TaskStream, points, thread } from "/page/chart.js";
import { Failures, Logs } from "/page/failures.js";
import { bytes, clock, count, plural, rate, seconds, share } from "/page/format.js";
import { done } from "/page/jobs.js";

const PHASES = {
  queue: "submitted to leased", dispatch: "leased to claimed by a thread", run: "running (sampled)", report: "ended to reported",
  gil_wait: "waiting for the interpreter lock", start: "starting an executor", latency: "due to ended", start_lag: "due to begun, with a free slot",
};
/** Blocks that the table beside the task stream shows. */
const BLOCKS = 20;

export class Job {
  constructor(job) {
    this.job = job;
    this.name = job ? `Job ${job}` : "The newest job";
    this.state = h("p", { class: "state" });
    this.bar = h("progress", { class: "wide", max: 1, "aria-label": "Progress" });
    this.words = h("p", { "aria-live": "polite" });
    this.reason = h("p", { class: "error" });
    this.notices = h("ul");
    this.figures = new Figures(["Tasks ended", "Rate", "Time left", "Failed", "Running or leased", "Tried again", "Time so far", "Slots", "Slots' time used", "Executors ended", "Memory at most", "Output"]);
    this.course = new Spark("Tasks ended", rate, "failed");
    this.stream = new TaskStream();
    const name = block => this.names[block[0]] ?? `worker ${block[0]}`;
    this.blocks = new Table(`The last ${BLOCKS} blocks`, [
      { name: "Worker", kind: "text", text: name },
      { name: "Executor, thread", text: thread },
      { name: "Ended", text: it => clock(it[1]) },
      { name: "Thread time", kind: "number", text: it => seconds(it[2]) },
      { name: "First task", kind: "number", text: it => count(it[3]) },
      { name: "Tasks", kind: "number", text: it => count(it[4]) },
      { name: "What", text: it => it[5] ? "failed attempt" : "results", state: it => it[5] ? "failed" : "done" },
    ]);
    const time = key => ({ kind: "number", text: it => seconds(it[key]) });
    this.phases = new Table("Times of phases; percentiles need ten samples above them", [
      { name: "Phase", text: (it, key) => `${key}: ${PHASES[key] ?? ""}` },
      { name: "Samples", kind: "number", text: it => count(it.samples) },
      { name: "Mean", ...time("mean_s") }, { name: "p50", ...time("p50_s") }, { name: "p95", ...time("p95_s") },
      { name: "p99", ...time("p99_s") }, { name: "Longest", ...time("max_s") },
    ]);
    this.exits = new Table("Executors that ended other than as told", [
      { name: "Cause", text: (it, key) => key }, { name: "Executors", kind: "number", text: it => count(it) },
    ]);
    this.exitsHead = h("h2", {}, "Executors that ended");
    this.failures = new Failures();
    this.logs = new Logs();
    this.about = h("p", { class: "note" });
    this.params = h("pre", { tabindex: 0, "aria-label": "Parameters" });
    this.content = h("div", {},
      this.state, this.bar, this.words, this.reason, this.notices, this.figures.node,
      h("div", { class: "charts" }, this.course.node),
      h("h2", {}, "Task stream"), this.stream.node, h("details", {}, h("summary", {}, "The same as a table"), this.blocks.node),
      h("h2", {}, "Failures"), this.failures.node,
      this.exitsHead, this.exits.node,
      h("h2", {}, "Phases"), this.phases.node,
      h("h2", {}, "Log"), this.logs.node,
      h("h2", {}, "Parameters"), this.about, this.params);
  }

  query() { return `view=job&job=${this.job}`; }

  draw(state) {
    const it = state.job, ended = it.ok + it.failed;
    const title = `Job ${it.job}: ${it.plugin}${it.label ? `, ${it.label}` : ""}`;
    setText(this.title, title);
    if (document.title !== `${title} – muster`) document.title = `${title} – muster`;
    setText(this.state, it.state);
    setAttribute(this.state, "class", `state state-${it.state}`);
    setAttribute(this.bar, "value", it.tasks > 0 ? Math.min((ended + it.in_progress) / it.tasks, 1) : 0);
    // Said when it changes, so it must not change with every task.
    // Read out when it changes, so it changes ten times at the most.
    const part = it.tasks > 0 ? Math.floor(ended / it.tasks * 10) / 10 : 0;
    const far = part >= 1 ? "all tasks have ended" : part > 0 ? `${share(part)} or more done` : "less than a tenth done";
    setText(this.words, `${it.state}${it.tasks > 0 ? `, ${far}` : ""}${it.failed ? ", with failures" : ""}`);
    setText(this.reason, it.reason);
    show(this.reason, Boolean(it.reason));
    const notices = (state.notices ?? []).join("\n");
    if (notices !== this.said) {
      this.said = notices;
      this.notices.replaceChildren(...(state.notices ?? []).map(text => h("li", {}, text)));
    }
    show(this.notices, notices !== "");
    this.figures.set("Tasks ended", done(it));
    this.figures.set("Rate", it.state === "running" ? rate(it.rate) : it.wall_s > 0 ? `${rate(ended / it.wall_s)} on average` : "–");
    this.figures.set("Time left", seconds(it.eta_s));
    this.figures.set("Failed", it.quarantined ? `${count(it.failed)}, ${count(it.quarantined)} in quarantine` : count(it.failed));
    this.figures.set("Running or leased", count(it.leased));
    this.figures.set("Tried again", count(it.retried));
    this.figures.set("Time so far", seconds(it.wall_s));
    this.figures.set("Slots", it.slots ? `${count(it.slots)} on ${plural(it.workers, "worker")}, ${it.processes} × ${it.threads}` : "–");
    this.figures.set("Slots' time used", share(it.busy_share));
    this.figures.set("Executors ended", count(it.executor_exits));
    this.figures.set("Memory at most", bytes(it.memory));
    this.figures.set("Output", bytes(it.output_bytes));
    this.course.set(points(state.history));
    this.names = state.workers ?? {};
    const blocks = Object.keys(state.blocks).map(Number).sort((a, b) => a - b).map(key => [key, state.blocks[key]]);
    const last = blocks.length ? blocks[blocks.length - 1][0] : 0;
    const drawn = `${last} ${this.stream.width} ${ended} ${matchMedia("(prefers-color-scheme: dark)").matches}`;
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.stream.set(blocks.map(([, block]) => block), this.names, ended);
      this.blocks.set(blocks.slice(-BLOCKS).reverse());
    }
    this.phases.set(Object.keys(PHASES).filter(key => state.phases[key]).map(key => [key, state.phases[key]]));
    this.exits.set(Object.entries(state.exits));
    for (const node of [this.exitsHead, this.exits.node]) show(node, Object.keys(state.exits).length > 0);
    this.failures.set(it);
    this.logs.set(it.job);
    setText(this.about, `Submitted ${clock(it.submitted_s)}; ${count(it.leases)} leases; ${count(it.attempts)} attempts`);
    setText(this.params, it.params || "none");
  }
}
