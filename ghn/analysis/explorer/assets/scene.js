"use strict";
// The picture: boxes and lines of what is open, in the coordinates of the whole drawing, and how they are painted.

const READABLE = 0.32; // scale below which text is left out on the screen
const COARSE = 0.15; // scale below which corners are not seen

function shortened(text, most) {
  return text.length <= most ? text : "…" + text.slice(text.length - most + 1);
}

function moduleTitle(module) {
  const name = shortened(module.label || module.name, 44);
  return module.type && module.type !== name ? `${name} · ${shortened(module.type, 30)}` : name;
}

function quantity(count) {
  for (const [unit, size] of [
    ["G", 1e9],
    ["M", 1e6],
    ["k", 1e3],
  ]) {
    if (count >= 0.9995 * size) return (count / size).toPrecision(3) + " " + unit;
  }
  return String(count);
}

function moduleNote(module, data) {
  const elements = module.parameters.reduce((sum, index) => sum + data.parameters[index].elements, 0);
  const nodes = module.nodes.length;
  return `${nodes} ${nodes === 1 ? "node" : "nodes"}` + (elements ? `, ${quantity(elements)} elements` : "");
}

function nodeTitle(node) {
  return node.shape ? [node.op, node.shape] : [node.op, ""];
}

class Scene {
  constructor(tree) {
    this.tree = tree;
    this.update();
  }

  measure(item) {
    if (item.kind === "module") {
      const texts = [
        [moduleTitle(item), 12, 600],
        [moduleNote(item, this.tree.data), 11, 400],
      ];
      return { w: Math.max(...texts.map((text) => textWidth(...text))) + 44, h: 42 };
    }
    const [op, shape] = nodeTitle(item);
    const first = textWidth(op, 12, 600) + (shape ? textWidth(shape, 12, 400) + 8 : 0);
    const name = item.label ? textWidth(shortened(item.label, 40), 10.5, 400) : 0;
    return { w: Math.max(first, name, 44) + 16, h: item.label ? 36 : 24 };
  }

  update() {
    const layout = layoutModule(this.tree.root, (item) => this.measure(item));
    this.width = layout.w;
    this.height = layout.h;
    this.boxes = [];
    this.lines = [];
    this.place = new Map();
    this.add(this.tree.root, layout, 0, 0);
  }

  add(module, layout, x, y) {
    for (const box of layout.boxes) {
      const placed = { item: box.item, x: x + box.x, y: y + box.y, w: box.w, h: box.h };
      this.boxes.push(placed);
      this.place.set(box.item, placed);
      if (box.inner) this.add(box.item, box.inner, placed.x, placed.y);
    }
    for (const line of layout.lines) {
      const placed = { module, line, x, y };
      const sides = line.back === undefined ? [line.x1, line.x2] : [line.x1, line.x2, line.back];
      placed.left = x + Math.min(...sides);
      placed.right = x + Math.max(...sides);
      placed.top = y + Math.min(line.y1, line.y2);
      placed.bottom = y + Math.max(line.y1, line.y2);
      this.lines.push(placed);
    }
  }

  // The innermost box at a point; null where there is none.
  at(x, y) {
    let found = null;
    for (const box of this.boxes) {
      if (x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h) found = box;
    }
    return found;
  }

  // What is marked for an item: child → children, in each module, of the lines that its edges consist of.
  marked(item) {
    const marks = new Map();
    if (!item) return marks;
    const own = new Set(item.nodes);
    for (const node of item.nodes) {
      const edges = [
        ...this.tree.producers[node].map((other) => [other, node]),
        ...this.tree.consumers[node].map((other) => [node, other]),
      ];
      for (const [from, to] of edges) {
        if (own.has(from) && own.has(to)) continue;
        for (const [module, one, other] of this.tree.pieces(from, to)) {
          if (!marks.has(module)) marks.set(module, new Map());
          const fed = marks.get(module);
          if (!fed.has(one)) fed.set(one, new Set());
          fed.get(one).add(other);
        }
      }
    }
    return marks;
  }

  draw(painter, look, view) {
    const inside = (left, top, right, bottom) =>
      right >= view.left && left <= view.right && bottom >= view.top && top <= view.bottom;
    const boxes = this.boxes.filter((box) => inside(box.x, box.y, box.x + box.w, box.y + box.h));
    for (const box of boxes) if (box.item.open) drawGroup(painter, box, look, view.scale);
    const marked = [];
    for (const placed of this.lines) {
      if (!inside(placed.left - 4, placed.top, placed.right + 4, placed.bottom)) continue;
      if (isMarked(placed, look.marks)) marked.push(placed);
      else drawLine(painter, placed, look.line, 1.2, view.scale);
    }
    for (const placed of marked) drawLine(painter, placed, look.accent, 2.4, view.scale);
    for (const box of boxes) if (!box.item.open) drawBox(painter, box, look, view.scale);
    const chosen = look.selected && this.place.get(look.selected);
    if (chosen) {
      const width = Math.max(3, 2 / view.scale);
      painter.box(chosen.x - 3, chosen.y - 3, chosen.w + 6, chosen.h + 6, { radius: 7, stroke: look.accent, width });
    }
  }
}

