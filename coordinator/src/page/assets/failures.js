// Failures with their post-mortems, and logs: read when they are wanted.
import { h, setText, show } from "/page/dom.js";
import { bytes, clock, known, plural } from "/page/format.js";

/** Failures are read again this long after the last time at the earliest. */
const AGAIN_MS = 2000;
const SIGNALS = { 4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM", 24: "SIGXCPU", 31: "SIGSYS" };

async function read(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
  return answer.json();
}

/** The tasks that failed, those with the lowest indexes first. */
export class Failures {
  constructor() {
    this.words = h("p", { class: "note", "aria-live": "polite" }, "No task has failed");
    this.list = h("div");
    this.node = h("section", { "aria-label": "Failures" }, this.words, this.list);
    this.items = new Map();
    [this.known, this.timer] = ["", 0];
  }

  /** What the job says now; failures are read when something has failed since the last time. */
  set(it) {
    Object.assign(this, { job: it.job, plugin: it.plugin });
    const now = `${it.job} ${it.failed} ${it.retried} ${it.executor_exits}`;
    const none = it.failed + it.retried + it.executor_exits === 0 && this.items.size === 0;
    if (none || now === this.known || this.timer) return;
    this.timer = setTimeout(() => { this.timer = 0; }, AGAIN_MS);
    this.known = now;
    this.load(it.job).catch(error => setText(this.words, `Failures cannot be read: ${error.message}`));
  }

  async load(job) {
    const found = await read(`/page/failures?job=${job}`);
    const wanted = new Set(found.tasks.map(task => task.task));
    for (const [task, item] of this.items) {
      if (!wanted.has(task)) {
        item.node.remove();
        this.items.delete(task);
      }
    }
    found.tasks.forEach((task, place) => {
      const text = JSON.stringify(task), item = this.items.get(task.task);
      if (item?.text === text) return;
      const node = this.describe(task, item?.node.open ?? (place === 0 && found.tasks.length === 1));
      if (item) item.node.replaceWith(node);
      else this.list.insertBefore(node, this.list.children[place] ?? null);
      this.items.set(task.task, { node, text });
    });
    const more = found.more ? `; those of the lowest ${found.tasks.length} tasks are shown, muster job why ${job} --json has more` : "";
    const hopeful = found.tasks.filter(task => !task.final).length;
    const again = hopeful ? `; ${plural(hopeful, "task")} below will be tried again` : "";
    setText(this.words, `${plural(found.failed, "task")} failed for good${again}${more}`);
  }

  describe(task, open) {
    const last = task.attempts[task.attempts.length - 1] ?? { class: "unknown", message: "" };
    const first = last.message.split("\n")[0];
    const what = `Task ${task.task}: ${last.class}${first ? `, ${first.slice(0, 160)}` : ""}${task.final ? "" : " (is tried again)"}`;
    const name = this.plugin.split("@")[0];
    const node = h("details", { open }, h("summary", {}, what));
    if (task.forgotten) node.append(h("p", { class: "note" }, `${plural(task.forgotten, "earlier attempt")} not kept`));
    node.append(...task.attempts.map(attempt => describe(attempt)));
    if (known(task.input_bytes)) node.append(h("p", { class: "note" }, `Its input has ${bytes(task.input_bytes)}`));
    node.append(h("p", {}, "In a terminal: ", h("code", {}, `muster job why ${this.job}.${task.task}`), "; alone, with its input: ",
      h("code", {}, `muster plugin test ${name} --case ${this.job}.${task.task}`)));
    return node;
  }
}

/** An attempt's post-mortem. */
function describe(attempt) {
  const node = h("div", { class: "attempt" }, h("h3", {}, `Attempt ${attempt.attempt} on ${attempt.worker || "a worker that is gone"}: ${attempt.class}`));
  if (attempt.message) node.append(h("pre", { class: "log", tabindex: 0, "aria-label": "Message" }, attempt.message));
  const it = attempt.evidence;
  if (!it) return node;
  const facts = [];
  if (it.cause) facts.push(`cause ${it.cause}`);
  if (known(it.signal)) facts.push(`signal ${it.signal}${SIGNALS[it.signal] ? ` (${SIGNALS[it.signal]})` : ""}`);
  if (known(it.exit_code)) facts.push(`exit code ${it.exit_code}`);
  if (it.address) facts.push(`fault at ${it.address}`);
  if (it.memory_peak) facts.push(`memory at most ${bytes(it.memory_peak)}${it.memory_limit ? ` of ${bytes(it.memory_limit)}` : ""}`);
  if (it.pid) facts.push(`process ${it.pid}`);
  if (it.ended_s) facts.push(`ended ${clock(it.ended_s)}`);
  if (it.lost_tasks) facts.push(`${plural(it.lost_tasks, "other task")} ran there and ${it.lost_tasks === 1 ? "runs" : "run"} again`);
  if (facts.length) node.append(h("p", {}, `${facts.join("; ")}.`));
  if (it.frames.length) {
    const place = frame => `${frame.function || "?"}  ${frame.file ? `${frame.file}:${frame.line}` : `${frame.module || "?"} + ${frame.offset}`}`;
    node.append(h("p", { class: "note" }, "Stack, innermost first"), h("pre", { tabindex: 0, "aria-label": "Stack" }, it.frames.map(place).join("\n")));
  }
  if (it.last_lines.length) {
    node.append(h("p", { class: "note" }, "What it said last"), h("pre", { class: "log", tabindex: 0, "aria-label": "Last lines" }, it.last_lines.join("\n")));
  }
  if (it.truncated) node.append(h("p", { class: "note" }, "Some frames or lines were left out."));
  return node;
}

/** The last lines of a job's log. */
export class Logs {
  constructor() {
    this.failed = h("input", { type: "checkbox" });
    this.task = h("input", { type: "number", min: 0, step: 1 });
    this.last = h("select", {}, ...[100, 200, 500, 2000].map(lines => h("option", { value: lines }, String(lines))));
    this.last.value = "200";
    this.words = h("p", { class: "note", "aria-live": "polite" }, "Lines are kept on the workers and read when asked for.");
    this.lines = h("pre", { class: "log", tabindex: 0, "aria-label": "Log lines", hidden: true });
    const form = h("form", { onsubmit: event => { event.preventDefault(); this.load(); } },
      h("label", {}, "Last lines", this.last), h("label", {}, "Of task", this.task),
      h("label", {}, this.failed, " of failed tasks only"), h("button", { class: "plain" }, "Read the log"));
    this.node = h("section", { "aria-label": "Log" }, form, this.words, this.lines);
  }

  set(job) { this.job = job; }

  async load() {
    const asked = new URLSearchParams({ job: this.job, last: this.last.value });
    if (this.task.value !== "") asked.set("task", this.task.value);
    if (this.failed.checked) asked.set("failed", "1");
    setText(this.words, "Reading");
    try {
      const found = await read(`/page/logs?${asked}`);
      const say = line => {
        const where = known(line.task) ? `${line.worker} ${line.task}.${line.attempt}` : line.worker;
        return h("span", { class: line.level }, `${clock(line.at_s)} ${where} ${line.level}  ${line.text}\n`);
      };
      this.lines.replaceChildren(...found.lines.map(say));
      show(this.lines, found.lines.length > 0);
      this.lines.scrollTop = this.lines.scrollHeight;
      setText(this.words, [found.lines.length ? `The last ${plural(found.lines.length, "line")}` : "No lines", ...found.notes].join("; "));
    } catch (error) {
      setText(this.words, `The log cannot be read: ${error.message}`);
    }
  }
}

