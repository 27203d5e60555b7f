"use strict";
// The model as a tree: modules, with the nodes of the graph as leaves; and the edges as each module sees them.
//
// An item is a module or a node: {kind, id, label, full, parent, children, first, nodes, parameters, open}. `children`
// are in the order in which they run, as far as it suits the edges. What is drawn of an edge between two nodes: in the
// innermost module that holds both, a line between the children that hold them; in the modules further in, lines to or
// from the module's border.

class Tree {
  constructor(data) {
    this.data = data;
    this.modules = data.modules.map((module, index) => ({
      kind: "module",
      id: "m" + index,
      type: module.kind,
      name: module.name,
      parent: null,
      children: [],
      full: "",
      label: "",
      first: Infinity,
      nodes: [],
      parameters: [],
      open: false,
      depth: 0,
    }));
    data.modules.forEach((module, index) => {
      if (module.parent < 0) return;
      const above = this.modules[module.parent];
      this.modules[index].parent = above;
      this.modules[index].full = above.full ? above.full + "." + module.name : module.name;
      above.children.push(this.modules[index]);
    });
    this.nodes = data.nodes.map((node, index) => this.makeNode(node, index));
    data.parameters.forEach((parameter, index) => {
      for (let at = this.modules[parameter.module]; at; at = at.parent) at.parameters.push(index);
    });
    this.root = this.modules[0];
    this.root.full = "";
    this.root.label = data.title;
    this.finish(this.root);
    this.root.open = true;
    this.byId = new Map();
    this.visit(this.root, (item) => this.byId.set(item.id, item));
    this.producers = this.nodes.map(() => []);
    this.consumers = this.nodes.map(() => []);
    for (const [from, to] of data.edges) {
      this.producers[to].push(from);
      this.consumers[from].push(to);
    }
    this.lift();
  }

  makeNode(node, index) {
    const module = this.modules[node.module];
    const item = {
      kind: "node",
      id: "n" + index,
      index,
      op: node.op,
      shape: node.shape,
      parent: module,
      children: [],
      parameters: node.parameters,
      first: index,
      nodes: [index],
      depth: 0,
      label: "",
      full: "",
    };
    module.children.push(item);
    return item;
  }

  // Order, labels and sums, from the leaves up. A module of one child is left out: the child takes its name along.
  finish(module) {
    module.children = module.children
      .map((child) => {
        if (child.kind === "node") return child;
        this.finish(child);
        return child.children.length === 1 ? child.children[0] : child;
      })
      .filter((child) => child.kind === "node" || child.children.length > 0);
    module.children.sort((one, other) => one.first - other.first);
    module.nodes = module.children.flatMap((child) => child.nodes);
    module.first = module.children.length ? module.children[0].first : Infinity;
    for (const child of module.children) child.parent = module;
    if (module.parent === null) this.describe(module, 0);
  }

  describe(module, depth) {
    module.depth = depth;
    for (const child of module.children) {
      if (child.kind === "node") child.full = this.nameOf(child);
      const inside = module.full && child.full.startsWith(module.full + ".");
      child.label = inside ? child.full.slice(module.full.length + 1) : child.full;
      child.depth = depth + 1;
      if (child.kind === "module") this.describe(child, depth + 1);
    }
  }

  // Of a node: its module's name where the module is no more than the node, else its parameter's.
  nameOf(node) {
    if (!node.parameters.length) return "";
    const owner = this.modules[this.data.nodes[node.index].module];
    const parameter = this.data.parameters[node.parameters[0]].name;
    return owner !== node.parent && owner.full ? owner.full : parameter;
  }

  visit(item, act) {
    act(item);
    for (const child of item.children) this.visit(child, act);
  }

  lift() {
    this.visit(this.root, (item) => {
      if (item.kind !== "module") return;
      item.edges = new Map(); // child → Set of children it feeds
      item.entries = new Set();
      item.exits = new Set();
    });
    for (const [from, to] of this.data.edges) {
      for (const [module, one, other] of this.pieces(from, to)) {
        if (one === null) module.entries.add(other);
        else if (other === null) module.exits.add(one);
        else if (!module.edges.has(one)) module.edges.set(one, new Set([other]));
        else module.edges.get(one).add(other);
      }
    }
    this.visit(this.root, (item) => {
      if (item.kind === "module") item.children = inOrder(item);
    });
  }

  // The lines that an edge between two nodes consists of: [module, child or null for its border, child or null].
  pieces(from, to) {
    const above = this.chain(this.nodes[from]);
    const below = this.chain(this.nodes[to]);
    let shared = 0;
    while (above[shared + 1] && above[shared + 1] === below[shared + 1]) shared += 1;
    const found = [[above[shared], above[shared + 1], below[shared + 1]]];
    for (let at = shared + 1; at < above.length - 1; at += 1) found.push([above[at], above[at + 1], null]);
    for (let at = shared + 1; at < below.length - 1; at += 1) found.push([below[at], null, below[at + 1]]);
    return found;
  }

  // From the root down to an item.
  chain(item) {
    const found = [];
    for (let at = item; at; at = at.parent) found.push(at);
    return found.reverse();
  }

  setOpen(module, open) {
    if (module.kind !== "module" || module === this.root || module.open === open) return false;
    module.open = open;
    for (let at = module; at; at = at.parent) at.layout = null;
    return true;
  }

  setDepth(depth) {
    this.visit(this.root, (item) => {
      if (item.kind === "module" && item !== this.root) this.setOpen(item, item.depth <= depth);
    });
  }

  // The greatest depth at which no more than so many boxes are seen.
  clearDepth(most) {
    const counts = [];
    this.visit(this.root, (item) => {
      if (item !== this.root) counts[item.depth] = (counts[item.depth] || 0) + 1;
    });
    let shown = counts[1] || 0;
    let depth = 0;
    while (counts[depth + 2] && shown + counts[depth + 2] <= most) {
      shown += counts[depth + 2];
      depth += 1;
    }
    return depth;
  }

  // Open what an item is in; returns whether anything changed.
  reveal(item) {
    return this.chain(item)
      .slice(0, -1)
      .map((module) => this.setOpen(module, true))
      .some(Boolean);
  }

  // The innermost module with a box of its own, or the root, that holds a module of the model.
  drawnModule(number) {
    let at = this.modules[number];
    while (at.parent && this.byId.get(at.id) !== at) at = at.parent;
    return this.byId.get(at.id) === at ? at : this.root;
  }

  // The item itself, or the closed module that it is hidden in.
  visible(item) {
    return this.chain(item).find((at) => at === item || !at.open);
  }
}

// A module's children, each after those that feed it; of those that could come next, the one that runs first. Where
// children feed each other in a circle, the order of running counts.
function inOrder(module) {
  const waiting = new Map(module.children.map((child) => [child, 0]));
  for (const fed of module.edges.values()) for (const child of fed) waiting.set(child, waiting.get(child) + 1);
  const ready = module.children.filter((child) => !waiting.get(child));
  const left = new Set(module.children);
  const found = [];
  while (left.size) {
    const next = ready.length ? ready.shift() : left.values().next().value;
    if (!left.delete(next)) continue;
    found.push(next);
    for (const child of module.edges.get(next) || []) {
      waiting.set(child, waiting.get(child) - 1);
      if (waiting.get(child)) continue;
      let at = ready.length;
      while (at && ready[at - 1].first > child.first) at -= 1;
      ready.splice(at, 0, child);
    }
  }
  return found;
}
