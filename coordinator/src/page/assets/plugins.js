// The plugins that are registered.
import { Table, h, setText } from "/page/dom.js";
import { bytes, clock, plural } from "/page/format.js";

export class Plugins {
  name = "Plugins";
  query() { return "view=plugins"; }

  constructor() {
    this.words = h("p", { class: "note" });
    this.table = new Table("Plugins", [
      { name: "Plugin", text: it => `${it.name}@${it.version}` },
      { name: "Description", kind: "wrap", text: it => it.description },
      { name: "Input", text: it => it.input || "none" },
      { name: "Output", text: it => `${it.output || "bytes"}${it.reduce ? ", reduces" : ""}` },
      { name: "Target", text: it => it.target },
      { name: "Size", kind: "number", text: it => bytes(it.bytes) },
      { name: "Added", text: it => clock(it.added_s) },
      { name: "Digest (BLAKE3)", text: (it, key) => key.slice(0, 16) },
    ]);
    this.content = h("div", {}, this.words, this.table.node);
  }

  draw(state) {
    const plugins = Object.entries(state.plugins).sort(([, a], [, b]) => a.name.localeCompare(b.name) || a.added_s - b.added_s);
    setText(this.words, plugins.length ? plural(plugins.length, "plugin") : "No plugin is registered; muster plugin push FILE registers one, and so does muster submit");
    this.table.set(plugins);
  }
}
