"use strict";
// The page: curves of what is ticked in the table, and looks for more while the server is there.

const FIRST = ["loss", "accuracy"]; // what a name has in it that stands above, in this order
const DASHES = ["none", "7 3", "2 3", "9 3 2 3"];
const QUIET = 90; // seconds without a line after which a training is said to be quiet

class Watch {
  constructor({ seconds, data }) {
    this.seconds = seconds;
    this.hidden = new Set();
    this.show(data);
    get("log").addEventListener("change", () => this.show(this.data));
    get("more").addEventListener("toggle", () => this.show(this.data));
    if (seconds !== null) this.wait();
    else get("state").textContent = "as it was when the page was written";
  }

  wait() {
    setTimeout(async () => {
      try {
        const answer = await fetch("/data");
        if (!answer.ok) throw new Error(String(answer.status));
        this.show(await answer.json());
      } catch {
        get("state").textContent = "the server has ended; this is what there was";
      }
      this.wait();
    }, 1000 * this.seconds);
  }

  show(data) {
    this.data = data;
    get("title").textContent = data.folder;
    document.title = data.folder;
    const names = [...new Set(data.runs.flatMap((run) => Object.keys(run.curves)))];
    const rank = (name) => FIRST.findIndex((word) => name.includes(word));
    const first = names
      .filter((name) => rank(name) >= 0 || name === "learning_rate")
      .sort((one, other) => (rank(one) < 0 ? 9 : rank(one)) - (rank(other) < 0 ? 9 : rank(other)));
    get("main").replaceChildren(...first.map((name) => this.chart(name)));
    const rest = names.filter((name) => !first.includes(name));
    get("others").replaceChildren(...(get("more").open ? rest.map((name) => this.chart(name)) : []));
    get("more").hidden = !rest.length;
    this.table(first);
    const count = data.runs.length;
    const left = data.left_out ? `, ${data.left_out} older ones left out` : "";
    if (this.seconds !== null) {
      get("state").textContent = count
        ? `${count} ${count === 1 ? "training" : "trainings"}${left}`
        : "no training has written a line yet";
    }
  }

  style(at) {
    return { colour: `var(--c${at % 8})`, dash: DASHES[Math.floor(at / 8) % DASHES.length] };
  }

  chart(name) {
    const runs = this.data.runs
      .map((run, at) => ({ run, at }))
      .filter(({ run }) => run.curves[name] && !this.hidden.has(run.name));
    const curves = runs.map(({ run, at }) => ({
      name: run.name,
      steps: run.curves[name][0],
      values: run.curves[name][1],
      ...this.style(at),
    }));
    return chart(name, curves, get("log").checked && name.includes("loss"));
  }

  // The table keeps its boxes from one look to the next, so that the keyboard's place is not lost.
  table(first) {
    const columns = first.slice(0, 6);
    const head = made(
      "thead",
      {},
      made(
        "tr",
        {},
        ...["training", "step", ...columns, "last line"].map((name) => made("th", { scope: "col" }, name)),
      ),
    );
    const focused = document.activeElement?.dataset?.run;
    const rows = this.data.runs.map((run, at) => this.row(run, at, columns));
    get("runs").replaceChildren(head, made("tbody", {}, ...rows));
    if (focused !== undefined)
      get("runs")
        .querySelector(`[data-run="${CSS.escape(focused)}"]`)
        ?.focus();
  }

  row(run, at, columns) {
    const box = made("input", { type: "checkbox", "data-run": run.name, onchange: () => this.toggle(run.name) });
    box.checked = !this.hidden.has(run.name);
    const { colour, dash } = this.style(at);
    const line = drawn("path", { d: "M1 4H25", class: "curve", "stroke-dasharray": dash });
    line.style.stroke = colour;
    const key = drawn("svg", { class: "key", viewBox: "0 0 26 8", "aria-hidden": "true" }, line);
    const last = (name) => {
      const values = run.curves[name]?.[1] || [];
      return values.length
        ? values[values.length - 1] === null
          ? "not finite"
          : short(values[values.length - 1])
        : "–";
    };
    const steps = Object.values(run.curves).map(([at]) => at[at.length - 1]);
    return made(
      "tr",
      {},
      made(
        "td",
        {},
        made("label", {}, box, key, run.name),
        run.dropped ? ` (${run.dropped} lines cannot be read)` : "",
      ),
      made("td", {}, steps.length ? Math.max(...steps).toLocaleString("en") : "–"),
      ...columns.map((name) => made("td", {}, last(name))),
      made("td", {}, this.age(run)),
    );
  }

  age(run) {
    const seconds = Math.max(0, Date.now() / 1000 - run.changed);
    if (!run.changed) return "–";
    const text =
      seconds < QUIET
        ? `${Math.round(seconds)} s ago`
        : seconds < 5400
          ? `${Math.round(seconds / 60)} min ago`
          : new Date(1000 * run.changed).toLocaleString();
    return text;
  }

  toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    this.show(this.data);
  }
}

function get(id) {
  return document.getElementById(id);
}

window.watch = new Watch(JSON.parse(get("data").textContent));
