// Comparisons that are kept on the coordinator's machine. Each has a report, which is a page of its own.
import { Table, h, setText } from "/page/dom.js";
import { clock, count, plural } from "/page/format.js";

export class Reports {
  name = "Reports";
  query() { return "view=reports"; }

  constructor() {
    this.words = h("p", { class: "note" });
    this.table = new Table("Comparisons", [
      { name: "Run", text: (it, key) => String(key), link: (it, key) => `/page/report?run=${key}` },
      { name: "What", text: it => it.what ?? "–" },
      { name: "Verdict", kind: "wrap", text: it => it.problem ?? it.verdict ?? "–" },
      { name: "Written", text: it => clock(it.written_s) },
      { name: "Tasks", kind: "number", text: it => count(it.tasks) },
      { name: "Blocks", kind: "number", text: it => count(it.blocks) },
    ]);
    this.content = h("div", {}, this.words, this.table.node);
  }

  draw(state) {
    const runs = Object.entries(state.reports).map(([key, it]) => [Number(key), it]).sort((a, b) => b[0] - a[0]);
    setText(this.words, words(state, runs.length));
    this.table.set(runs);
  }
}

function words(state, shown) {
  if (!state.folder) return "This coordinator shows no reports: start it with --runs DIR. muster up shows those of the folder that it is called in";
  if (!state.all) return `There is no comparison in ${state.folder}; muster compare keeps them there`;
  const among = shown < state.all ? `The newest ${count(shown)} of ${plural(state.all, "comparison")}` : plural(state.all, "comparison");
  return `${among} in ${state.folder}`;
}
