"use strict";
// Where everything stands: each open module is laid out by itself, in layers, its children as boxes.
//
// Children stand in rows by longest path. A line that skips rows takes a lane of its own through them, one for all that
// its producer feeds. Rows are ordered by barycentres; then each box is put under the median of what it is connected
// to, as far as the order and the widths of its row allow (isotonic regression: pool adjacent violators).
// Lines that lead back to what runs earlier (a module that is called twice) go around the side.

const PAD = 12,
  HEAD = 26,
  GAP_X = 14,
  GAP_Y = 26,
  LANE = 10,
  SWEEPS = 4;
const MOST_LANES = 40000; // cells of lanes in one module; further lines are drawn straight

function layoutModule(module, measure) {
  if (module.layout) return module.layout;
  const units = [];
  if (module.entries.size) units.push(port());
  const begin = units.length;
  for (const child of module.children) units.push(unit(child, measure));
  if (module.exits.size) units.push(port());
  const edges = unitEdges(module, units, begin);
  const rows = rankUnits(units, edges.forward);
  addLanes(rows, units, edges.forward);
  orderRows(rows);
  placeColumns(rows);
  module.layout = measured(module, units, rows, edges.backward);
  return module.layout;
}

function port() {
  return { item: null, w: 0, h: 0, up: [], down: [], x: 0 };
}

function unit(child, measure) {
  const inner = child.kind === "module" && child.open ? layoutModule(child, measure) : null;
  const size = inner || measure(child);
  return { item: child, inner, w: size.w, h: size.h, up: [], down: [], x: 0 };
}

function unitEdges(module, units, begin) {
  const at = new Map(module.children.map((child, index) => [child, begin + index]));
  const forward = units.map(() => []);
  const backward = [];
  for (const [child, fed] of module.edges) {
    for (const other of fed) {
      if (at.get(child) < at.get(other)) forward[at.get(child)].push(at.get(other));
      else backward.push([at.get(child), at.get(other)]);
    }
  }
  for (const child of module.entries) forward[0].push(at.get(child));
  for (const child of module.exits) forward[at.get(child)].push(units.length - 1);
  return { forward, backward };
}

function rankUnits(units, forward) {
  const fed = units.map(() => false);
  for (const one of units) one.rank = 0;
  forward.forEach((others, index) => {
    for (const other of others) {
      fed[other] = true;
      units[other].rank = Math.max(units[other].rank, units[index].rank + 1);
    }
  });
  // What nothing feeds stands just above what it feeds.
  for (let index = units.length - 1; index > 0; index -= 1) {
    if (!fed[index] && forward[index].length) {
      units[index].rank = Math.min(...forward[index].map((other) => units[other].rank)) - 1;
    }
  }
  const rows = [];
  for (const one of units) {
    while (rows.length <= one.rank) rows.push([]);
    rows[one.rank].push(one);
  }
  return rows;
}

// Cells of lanes, and the connections of cells in neighbouring rows: {from, to, weight, producer, consumers, start}.
function addLanes(rows, units, forward) {
  let cells = 0;
  forward.forEach((fed, index) => {
    const producer = units[index];
    producer.straight = [];
    const consumers = fed.map((other) => units[other]).sort((one, other) => one.rank - other.rank);
    const last = consumers.length ? consumers[consumers.length - 1].rank : 0;
    const far = last - producer.rank - 1;
    const short = cells + far > MOST_LANES;
    if (!short) cells += Math.max(far, 0);
    let above = producer;
    let start = 0;
    for (let rank = producer.rank + 1; rank <= last; rank += 1) {
      const begin = start;
      while (start < consumers.length && consumers[start].rank === rank) {
        connect(above, consumers[start], producer, consumers, start, start + 1);
        start += 1;
      }
      if (short && start > begin) {
        producer.straight = consumers.slice(start);
        break;
      }
      if (rank === last || short) continue;
      const lane = { item: null, lane: true, w: 0, h: 0, up: [], down: [], x: 0, rank };
      rows[rank].push(lane);
      connect(above, lane, producer, consumers, start, consumers.length);
      above = lane;
    }
  });
}

function connect(from, to, producer, consumers, start, end) {
  const weight = from.lane && to.lane ? 8 : from.lane || to.lane ? 1 : 4;
  const line = { from, to, weight, producer, consumers, start, end };
  from.down.push(line);
  to.up.push(line);
}

function orderRows(rows) {
  const number = (row) =>
    row.forEach((cell, place) => {
      cell.place = place / Math.max(row.length - 1, 1);
    });
  rows.forEach(number);
  const sweep = (row, side, end) => {
    if (row.length < 2) return;
    for (const cell of row) {
      const lines = cell[side];
      cell.wish = lines.length ? lines.reduce((sum, line) => sum + line[end].place, 0) / lines.length : cell.place;
    }
    row.sort((one, other) => one.wish - other.wish);
    number(row);
  };
  for (let round = 0; round < SWEEPS; round += 1) {
    for (let at = 1; at < rows.length; at += 1) sweep(rows[at], "up", "from");
    for (let at = rows.length - 2; at >= 0; at -= 1) sweep(rows[at], "down", "to");
  }
  for (let at = 1; at < rows.length; at += 1) sweep(rows[at], "up", "from");
}

