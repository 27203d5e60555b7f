"use strict";
// Two painters of the same picture: on a canvas, and as SVG. Sizes are in pixels of the drawing at scale 1.

const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";

const textWidth = (() => {
  const context = document.createElement("canvas").getContext("2d");
  const known = new Map();
  return (text, size, weight) => {
    const key = size + "|" + weight + "|" + text;
    let width = known.get(key);
    if (width === undefined) {
      context.font = `${weight} ${size}px ${FONT}`;
      width = context.measureText(text).width;
      known.set(key, width);
    }
    return width;
  };
})();

class CanvasPainter {
  constructor(context) {
    this.context = context;
  }

  box(x, y, w, h, { radius = 5, fill = null, stroke = null, width = 1, dash = null }) {
    const context = this.context;
    if (!radius && !dash) {
      if (fill) {
        context.fillStyle = fill;
        context.fillRect(x, y, w, h);
      }
      if (stroke) this.frame(x, y, w, h, stroke, width);
      return;
    }
    context.beginPath();
    context.roundRect(x, y, w, h, radius);
    if (fill) {
      context.fillStyle = fill;
      context.fill();
    }
    if (stroke) {
      context.strokeStyle = stroke;
      context.lineWidth = width;
      context.setLineDash(dash || []);
      context.stroke();
    }
  }

  // Four thin rectangles take a fraction of the time that a stroke takes.
  frame(x, y, w, h, stroke, width) {
    const context = this.context,
      half = width / 2;
    context.fillStyle = stroke;
    context.fillRect(x - half, y - half, w + width, width);
    context.fillRect(x - half, y + h - half, w + width, width);
    context.fillRect(x - half, y - half, width, h + width);
    context.fillRect(x + w - half, y - half, width, h + width);
  }

  line(steps, { stroke, width = 1, dash = null }) {
    const context = this.context;
    context.beginPath();
    for (const [kind, ...points] of steps) {
      if (kind === "M") context.moveTo(...points);
      else if (kind === "L") context.lineTo(...points);
      else context.bezierCurveTo(...points);
    }
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.setLineDash(dash || []);
    context.stroke();
  }

  triangle(points, fill) {
    const context = this.context;
    context.beginPath();
    points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.fillStyle = fill;
    context.fill();
  }

  text(text, x, y, { size = 12, weight = 400, fill, align = "left" }) {
    const context = this.context;
    context.font = `${weight} ${size}px ${FONT}`;
    context.textAlign = align;
    context.fillStyle = fill;
    context.fillText(text, x, y);
  }
}

class SvgPainter {
  constructor() {
    this.parts = [];
  }

  box(x, y, w, h, { radius = 5, fill = null, stroke = null, width = 1, dash = null }) {
    const places = `x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" rx="${radius}"`;
    this.parts.push(`<rect ${places} fill="${fill || "none"}"${stroked(stroke, width, dash)}/>`);
  }

  line(steps, { stroke, width = 1, dash = null }) {
    const path = steps.map(([kind, ...points]) => kind + points.map(round).join(" ")).join("");
    this.parts.push(`<path d="${path}" fill="none"${stroked(stroke, width, dash)}/>`);
  }

  triangle(points, fill) {
    this.parts.push(`<path d="M${points.map((point) => point.map(round).join(" ")).join("L")}Z" fill="${fill}"/>`);
  }

  // As wide as here, whatever the fonts are where it is shown.
  text(text, x, y, { size = 12, weight = 400, fill, align = "left" }) {
    const anchor = { left: "start", center: "middle", right: "end" }[align];
    const width = textWidth(text, size, weight);
    const fit = text.length > 1 ? ` textLength="${round(width)}" lengthAdjust="spacingAndGlyphs"` : "";
    this.parts.push(
      `<text x="${round(x)}" y="${round(y)}" font-size="${size}" font-weight="${weight}" ` +
        `text-anchor="${anchor}" fill="${fill}"${fit}>${escaped(text)}</text>`,
    );
  }

  document(width, height, title) {
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${Math.ceil(width)}" height="${Math.ceil(height)}" ` +
      `viewBox="0 0 ${Math.ceil(width)} ${Math.ceil(height)}" font-family="${escaped(FONT)}" role="img">` +
      `<title>${escaped(title)}</title>\n${this.parts.join("\n")}\n</svg>\n`
    );
  }
}

function stroked(stroke, width, dash) {
  if (!stroke) return "";
  return ` stroke="${stroke}" stroke-width="${width}"` + (dash ? ` stroke-dasharray="${dash.join(" ")}"` : "");
}

function round(value) {
  return Math.round(value * 10) / 10;
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
