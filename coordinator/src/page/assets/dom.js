// Elements, changed only where something changes. Everything that comes from the cluster is set as text, never as HTML.

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

export function setText(node, text) {
  const wanted = String(text);
  const first = node.firstChild;
  if (first && first === node.lastChild && first.nodeType === Node.TEXT_NODE) {
    if (first.data !== wanted) first.data = wanted;
  } else if (node.textContent !== wanted || first) {
    node.textContent = wanted;
  }
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

export const show = (node, shown) => { if (node.hidden === shown) node.hidden = !shown; };

/** Names with values. */
export class Figures {
  constructor(names) {
    this.values = new Map(names.map(name => [name, h("dd", {}, "–")]));
    const pair = ([name, value]) => h("div", {}, h("dt", {}, name), value);
    this.node = h("dl", { class: "figures" }, ...[...this.values].map(pair));
  }

  set(name, text) { setText(this.values.get(name), text); }
}

/**
 * A table whose rows have keys: rows stay the same elements as long as their key is there, so focus and selection do, too.
 * A column: {name, kind: number|text|wrap|undefined, text(item, key), link(item, key), state(item), sort(item, key), draw(cell, item, key)}.
 */
export class Table {
  constructor(caption, columns, onsort) {
    this.columns = columns;
    this.rows = new Map();
    this.body = h("tbody");
    this.caption = h("caption", {}, caption);
    this.heads = columns.map(column => {
      const sorts = onsort && column.sort;
      const content = sorts ? h("button", { type: "button", onclick: () => onsort(column) }, column.name) : column.name;
      return h("th", { scope: "col", class: column.kind }, content);
    });
    const table = h("table", {}, this.caption, h("thead", {}, h("tr", {}, ...this.heads)), this.body);
    // What scrolls can be reached without a mouse.
    this.node = h("div", { class: "table", tabindex: 0, role: "region", "aria-label": caption }, table);
  }

  /** Shows the items, pairs of key and item, in this order. */
  set(items) {
    const wanted = new Set(items.map(([key]) => key));
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) {
        row.node.remove();
        this.rows.delete(key);
      }
    }
    let place = this.body.firstChild;
    for (const [key, item] of items) {
      const row = this.rows.get(key) ?? this.make(key);
      this.fill(row, item, key);
      if (row.node === place) place = place.nextSibling;
      else this.body.insertBefore(row.node, place);
    }
  }

  make(key) {
    const cells = this.columns.map(column => {
      const target = column.link ? h("a") : column.state ? h("span", { class: "state" }) : null;
      const cell = h("td", { class: column.kind }, ...(target ? [target] : []));
      return { cell, target: target ?? cell };
    });
    const row = { node: h("tr", {}, ...cells.map(it => it.cell)), cells };
    this.rows.set(key, row);
    return row;
  }

  fill(row, item, key) {
    this.columns.forEach((column, index) => {
      const { cell, target } = row.cells[index];
      if (column.draw) return column.draw(cell, item, key);
      if (column.link) setAttribute(target, "href", column.link(item, key));
      if (column.state) setAttribute(target, "class", `state state-${column.state(item)}`);
      const text = column.text(item, key);
      setText(target, text);
      if (column.kind === "text") setAttribute(cell, "title", text);
    });
  }

  /** Says by which column it is sorted. */
  sorted(column, descending) {
    this.columns.forEach((it, index) => {
      if (it === column) this.heads[index].setAttribute("aria-sort", descending ? "descending" : "ascending");
      else this.heads[index].removeAttribute("aria-sort");
    });
  }
}

/** A cell with a bar and what it says. */
export function progress(cell, done, of, text, name) {
  if (!cell.firstChild) cell.append(h("progress", { max: 1, "aria-label": name }), " ", h("span"));
  const [bar, , words] = cell.childNodes;
  setAttribute(bar, "value", of > 0 ? Math.min(done / of, 1) : 0);
  setText(words, text);
}
