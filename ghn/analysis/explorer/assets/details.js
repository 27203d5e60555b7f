"use strict";
// What there is to say of the chosen item. Everything becomes text nodes: names are never markup.

const COLOURS_OF_STARTS = ["var(--own)", "var(--start1)", "var(--start2)", "var(--start3)", "var(--start4)"];

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(name, properties, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size < 1e-3 || size >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

class Details {
  constructor(place, tree, colours, { choose, toggle }) {
    Object.assign(this, { place, tree, colours, choose, toggle, data: tree.data });
  }

  show(item) {
    const parts = item.kind === "node" ? this.node(item) : this.module(item);
    this.place.replaceChildren(...parts.filter((part) => part !== null));
    this.place.scrollTop = 0;
  }

  title(item) {
    if (item === this.tree.root) return this.data.title;
    return item.full || `${item.op} (node ${item.index})`;
  }

  node(item) {
    const facts = [["primitive", item.op]];
    if (item.shape) facts.push(["shape", item.shape]);
    const elements = item.parameters.reduce((sum, index) => sum + this.data.parameters[index].elements, 0);
    if (item.parameters.length) facts.push(["elements", elements.toLocaleString("en")]);
    facts.push(["node", `${item.index} of ${this.tree.nodes.length}, traced by ${this.data.traced_by}`]);
    return [
      element("h2", {}, this.title(item)),
      this.facts(facts),
      this.within(item),
      ...item.parameters.map((index) => this.parameter(index)),
      this.neighbours("Producers", this.tree.producers[item.index]),
      this.neighbours("Consumers", this.tree.consumers[item.index]),
    ];
  }

  module(item) {
    const root = item === this.tree.root;
    const elements = item.parameters.reduce((sum, index) => sum + this.data.parameters[index].elements, 0);
    const facts = [
      ["class", item.type || "unknown"],
      ["nodes", item.nodes.length.toLocaleString("en")],
      [
        "parameters",
        `${item.parameters.length.toLocaleString("en")} tensors, ${elements.toLocaleString("en")} elements`,
      ],
    ];
    if (root) facts.push(["graph", `${this.data.edges.length} edges, traced by ${this.data.traced_by}`]);
    const own = new Set(item.nodes);
    const outside = (lists) => [...new Set(item.nodes.flatMap((node) => lists[node]))].filter((node) => !own.has(node));
    return [
      element("h2", {}, this.title(item)),
      this.facts(facts),
      root ? null : this.within(item),
      root
        ? null
        : element(
            "p",
            {},
            element("button", { type: "button", onclick: () => this.toggle(item) }, item.open ? "Collapse" : "Expand"),
          ),
      this.startsOf(item),
      this.keptOf(item),
      root ? null : this.neighbours("Producers", outside(this.tree.producers)),
      root ? null : this.neighbours("Consumers", outside(this.tree.consumers)),
      root ? this.notes() : null,
    ];
  }

  facts(pairs) {
    return element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }

  within(item) {
    const above = item.parent;
    return element("p", {}, "in ", this.link(above));
  }

  link(item) {
    return element("button", { type: "button", class: "link", onclick: () => this.choose(item) }, this.title(item));
  }

  neighbours(title, nodes) {
    if (!nodes.length) return null;
    const shown = nodes
      .slice(0, 40)
      .map((node) =>
        element(
          "li",
          {},
          this.link(this.tree.nodes[node]),
          this.tree.nodes[node].full ? ` ${this.tree.nodes[node].op}` : "",
        ),
      );
    if (nodes.length > 40) shown.push(element("li", {}, `and ${nodes.length - 40} more`));
    return element("section", {}, element("h3", {}, `${title} (${nodes.length})`), element("ul", {}, ...shown));
  }

  parameter(index) {
    const parameter = this.data.parameters[index];
    const facts = [
      ["shape", parameter.shape.length ? parameter.shape.join(" × ") : "a number"],
      ["elements", parameter.elements.toLocaleString("en")],
    ];
    if (parameter.role) facts.push(["decoded as", parameter.role + (parameter.head ? ", of the head" : "")]);
    return element(
      "section",
      { class: "parameter" },
      element("h3", {}, parameter.name),
      this.facts(facts),
      this.values(index),
      this.histogram(index),
    );
  }

  values(index) {
    const rows = ["norm", "mean", "std", "least", "most"].map((name) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, name),
        ...this.data.starts.map((start) => {
          const value = start.values[index];
          return element("td", {}, value ? number(value[VALUE[name]]) : "–");
        }),
      ),
    );
    const head = [
      element("th", { scope: "col" }, "values"),
      ...this.data.starts.map((start, at) => element("th", { scope: "col" }, swatch(at), start.name)),
    ];
    const states = this.data.starts
      .slice(1)
      .map((start) =>
        element(
          "p",
          { class: "state" },
          element("b", {}, start.name),
          ": ",
          start.kept[index] < 0 ? deed(start) : "kept – " + this.data.reasons[start.kept[index]],
        ),
      );
    const strange = this.data.starts
      .filter((start) => start.values[index]?.[VALUE.strange])
      .map((start) =>
        element(
          "p",
          { class: "state" },
          `${start.name}: ${start.values[index][VALUE.strange]} elements are not finite`,
        ),
      );
    return element(
      "div",
      { class: "wide", role: "group", tabindex: "0", "aria-label": "values" },
      ...states,
      ...strange,
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)),
    );
  }

  // Densities of all starts over one axis of values; each curve at its own height, since spreads differ by orders.
  histogram(index) {
    const found = this.data.starts
      .map((start, at) => ({ at, name: start.name, value: start.values[index] }))
      .filter(({ value }) => value && value[VALUE.counts].length);
    if (!found.length) return null;
    const low = Math.min(...found.map(({ value }) => value[VALUE.least]));
    const high = Math.max(...found.map(({ value }) => value[VALUE.most]));
    const width = 320,
      height = 96,
      base = 78;
    const x = (value) => 6 + ((value - low) / (high - low)) * (width - 12);
    const curves = found.map(({ at, value }) => {
      const counts = value[VALUE.counts],
        least = value[VALUE.least];
      const step = (value[VALUE.most] - least) / counts.length;
      const most = Math.max(...counts);
      const y = (count) => round(base - (count / most) * (base - 8));
      const path = counts
        .map(
          (count, bin) =>
            `L${round(x(least + bin * step))} ${y(count)}L${round(x(least + (bin + 1) * step))} ${y(count)}`,
        )
        .join("");
      const outline = `M${round(x(least))} ${base}${path}L${round(x(value[VALUE.most]))} ${base}`;
      const curve = drawn("path", { d: outline, class: at ? "filled" : "own" });
      curve.style.setProperty("--curve", COLOURS_OF_STARTS[at % COLOURS_OF_STARTS.length]);
      return curve;
    });
    const ticks = [
      [low, "start"],
      [(low + high) / 2, "middle"],
      [high, "end"],
    ].map(([value, anchor]) => drawn("text", { x: x(value), y: height - 4, "text-anchor": anchor }, number(value)));
    const axis = drawn("path", { d: `M6 ${base}H${width - 6}`, class: "axis" });
    const label = `Histograms of ${this.data.parameters[index].name}: ${found.map(({ name }) => name).join(", ")}`;
    return element(
      "figure",
      {},
      drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...curves, axis, ...ticks),
      element("figcaption", {}, "values of the elements; each curve at its own height"),
    );
  }

  // What each start makes of a whole module.
  startsOf(item) {
    if (!item.parameters.length) return null;
    const rows = this.data.starts.map((start, at) => {
      const { set, all } = this.colours.share(item, at);
      const norm = this.colours.norms[at].get(item);
      const share = !at ? "–" : !all ? "100 %" : percent(set, all);
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, swatch(at), start.name),
        element("td", {}, share),
        element("td", {}, norm === undefined ? "–" : number(norm)),
      );
    });
    const head = ["start", "set", "norm"].map((name) => element("th", { scope: "col" }, name));
    return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  }

  // Parameters of a module that no node of the graph has, with the reason.
  keptOf(item) {
    const reasons = new Map(this.data.untraced);
    const bare = item.parameters.filter((index) => this.data.parameters[index].node < 0);
    if (!bare.length) return null;
    const shown = bare
      .slice(0, 60)
      .map((index) =>
        element(
          "li",
          {},
          element("b", {}, this.data.parameters[index].name),
          ` ${this.data.parameters[index].shape.join(" × ")}`,
          reasons.has(index) ? ` – ${this.data.reasons[reasons.get(index)]}` : "",
        ),
      );
    if (bare.length > 60) shown.push(element("li", {}, `and ${bare.length - 60} more`));
    return element(
      "section",
      {},
      element("h3", {}, `In no node of the graph (${bare.length})`),
      element("ul", {}, ...shown),
    );
  }

  notes() {
    const shown = this.data.starts
      .filter((start) => start.notes.length)
      .map((start) => element("li", {}, element("b", {}, start.name), ": ", start.notes.join("; ")));
    return shown.length ? element("section", {}, element("h3", {}, "Starts"), element("ul", {}, ...shown)) : null;
  }
}

// What a start does to a parameter that it does not keep.
function deed(start) {
  return /^ghn(:|\+|$)/.test(start.name) ? "predicted" : "set";
}

function percent(part, whole) {
  const value = (100 * part) / whole;
  return (part < whole ? Math.min(value, 99.9) : value).toFixed(1) + " %";
}

function swatch(at) {
  const made = element("span", { class: "swatch", "aria-hidden": "true" });
  made.style.background = COLOURS_OF_STARTS[at % COLOURS_OF_STARTS.length];
  return made;
}
