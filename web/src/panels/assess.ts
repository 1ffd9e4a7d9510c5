// Assessing: a random sample, labelled blind, and what it says of the map as it was published.
import { UNKNOWN } from "../data.ts";
import { h, replace } from "../dom.ts";
import { LABELS } from "../handing.ts";
import type { Labels } from "../labels.ts";
import { allocate, type ClassAssessment, type Interval } from "../learn/estimate.ts";
import type { Page } from "../page.ts";
import { count, decimal, named, t } from "../strings.ts";
import { chips } from "./card.ts";
import { classButtons, handIn, labelOf } from "./labelling.ts";

const USUAL = 100;
const LEAST = 5;

export type Assess = { root: HTMLElement; key: (key: string) => boolean; sample: () => number[] };

/** The buildings that `siamese assess -n` draws, in its order. */
export function sample(order: Float64Array, mapped: Uint8Array, known: Set<number>, size: number, least: number): number[] {
  const members: number[][] = [[], [], [], [], []];
  mapped.forEach((c, place) => { if (!known.has(place)) members[c].push(place); });
  const sizes = allocate(members.map((one) => one.length), size, least);
  const by = (a: number, b: number): number => order[a] - order[b] || a - b;
  return members.flatMap((one, c) => one.sort(by).slice(0, sizes[c])).sort(by);
}

