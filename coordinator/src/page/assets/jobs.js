// Jobs, newest first, a page at a time. What is looked for stands in the address.
import { Table, h, progress, setAttribute, setText, show } from "/page/dom.js";
import { clock, count, rate, seconds } from "/page/format.js";

const STATES = ["waiting", "running", "paused", "done", "failed", "cancelled"];
/** How long a pause in typing is. */
const TYPED_MS = 300;

export class Jobs {
  name = "Jobs";

  constructor(go) {
    const asked = new URLSearchParams(location.search);
    this.page = Math.max(1, Number(asked.get("page")) || 1);
    const look = () => { this.page = 1; go(this.address(), true); };
    this.state = h("select", { onchange: look }, h("option", { value: "" }, "any"), ...STATES.map(it => h("option", { value: it }, it)));
    this.state.value = STATES.includes(asked.get("state")) ? asked.get("state") : "";
    this.text = h("input", { type: "search", maxlength: 50, oninput: () => { clearTimeout(this.typing); this.typing = setTimeout(look, TYPED_MS); } });
    this.text.value = asked.get("text") ?? "";
    this.table = new Table("Jobs", [
      { name: "Job", text: (it, key) => String(key), link: (it, key) => `/jobs/${key}` },
      { name: "Plugin", kind: "text", text: it => it.plugin },
      { name: "Label", kind: "text", text: it => it.label },
      { name: "State", text: it => it.state, state: it => it.state },
      { name: "Progress", draw: (cell, it, key) => progress(cell, it.ok + it.failed, it.tasks, done(it), `Progress of job ${key}`) },
      { name: "Rate", kind: "number", text: it => rate(it.rate) },
      { name: "Time left", kind: "number", text: it => seconds(it.eta_s) },
      { name: "Failed", kind: "number", text: it => count(it.failed) },
      { name: "Submitted", text: it => clock(it.submitted_s) },
    ]);
    this.place = h("span", { "aria-live": "polite" });
    this.before = h("a", { rel: "prev" }, "Newer");
    this.after = h("a", { rel: "next" }, "Older");
    const form = h("form", { role: "search", onsubmit: event => event.preventDefault() },
      h("label", {}, "State", this.state), h("label", {}, "Number, plugin or label has", this.text));
    this.content = h("div", {}, form, this.table.node, h("div", { class: "pager" }, this.before, this.place, this.after));
  }

  asked(page) {
    const asked = new URLSearchParams();
    if (this.state.value) asked.set("state", this.state.value);
    if (this.text.value) asked.set("text", this.text.value);
    if (page > 1) asked.set("page", page);
    return asked;
  }

  address(page = this.page) {
    const asked = this.asked(page).toString();
    return asked ? `/jobs?${asked}` : "/jobs";
  }

  query() {
    const asked = this.asked(this.page);
    asked.set("view", "jobs");
    return asked.toString();
  }

  draw(state) {
    this.table.set(Object.entries(state.jobs).map(([key, it]) => [Number(key), it]).sort((a, b) => b[0] - a[0]));
    const from = (state.page - 1) * state.page_jobs, shown = Object.keys(state.jobs).length;
    const range = shown ? `${from + 1} to ${from + shown} of ${count(state.found)}` : "None";
    setText(this.place, state.found === state.all ? range : `${range} found among ${count(state.all)}`);
    show(this.before, state.page > 1);
    show(this.after, from + shown < state.found);
    setAttribute(this.before, "href", this.address(state.page - 1));
    setAttribute(this.after, "href", this.address(state.page + 1));
  }
}

/** How many tasks have ended, in words. */
export function done(it) {
  const ended = it.ok + it.failed;
  return it.sealed ? `${count(ended)} of ${count(it.tasks)}` : `${count(ended)} of ${count(it.tasks)} so far`;
}