function isMarked(placed, marks) {
  const fed = marks.get(placed.module)?.get(placed.line.producer);
  if (!fed) return false;
  const { consumers, start, end } = placed.line;
  for (let index = start; index < end; index += 1) if (fed.has(consumers[index].item)) return true;
  return false;
}

function drawLine(painter, { line, x, y }, stroke, thickness, scale) {
  const width = Math.max(thickness, 0.7 / scale);
  const x1 = x + line.x1,
    x2 = x + line.x2,
    y1 = y + line.y1,
    y2 = y + line.y2;
  if (line.back !== undefined) {
    const out = x + line.back;
    painter.line(
      [
        ["M", x1, y1],
        ["C", out, y1, out, y1, out, (y1 + y2) / 2],
        ["C", out, y2, out, y2, x2, y2],
      ],
      { stroke, width, dash: [5, 3] },
    );
    if (scale > 0.2)
      painter.triangle(
        [
          [x2, y2],
          [x2 + 7, y2 - 3.5],
          [x2 + 7, y2 + 3.5],
        ],
        stroke,
      );
    return;
  }
  const bend = y + line.bend,
    land = y + line.land,
    middle = (bend + land) / 2;
  const steps = [
    ["M", x1, y1],
    ["L", x1, bend],
  ];
  if (Math.abs(x1 - x2) > 0.5) steps.push(scale < COARSE ? ["L", x2, land] : ["C", x1, middle, x2, middle, x2, land]);
  steps.push(["L", x2, y2]);
  painter.line(steps, { stroke, width });
  if (line.arrow && scale > 0.2)
    painter.triangle(
      [
        [x2, y2],
        [x2 - 3.5, y2 - 7],
        [x2 + 3.5, y2 - 7],
      ],
      stroke,
    );
}

// From afar a large module's name stands in it at the size of the screen's texts.
function drawFarName(painter, box, ink, scale) {
  const title = moduleTitle(box.item);
  if (textWidth(title, 11, 600) + 8 > box.w * scale || box.h * scale < 18) return;
  painter.text(title, box.x + 4 / scale, box.y + 12 / scale, { size: 11 / scale, weight: 600, fill: ink });
}

function drawGroup(painter, box, look, scale) {
  const fill = look.groups[(box.item.depth - 1) % look.groups.length];
  painter.box(box.x, box.y, box.w, box.h, {
    radius: scale < COARSE ? 0 : 8,
    fill,
    stroke: look.border,
    width: Math.max(1, 0.7 / scale),
  });
  if (scale < READABLE) {
    // What it holds covers the rest, where it is near the border.
    if (HEAD * scale > 6) drawFarName(painter, box, look.ink, scale);
    return;
  }
  painter.text("−", box.x + 12, box.y + 18, { size: 15, weight: 600, fill: look.ink });
  painter.text(moduleTitle(box.item), box.x + 30, box.y + 17, { size: 12, weight: 600, fill: look.ink });
}

function drawBox(painter, box, look, scale) {
  const item = box.item;
  const { fill, ink } = look.paint(item);
  const group = item.kind === "module";
  const radius = scale < COARSE ? 0 : group ? 8 : 4;
  const shape = { radius, fill, stroke: look.border, width: Math.max(group ? 1.4 : 0.8, 0.5 / scale) };
  if (group && scale >= COARSE) painter.box(box.x + 3, box.y + 3, box.w, box.h, { ...shape, fill: look.groups[0] });
  painter.box(box.x, box.y, box.w, box.h, shape);
  if (scale < READABLE) {
    if (group) drawFarName(painter, box, ink, scale);
    return;
  }
  const middle = box.x + box.w / 2;
  if (group) {
    painter.text("+", box.x + 10, box.y + 19, { size: 15, weight: 600, fill: ink });
    painter.text(moduleTitle(item), box.x + 28, box.y + 18, { size: 12, weight: 600, fill: ink });
    painter.text(moduleNote(item, look.data), box.x + 28, box.y + 33, { size: 11, fill: ink });
    return;
  }
  const [op, size] = nodeTitle(item);
  const width = textWidth(op, 12, 600) + (size ? textWidth(size, 12, 400) + 8 : 0);
  painter.text(op, middle - width / 2, box.y + 16, { size: 12, weight: 600, fill: ink });
  if (size) painter.text(size, middle + width / 2, box.y + 16, { size: 12, fill: ink, align: "right" });
  if (item.label) {
    painter.text(shortened(item.label, 40), middle, box.y + 29, { size: 10.5, fill: ink, align: "center" });
  }
}
