"use strict";
// Search by the name of a module, layer or parameter, by primitive, or by shape: all words must occur.

const MOST_FOUND = 60;

class Search {
  constructor(input, list, tree, choose) {
    Object.assign(this, { input, list, tree, choose, found: [], at: -1 });
    this.entries = this.makeEntries();
    input.addEventListener("input", () => this.look());
    input.addEventListener("focus", () => this.look());
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
  }

  makeEntries() {
    const { parameters } = this.tree.data;
    const entries = [];
    this.tree.visit(this.tree.root, (item) => {
      if (item === this.tree.root) return;
      const kind = item.kind === "node" ? item.op : item.type || "module";
      // A node is found by the names of its parameters as well.
      const names = item.kind === "node" ? item.parameters.map((index) => parameters[index].name).join(" ") : "";
      entries.push({ item, name: item.full || `node ${item.index}`, kind, shape: item.shape || "", names });
    });
    for (const { name, module, node, shape } of parameters) {
      if (node >= 0) continue;
      const item = this.tree.drawnModule(module);
      entries.push({ item, name, kind: "not in the graph", shape: shape.join("×"), names: "" });
    }
    for (const entry of entries) entry.text = `${entry.name} ${entry.kind} ${entry.shape} ${entry.names}`.toLowerCase();
    return entries;
  }

  look() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = words.length ? this.entries.filter((entry) => words.every((word) => entry.text.includes(word))) : [];
    this.found = all.slice(0, MOST_FOUND);
    this.at = this.found.length ? 0 : -1;
    this.list.replaceChildren(...this.found.map((entry, index) => this.option(entry, index)));
    if (words.length && !all.length) {
      this.list.append(
        element(
          "li",
          { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "none" },
          "nothing of that name, primitive or shape",
        ),
      );
    } else if (all.length > MOST_FOUND) {
      this.list.append(
        element(
          "li",
          { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "none" },
          `and ${all.length - MOST_FOUND} more`,
        ),
      );
    }
    this.list.hidden = !words.length;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.mark();
  }

  option(entry, index) {
    return element(
      "li",
      {
        role: "option",
        id: `found-${index}`,
        "aria-selected": "false",
        onpointerdown: (event) => {
          event.preventDefault();
          this.take(index);
        },
      },
      element("span", { class: "name" }, entry.name),
      element("span", { class: "kind" }, ` ${entry.kind} ${entry.shape}`),
    );
  }

  mark() {
    [...this.list.children].forEach((child, index) => child.setAttribute("aria-selected", String(index === this.at)));
    if (this.at >= 0 && !this.list.hidden) {
      this.input.setAttribute("aria-activedescendant", `found-${this.at}`);
      this.list.children[this.at].scrollIntoView({ block: "nearest" });
    } else {
      this.input.removeAttribute("aria-activedescendant");
    }
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) this.at = (this.at + step + this.found.length) % this.found.length;
    else if (event.key === "Enter" && this.at >= 0 && !this.list.hidden) this.take(this.at);
    else if (event.key === "Escape" && !this.list.hidden) this.close();
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.mark();
  }

  take(index) {
    const { item } = this.found[index];
    this.close();
    this.choose(item);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