function placeColumns(rows) {
  for (const row of rows) {
    let x = 0;
    row.forEach((cell, index) => {
      if (index) x += distance(row[index - 1], cell);
      cell.x = x;
    });
    for (const cell of row) cell.x -= x / 2;
  }
  for (let round = 0; round < SWEEPS; round += 1) {
    for (let at = 1; at < rows.length; at += 1) settle(rows[at], "up", "from");
    for (let at = rows.length - 2; at >= 0; at -= 1) settle(rows[at], "down", "to");
  }
  for (let at = 1; at < rows.length; at += 1) settle(rows[at], "up", "from");
}

function distance(left, right) {
  const gap = left.lane && right.lane ? LANE : GAP_X;
  return (left.w + right.w) / 2 + gap;
}

// Put the cells of a row as near as possible to the medians of their neighbours, in their order and without overlap.
function settle(row, side, end) {
  const blocks = []; // cells that touch: {sum of weighted places, weight, count}
  let offset = 0;
  const offsets = row.map((cell, index) => (offset += index ? distance(row[index - 1], cell) : 0));
  row.forEach((cell, index) => {
    const lines = cell[side];
    const wish = lines.length ? median(lines, end) : cell.x;
    const weight = lines.length ? lines.reduce((sum, line) => sum + line.weight, 0) : 0.1;
    let block = { sum: weight * (wish - offsets[index]), weight, count: 1 };
    while (
      blocks.length &&
      blocks[blocks.length - 1].sum / blocks[blocks.length - 1].weight > block.sum / block.weight
    ) {
      const before = blocks.pop();
      block = { sum: before.sum + block.sum, weight: before.weight + block.weight, count: before.count + block.count };
    }
    blocks.push(block);
  });
  let index = 0;
  for (const block of blocks) {
    for (let count = 0; count < block.count; count += 1, index += 1)
      row[index].x = block.sum / block.weight + offsets[index];
  }
}

function median(lines, end) {
  if (lines.length === 1) return lines[0][end].x;
  const sorted = [...lines].sort((one, other) => one[end].x - other[end].x);
  const half = sorted.reduce((sum, line) => sum + line.weight, 0) / 2;
  let reached = 0;
  for (let index = 0; index < sorted.length; index += 1) {
    reached += sorted[index].weight;
    if (reached > half) return sorted[index][end].x;
    if (reached === half) return (sorted[index][end].x + sorted[index + 1][end].x) / 2;
  }
  return sorted[sorted.length - 1][end].x;
}

// Places within the module, whose own upper left corner is (0, 0).
function measured(module, units, rows, backward) {
  let left = Infinity,
    right = -Infinity;
  for (const row of rows) {
    for (const cell of row) {
      left = Math.min(left, cell.x - cell.w / 2);
      right = Math.max(right, cell.x + cell.w / 2);
    }
  }
  const side = backward.length ? 20 : 0;
  const w = Math.max(right - left + 2 * PAD + side, module.parent ? textWidth(moduleTitle(module), 12, 600) + 46 : 0);
  const shift = (w - side - (right - left)) / 2 - left;
  let y = module.parent ? HEAD + PAD / 2 : PAD;
  rows.forEach((row, index) => {
    // Ports stand on the border.
    const first = index === 0 && module.entries.size > 0;
    if (first) y = module.parent ? HEAD : 0;
    const height = Math.max(...row.map((cell) => cell.h));
    for (const cell of row) {
      cell.x += shift;
      cell.y = y;
      cell.bottom = y + height;
    }
    y += height + (first ? GAP_Y / 2 : index === rows.length - 1 ? 0 : GAP_Y);
  });
  const h = y + (module.exits.size ? 0 : PAD);
  const boxes = units
    .filter((one) => one.item)
    .map((one) => ({ item: one.item, inner: one.inner, x: one.x - one.w / 2, y: one.y, w: one.w, h: one.h }));
  const lines = rows.flatMap((row) => row.flatMap((cell) => cell.down.map(drawnLine)));
  for (const one of units) {
    for (const other of one.straight)
      lines.push(drawnLine({ from: one, to: other, producer: one, consumers: [other], start: 0, end: 1 }));
  }
  for (const [from, to] of backward) lines.push(lineBack(units[from], units[to], w));
  return { w, h, boxes, lines };
}

function drawnLine(line) {
  const { from, to } = line;
  return {
    x1: from.x,
    y1: from.lane ? from.bottom : from.y + from.h,
    bend: from.bottom,
    land: to.y,
    x2: to.x,
    // A lane goes on through its row.
    y2: to.lane ? to.bottom : to.y,
    arrow: to.item !== null,
    producer: line.producer.item,
    consumers: line.consumers,
    start: line.start,
    end: line.end,
  };
}

function lineBack(from, to, w) {
  return {
    x1: from.x + from.w / 2,
    y1: from.y + from.h / 2,
    x2: to.x + to.w / 2,
    y2: to.y + to.h / 2,
    back: w - 6,
    arrow: true,
    producer: from.item,
    consumers: [to],
    start: 0,
    end: 1,
  };
}
