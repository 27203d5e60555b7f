"use strict";
// One or two canvases that show the scene under the same transform: pan, zoom, choose; drawn when something changed.

const LEAST_SCALE = 0.001,
  MOST_SCALE = 4;

class Views {
  constructor(act) {
    this.act = act; // {scene(), look(start), choose(item), toggle(item)}
    this.views = [];
    this.scale = 1;
    this.x = 0; // of the drawing's point in the upper left corner
    this.y = 0;
    this.pending = false;
    this.frames = 0;
    this.firstFrame = null; // when it was drawn, in milliseconds since the page was asked for
  }

  add(canvas, start) {
    const view = { canvas, start, context: canvas.getContext("2d"), pointers: new Map(), moved: 0 };
    this.views.push(view);
    const watcher = new ResizeObserver(() => this.resize(view));
    watcher.observe(canvas);
    canvas.addEventListener("wheel", (event) => this.wheel(view, event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(view, event));
    canvas.addEventListener("pointermove", (event) => this.move(view, event));
    canvas.addEventListener("pointerup", (event) => this.release(view, event));
    canvas.addEventListener("pointercancel", (event) => view.pointers.delete(event.pointerId));
    canvas.addEventListener("dblclick", (event) => this.toggleAt(view, event));
    this.resize(view);
    return view;
  }

  resize(view) {
    const { clientWidth: width, clientHeight: height } = view.canvas;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (!width || !height) return;
    // What was in the middle stays there.
    if (view === this.front && view.width) this.x += (view.width - width) / 2 / this.scale;
    view.width = width;
    view.height = height;
    view.ratio = ratio;
    view.canvas.width = Math.round(width * ratio);
    view.canvas.height = Math.round(height * ratio);
    this.draw();
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.drawNow();
    });
  }

  drawNow() {
    for (const view of this.views) {
      if (!view.width || view.canvas.closest("[hidden]")) continue;
      const { context } = view;
      const look = this.act.look(view.start);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.fillStyle = look.background;
      context.fillRect(0, 0, view.canvas.width, view.canvas.height);
      const scale = this.scale * view.ratio;
      context.setTransform(scale, 0, 0, scale, -this.x * scale, -this.y * scale);
      this.act.scene().draw(new CanvasPainter(context), look, {
        left: this.x,
        top: this.y,
        right: this.x + view.width / this.scale,
        bottom: this.y + view.height / this.scale,
        scale: this.scale,
      });
    }
    this.frames += 1;
    this.firstFrame ??= performance.now();
  }

  get front() {
    return this.views[0];
  }

  // The whole drawing, or its upper part where it would be too small to read.
  fit(whole = false) {
    const { width, height } = this.act.scene();
    const across = this.front.width / (width + 40),
      down = this.front.height / (height + 40);
    this.scale = Math.min(Math.max(Math.min(across, down), whole ? LEAST_SCALE : Math.min(across, 0.55)), 1.25);
    this.x = width / 2 - this.front.width / this.scale / 2;
    this.y =
      height * this.scale <= this.front.height ? (height - this.front.height / this.scale) / 2 : -60 / this.scale;
    this.draw();
  }

  zoom(factor, px = this.front.width / 2, py = this.front.height / 2) {
    const scale = Math.min(Math.max(this.scale * factor, LEAST_SCALE), MOST_SCALE);
    this.x += px / this.scale - px / scale;
    this.y += py / this.scale - py / scale;
    this.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.x += dx / this.scale;
    this.y += dy / this.scale;
    this.draw();
  }

  // Bring a box to sight, at a scale at which it can be read.
  centre(box) {
    this.scale = Math.max(this.scale, 0.7);
    const fits = box.h < this.front.height / this.scale;
    this.x = box.x + box.w / 2 - this.front.width / this.scale / 2;
    this.y = fits ? box.y + box.h / 2 - this.front.height / this.scale / 2 : box.y - 20 / this.scale;
    this.draw();
  }

  // Keep a box where it is on the screen while the layout changes.
  hold(item, change) {
    const before = this.act.scene().place.get(item);
    change();
    const after = this.act.scene().place.get(item);
    if (before && after) {
      this.x += after.x + after.w / 2 - before.x - before.w / 2;
      this.y += after.y - before.y;
    }
    this.draw();
  }

  point(view, event) {
    const place = view.canvas.getBoundingClientRect();
    return [event.clientX - place.left, event.clientY - place.top];
  }

  boxAt(view, event) {
    const [px, py] = this.point(view, event);
    return this.act.scene().at(this.x + px / this.scale, this.y + py / this.scale);
  }

  wheel(view, event) {
    event.preventDefault();
    const [px, py] = this.point(view, event);
    const lines = event.deltaMode === 1 ? 20 : 1;
    if (event.shiftKey) this.pan(event.deltaY * lines, 0);
    else
      this.zoom(Math.exp(-Math.max(-120, Math.min(120, event.deltaY * lines)) / (event.ctrlKey ? 100 : 400)), px, py);
  }

  press(view, event) {
    view.canvas.setPointerCapture(event.pointerId);
    view.pointers.set(event.pointerId, this.point(view, event));
    if (view.pointers.size === 1) view.moved = 0;
  }

  move(view, event) {
    const [px, py] = this.point(view, event);
    const before = view.pointers.get(event.pointerId);
    if (!before) {
      view.canvas.style.cursor = this.boxAt(view, event) ? "pointer" : "grab";
      return;
    }
    view.moved += Math.abs(px - before[0]) + Math.abs(py - before[1]);
    if (view.pointers.size === 2) {
      const [other] = [...view.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const span = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]);
      this.zoom(span([px, py]) / Math.max(span(before), 1), (px + other[0]) / 2, (py + other[1]) / 2);
    }
    this.pan((before[0] - px) / view.pointers.size, (before[1] - py) / view.pointers.size);
    view.pointers.set(event.pointerId, [px, py]);
  }

  release(view, event) {
    if (!view.pointers.delete(event.pointerId) || view.moved > 5 || view.pointers.size) return;
    const box = this.boxAt(view, event);
    if (box && this.onSign(view, event, box)) this.act.toggle(box.item);
    else this.act.choose(box ? box.item : null);
  }

  // Whether it is the plus or minus of a module that is pointed to.
  onSign(view, event, box) {
    if (box.item.kind !== "module" || this.scale < READABLE) return false;
    const [px, py] = this.point(view, event);
    return this.x + px / this.scale < box.x + 26 && this.y + py / this.scale < box.y + 28;
  }

  toggleAt(view, event) {
    const box = this.boxAt(view, event);
    if (box && box.item.kind === "module" && !this.onSign(view, event, box)) this.act.toggle(box.item);
  }
}