export function assess(page: Page, labels: Labels): Assess {
  const { state, about } = page;
  const root = h("div", { class: "stack" });
  if (!about.teach.columns || state.buildings.n === 0) {
    replace(root, h("p", {}, t("teach.absent", { why: about.teach.absent ?? "" })));
    return { root, key: () => false, sample: () => [] };
  }
  const known = new Map(Object.entries(about.teach.labels ?? {})
    .map(([place, name]): [number, number] => [Number(place), about.classes.indexOf(name)]).filter(([, c]) => c >= 0 && c < UNKNOWN));
  let places: number[] = [];
  let at = 0;
  let running = 0;
  let asked = USUAL;
  const size = h("input", { type: "number", id: "assess-size", min: 5, max: state.buildings.n, step: 5 });
  size.value = String(Math.min(USUAL, state.buildings.n));
  const start = h("button", { type: "button", class: "main", id: "assess-start", onclick: () => void begin() }, t("assess.start"));
  const work = h("div", { class: "stack" }), table = h("div", { "aria-live": "polite" });
  const handing = handIn(page, labels, "assessment", () => asked);
  handing.root.hidden = true;

  async function begin(): Promise<void> {
    start.disabled = true;
    // Also of a map with fewer buildings: `siamese assess -n` draws them all, and its sample is named by what was asked for.
    asked = Math.max(LEAST, Math.round(Number(size.value)) || USUAL);
    try {
      places = sample(await page.learner.randomOrder(), state.buildings.mapped, new Set(known.keys()), asked, about.adaptation.least);
    } catch (error) {
      replace(work, h("p", { role: "alert" }, t("teach.absent", { why: error instanceof Error ? error.message : String(error) })));
      return;
    } finally {
      start.disabled = false;
    }
    handing.root.hidden = false;
    at = Math.max(0, places.findIndex((place) => labels.get(place) === null));
    step(0);
    await judge();
  }

  /** Moves along the sample. */
  function step(by: number): void {
    if (!places.length) return;
    at = Math.min(places.length - 1, Math.max(0, at + by));
    const place = places[at];
    const label = labels.get(place);
    const done = places.filter((one) => labels.get(one) !== null).length;
    const progress = h("progress", { max: places.length, "aria-label": t("assess.progress", { done, all: places.length }) });
    progress.value = done;
    replace(work,
      h("p", { role: "status", id: "assess-progress" }, t("assess.progress", { done, all: places.length }), done === places.length ? ` ${t("assess.done")}` : null), progress,
      h("h2", {}, `${at + 1} / ${places.length}`),
      chips(page, place, false),
      label === null
        ? h("p", { class: "quiet" }, t("assess.blind"))
        : h("p", {}, `${t("assess.mapped")}: ${named("class", about.classes[state.buildings.mapped[place]])}`),
      classButtons(label, give),
      h("div", { class: "row" },
        h("button", { type: "button", disabled: at === 0, onclick: () => step(-1) }, t("assess.previous")),
        h("button", { type: "button", disabled: at === places.length - 1, onclick: () => step(1) }, t("assess.next"))));
    page.go(place, true);
    handing.show();
  }

  function give(label: number): void {
    if (!places.length) return;
    labels.set(places[at], label);
    page.say(t("teach.buildinglabelled", { class: named("class", LABELS[label]), id: state.buildings.ids[places[at]] }));
    void judge();
    const open = places.findIndex((place, i) => i > at && labels.get(place) === null);
    step(open > at ? open - at : 0);
  }

  /** Shows the estimate from what is labelled so far: labels come in random order, so any number of them is a sample. */
  async function judge(): Promise<void> {
    const mine = ++running;
    const population = [0, 0, 0, 0, 0], before = [0, 0, 0, 0];
    const truth = Array.from({ length: 5 }, () => [0, 0, 0, 0, 0]);
    state.buildings.mapped.forEach((c, place) => { if (!known.has(place)) population[c]++; });
    for (const c of known.values()) before[c]++;
    let used = 0;
    for (const place of places) {
      const label = labels.get(place);
      if (label === null) continue;
      used++;
      if (LABELS[label] !== "unclear") truth[state.buildings.mapped[place]][label]++;
    }
    if (used < LEAST) {
      replace(table, h("p", { class: "quiet" }, t("assess.early", { n: LEAST })));
      return;
    }
    const found = await page.learner.estimate(population, truth, before);
    if (mine !== running) return;
    const row = (name: string, one: ClassAssessment): HTMLElement => h("tr", {}, h("th", { scope: "row" }, name),
      h("td", { class: "number" }, count(one.mapped)), h("td", { class: "number" }, whole(one.buildings)),
      ...[one.precision, one.recall, one.f1].map((value) => h("td", { class: "number" }, share(value))));
    replace(table, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": t("assess.table") }, h("table", { class: "estimate", id: "estimate" }, h("caption", {}, t("assess.table")),
      h("thead", {}, h("tr", {}, ...(["class", "assess.mapped", "assess.there", "assess.precision", "assess.recall", "assess.f1"] as const)
        .map((key, i) => h("th", { scope: "col", class: i ? "number" : null }, t(key))))),
      h("tbody", {}, ...found.classes.map((one, c) => row(named("class", about.classes[c]), one)), row(t("assess.damaged"), found.damaged)))),
      h("p", {}, `${t("assess.right")} ${plain(found.accuracy)} · ${t("assess.macro")} ${plain(found.macroF1)}`),
      h("p", { class: "quiet" }, t("assess.note")));
    root.dataset["sampled"] = String(used);
  }

  replace(root, h("p", {}, t("assess.intro")),
    h("div", { class: "row" }, h("label", { for: "assess-size" }, t("assess.size")), size, start),
    work, table, handing.root);
  return {
    root,
    sample: () => places,
    key(key) {
      const label = labelOf(key);
      if (label !== null && places.length) give(label);
      else if (key === "n" || key === "j") step(1);
      else if (key === "p" || key === "k") step(-1);
      else if (key === "u") {
        const place = labels.undo();
        const found = places.indexOf(place);
        if (found >= 0) step(found - at);
        void judge();
      } else return false;
      return true;
    },
  };
}

function share(one: Interval): HTMLElement {
  return h("span", {}, decimal(one.estimate, 2), h("small", {}, `${decimal(one.low, 2)}–${decimal(one.high, 2)}`));
}

function plain(one: Interval): string {
  return `${decimal(one.estimate, 2)} (${decimal(one.low, 2)}–${decimal(one.high, 2)})`;
}

function whole(one: Interval): HTMLElement {
  return h("span", {}, count(Math.round(one.estimate)), h("small", {}, `${count(Math.round(one.low))}–${count(Math.round(one.high))}`));
}
