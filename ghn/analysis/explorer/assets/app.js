"use strict";
// The page: what is chosen and how it is shown, the controls, the keyboard, and the pictures that are saved.

const MOST_CLEAR = 60; // boxes that are shown at first
const LARGEST_PNG = 12000; // pixels of a side

class App {
  constructor(data) {
    this.data = data;
    this.tree = new Tree(data);
    this.tree.setDepth(data.depth === null ? this.tree.clearDepth(MOST_CLEAR) : data.depth);
    this.scene = new Scene(this.tree);
    this.colours = new Colours(this.tree);
    this.chosen = null;
    this.marks = new Map();
    this.mode = "primitive";
    this.start = Math.min(1, data.starts.length - 1);
    this.looks = new Map();
    const act = { choose: (item) => this.choose(item), toggle: (item) => this.toggle(item) };
    this.details = new Details(get("details"), this.tree, this.colours, act);
    this.views = new Views({ ...act, scene: () => this.scene, look: (start) => this.look(start) });
    this.search = new Search(get("search"), get("found"), this.tree, (item) => {
      this.choose(item, true);
      get("canvas-0").focus();
    });
    this.controls();
    this.panes();
    get("title").textContent = data.title;
    document.title = `${data.title} – explorer`;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyle());
    this.views.fit();
    this.choose(this.named(), true);
    this.refresh();
  }

  // What the address names behind its #, as in page.html#layer1.0.conv1.
  named() {
    let name = location.hash.slice(1);
    try {
      name = decodeURIComponent(name);
    } catch {
      /* it stays as it is */
    }
    return [...this.tree.byId.values()].find((item) => name && item.full === name) || null;
  }

  // Starts and panes

  panes() {
    const second = this.data.starts.length > 2 ? 2 : 0;
    this.shownStarts = [this.start, this.data.starts.length > 1 ? second : 0];
    [0, 1].forEach((pane) => {
      const select = get("start-" + pane);
      const options = this.data.starts.map((start, at) => element("option", { value: String(at) }, start.name));
      select.append(...options);
      select.value = String(this.shownStarts[pane]);
      select.addEventListener("change", () => {
        this.shownStarts[pane] = Number(select.value);
        this.views.views[pane].start = this.shownStarts[pane];
        this.refresh();
      });
      this.views.add(get("canvas-" + pane), this.shownStarts[pane]);
    });
    get("beside").disabled = this.data.starts.length < 2;
    if (this.data.starts.length > 2 && window.innerWidth >= 900) this.putBeside(true);
  }

  putBeside(on) {
    get("beside").setAttribute("aria-pressed", String(on));
    get("pane-1").hidden = !on;
    if (on && this.mode === "primitive") this.setMode("norm");
    this.views.views.forEach((view) => this.views.resize(view));
    this.refresh();
  }

  controls() {
    const buttons = {
      "zoom-in": () => this.views.zoom(1.3),
      "zoom-out": () => this.views.zoom(1 / 1.3),
      fit: () => this.views.fit(true),
      "open-all": () => this.changeDepth(Infinity),
      "close-all": () => this.changeDepth(0),
      theme: () => this.switchTheme(),
      "save-svg": () => this.saveSvg(),
      "save-png": () => this.savePng(),
      beside: () => this.putBeside(get("beside").getAttribute("aria-pressed") !== "true"),
      help: () => get("keys").showModal(),
      "close-keys": () => get("keys").close(),
      more: () => this.showControls(get("more").getAttribute("aria-expanded") !== "true"),
    };
    for (const [id, act] of Object.entries(buttons)) get(id).addEventListener("click", act);
    get("colour").addEventListener("change", () => this.setMode(get("colour").value));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  showControls(on) {
    get("more").setAttribute("aria-expanded", String(on));
    get("controls").classList.toggle("open", on);
  }

  setMode(mode) {
    this.mode = mode;
    get("colour").value = mode;
    this.refresh();
  }

  // What is open and chosen

  changeDepth(depth) {
    this.tree.setDepth(depth);
    this.scene.update();
    if (this.chosen) this.choose(this.tree.visible(this.chosen));
    this.views.fit();
    this.announce(depth ? "all modules expanded" : "all modules collapsed");
  }

  toggle(item) {
    if (item.kind !== "module" || item === this.tree.root) return;
    this.views.hold(item, () => {
      this.tree.setOpen(item, !item.open);
      this.scene.update();
    });
    this.choose(item);
    this.announce(`${item.full} ${item.open ? "expanded" : "collapsed"}`);
  }

  choose(item, bring = false) {
    if (item && this.tree.reveal(item)) this.scene.update();
    this.chosen = item === this.tree.root ? null : item;
    this.marks = this.scene.marked(this.chosen);
    this.looks.clear();
    this.details.show(this.chosen || this.tree.root);
    if (this.chosen) {
      const box = this.scene.place.get(this.chosen);
      if (bring || !this.isInSight(box)) this.views.centre(box);
      this.announce(`${this.details.title(this.chosen)}, ${this.chosen.op || this.chosen.type}`);
    }
    this.views.draw();
  }

  isInSight(box) {
    const { x, y, scale, front } = this.views;
    const right = x + front.width / scale,
      bottom = y + front.height / scale;
    return box.x < right && box.x + box.w > x && box.y < bottom && box.y + box.h > y;
  }

  announce(text) {
    get("status").textContent = text;
  }

  // How it looks

  look(start) {
    if (!this.looks.has(start)) {
      const style = getComputedStyle(document.documentElement);
      const colour = (name) => style.getPropertyValue(name).trim();
      const theme = { module: colour("--module") };
      this.looks.set(start, {
        background: colour("--canvas"),
        line: colour("--wire"),
        border: colour("--border"),
        ink: colour("--ink"),
        accent: colour("--accent"),
        groups: [colour("--group1"), colour("--group2")],
        data: this.data,
        paint: this.colours.painter(this.mode, start, theme),
        selected: this.chosen,
        marks: this.marks,
      });
    }
    return this.looks.get(start);
  }

  refresh() {
    this.looks.clear();
    const entries = this.colours.legend(this.mode, this.shownStarts[0]);
    get("legend").replaceChildren(
      ...entries.map(([colour, text]) => {
        const sample = element("span", { class: "sample", "aria-hidden": "true" });
        sample.style.background = colour;
        return element("li", {}, sample, text);
      }),
    );
    this.views.draw();
  }

  switchTheme() {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    this.restyle();
  }

  restyle() {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
    get("theme").setAttribute("aria-pressed", String(dark));
    this.refresh();
  }

  // Keyboard

  key(event) {
    const typing = event.target.closest("input, select, textarea, dialog");
    if (event.key === "/" && !typing) get("search").focus();
    else if (event.key === "?" && !typing) get("keys").showModal();
    else if (event.key === "Escape" && !typing) this.choose(null);
    else if (event.target.closest("canvas")) {
      if (!this.canvasKey(event)) return;
    } else return;
    event.preventDefault();
  }

  canvasKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const steps = { ArrowUp: [0, -80], ArrowDown: [0, 80], ArrowLeft: [-80, 0], ArrowRight: [80, 0] };
    const keys = {
      "+": () => this.views.zoom(1.3),
      "=": () => this.views.zoom(1.3),
      "-": () => this.views.zoom(1 / 1.3),
      0: () => this.views.fit(true),
      Enter: () => this.chosen && this.toggle(this.chosen),
      " ": () => this.chosen && this.toggle(this.chosen),
      Home: () => this.go(0, true),
      End: () => this.go(-1, true),
      e: () => this.changeDepth(Infinity),
      c: () => this.changeDepth(0),
      u: () => this.chosen && this.choose(this.chosen.parent, this.chosen.parent !== this.tree.root),
    };
    if (event.shiftKey && steps[event.key]) this.views.pan(...steps[event.key]);
    else if (event.key === "ArrowDown" || event.key === "ArrowRight") this.go(1);
    else if (event.key === "ArrowUp" || event.key === "ArrowLeft") this.go(-1);
    else if (keys[event.key]) keys[event.key]();
    else return false;
    return true;
  }

  // To the next or last one of the boxes, in the order in which they run.
  go(step, end = false) {
    const items = this.scene.boxes.map((box) => box.item);
    if (!items.length) return;
    const at = items.indexOf(this.chosen);
    const last = items.length - 1;
    const next = end ? (step < 0 ? last : 0) : at < 0 ? 0 : Math.min(Math.max(at + step, 0), last);
    this.choose(items[next]);
  }

  // Pictures: the whole drawing as it is opened, with what its colours mean.

  picture(painter) {
    const { scene } = this;
    const look = { ...this.look(this.shownStarts[0]), selected: null, marks: new Map() };
    const entries = this.colours.legend(this.mode, this.shownStarts[0]);
    const meaning = { primitive: "primitive", state: "what is set", norm: "norm" }[this.mode];
    const start = this.mode === "primitive" ? "" : `, ${this.data.starts[this.shownStarts[0]].name}`;
    const caption = `${this.data.title}: ${this.tree.nodes.length} nodes, coloured by ${meaning}${start}`;
    const width = Math.max(scene.width, textWidth(caption, 14, 600), 320) + 40;
    const places = [];
    let x = 20,
      y = 52;
    for (const [colour, text] of entries) {
      const size = textWidth(text, 12, 400) + 34;
      if (x > 20 && x + size > width - 20) [x, y] = [20, y + 20];
      places.push([colour, text, x, y]);
      x += size;
    }
    const top = y + 24;
    return {
      width,
      height: top + scene.height + 20,
      caption,
      draw: () => {
        painter().box(0, 0, width, top + scene.height + 20, { radius: 0, fill: look.background });
        painter().text(caption, 20, 28, { size: 14, weight: 600, fill: look.ink });
        for (const [colour, text, left, line] of places) {
          painter().box(left, line - 10, 12, 12, { radius: 2, fill: colour, stroke: look.border });
          painter().text(text, left + 17, line, { size: 12, fill: look.ink });
        }
        const left = (width - scene.width) / 2;
        const view = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity, scale: 1 };
        scene.draw(shifted(painter(), left, top), look, view);
      },
    };
  }

  saveSvg() {
    const painter = new SvgPainter();
    const picture = this.picture(() => painter);
    picture.draw();
    const text = painter.document(picture.width, picture.height, picture.caption);
    save(new Blob([text], { type: "image/svg+xml" }), this.fileName("svg"));
    this.announce("saved as SVG");
  }

  savePng() {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    const painter = new CanvasPainter(context);
    const picture = this.picture(() => painter);
    const scale = Math.min(2, LARGEST_PNG / picture.width, LARGEST_PNG / picture.height);
    canvas.width = Math.ceil(picture.width * scale);
    canvas.height = Math.ceil(picture.height * scale);
    context.scale(scale, scale);
    picture.draw();
    canvas.toBlob((blob) => {
      if (blob) save(blob, this.fileName("png"));
      this.announce(blob ? "saved as PNG" : "the picture is too large for a PNG: save it as SVG");
    }, "image/png");
  }

  fileName(suffix) {
    const name = this.data.title
      .replace(/[^\w.-]+/g, "-")
      .replace(/^[-.]+|[-.]+$/g, "")
      .slice(0, 60);
    return `${name || "model"}.${suffix}`;
  }
}

// A painter whose origin is elsewhere.
function shifted(painter, dx, dy) {
  const step = ([kind, ...places]) => [kind, ...places.map((place, index) => place + (index % 2 ? dy : dx))];
  return {
    box: (x, y, w, h, style) => painter.box(x + dx, y + dy, w, h, style),
    line: (steps, style) => painter.line(steps.map(step), style),
    triangle: (points, fill) =>
      painter.triangle(
        points.map(([x, y]) => [x + dx, y + dy]),
        fill,
      ),
    text: (text, x, y, style) => painter.text(text, x + dx, y + dy, style),
  };
}

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function get(id) {
  return document.getElementById(id);
}

window.explorer = new App(JSON.parse(get("data").textContent));
