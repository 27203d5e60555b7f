"use strict";
// What an item's colour says: its primitive, whether its parameters are predicted, or their norm.
//
// All fills are told apart by the colour-blind (Okabe & Ito 2008; cividis, Nuñez et al. 2018), and text on them is
// black or white, whichever has the greater contrast.

const SET = "#56b4e9",
  PART = "#e8e0a8",
  KEPT = "#e69f00",
  BARE = "#c3c8d0";
const CIVIDIS = ["#00224e", "#2a3f6d", "#575d6d", "#7d7c78", "#a59c74", "#d2c060", "#fee838"];

const VALUE = { norm: 0, mean: 1, std: 2, least: 3, most: 4, strange: 5, counts: 6 };

function luminance(colour) {
  const part = (at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

function inkOn(colour) {
  return luminance(colour) > 0.179 ? "#000000" : "#ffffff";
}

function mixed(one, other, share) {
  const part = (at) => {
    const from = parseInt(one.slice(at, at + 2), 16),
      to = parseInt(other.slice(at, at + 2), 16);
    return Math.round(from + (to - from) * share)
      .toString(16)
      .padStart(2, "0");
  };
  return "#" + part(1) + part(3) + part(5);
}

function onScale(share) {
  const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(at), CIVIDIS.length - 2);
  return mixed(CIVIDIS[low], CIVIDIS[low + 1], at - low);
}

class Colours {
  constructor(tree) {
    this.tree = tree;
    this.data = tree.data;
    this.norms = this.data.starts.map((_, start) => this.normsOf(start));
    // The scale is that of nodes; modules of a greater norm have the colour of its end.
    const every = this.norms.flatMap((norms) => this.tree.nodes.map((node) => norms.get(node)));
    const all = every.filter((norm) => norm > 0);
    this.least = all.reduce((least, norm) => Math.min(least, norm), Infinity);
    this.most = all.reduce((most, norm) => Math.max(most, norm), 0);
  }

  // Euclidean norm of all parameters of a node or module, for a start.
  normsOf(start) {
    const found = new Map();
    const { values } = this.data.starts[start];
    this.tree.visit(this.tree.root, (item) => {
      const known = item.parameters.map((index) => values[index]).filter(Boolean);
      if (known.length) found.set(item, Math.sqrt(known.reduce((sum, value) => sum + value[VALUE.norm] ** 2, 0)));
    });
    return found;
  }

  // Elements of an item's parameters that a start set, and of all.
  share(item, start) {
    let set = 0,
      all = 0;
    for (const index of item.parameters) {
      const { elements } = this.data.parameters[index];
      all += elements;
      if (this.data.starts[start].kept[index] < 0) set += elements;
    }
    return { set, all };
  }

  painter(mode, start, theme) {
    const known = new Map();
    return (item) => {
      if (!known.has(item)) {
        const fill = this.fill(item, mode, start, theme);
        known.set(item, { fill, ink: inkOn(fill) });
      }
      return known.get(item);
    };
  }

  fill(item, mode, start, theme) {
    if (mode === "primitive") return item.kind === "node" ? this.data.colours[item.op] : theme.module;
    if (!item.parameters.length) return BARE;
    if (mode === "norm") {
      const norm = this.norms[start].get(item);
      return norm === undefined ? BARE : norm > 0 ? onScale(this.position(norm)) : CIVIDIS[0];
    }
    const { set, all } = this.share(item, start);
    return set === 0 ? KEPT : set === all ? SET : PART;
  }

  // Of a norm on the scale, by its logarithm: 0 to 1.
  position(norm) {
    const span = Math.log(this.most) - Math.log(this.least);
    return span > 0 ? (Math.log(norm) - Math.log(this.least)) / span : 1;
  }

  // [colour, what it means]
  legend(mode, start) {
    if (mode === "primitive") {
      const used = new Set(this.tree.nodes.map((node) => node.op));
      return Object.entries(this.data.colours)
        .filter(([op]) => used.has(op))
        .map(([op, colour]) => [colour, op]);
    }
    if (mode === "state") {
      const first = start === 0 ? "the model's own" : "set by the start";
      if (start === 0)
        return [
          [KEPT, first],
          [BARE, "no parameters"],
        ];
      return [
        [SET, first],
        [PART, "partly"],
        [KEPT, "kept as the model has it"],
        [BARE, "no parameters"],
      ];
    }
    if (!(this.most > 0)) return [[BARE, "no values"]];
    const steps = this.most > this.least ? [0, 0.25, 0.5, 0.75, 1] : [1];
    const norm = (step) => Math.exp(Math.log(this.least) + step * (Math.log(this.most) - Math.log(this.least)));
    const text = (step) => `norm ${Number(norm(step).toPrecision(2))}${step === 1 ? " or more" : ""}`;
    const scale = steps.map((step) => [onScale(step), text(step)]);
    return [...scale, [BARE, "no parameters"]];
  }
}
