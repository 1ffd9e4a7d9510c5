// Teaching: the page proposes a building, a person says what it is, and all are decided anew.
import { UNKNOWN } from "../data.ts";
import { h, replace } from "../dom.ts";
import { LABELS } from "../handing.ts";
import type { Labels } from "../labels.ts";
import type { Page } from "../page.ts";
import { named, t } from "../strings.ts";
import { classButtons, handIn, labelOf } from "./labelling.ts";

const PICKS = 6;

export type Teach = { head: HTMLElement; root: HTMLElement; buttons: (place: number) => HTMLElement | null; key: (key: string) => boolean };

export function teach(page: Page, labels: Labels): Teach {
  const { state, about } = page;
  const head = h("div", { class: "stack tight" }), root = h("div", { class: "stack" });
  const absent = about.teach.absent;
  if (absent) {
    replace(root, h("p", {}, t("teach.absent", { why: absent })));
    return { head, root, buttons: () => null, key: () => false };
  }
  const earlier = Object.entries(about.teach.labels ?? {}).map(([place, name]): [number, string] => [Number(place), name]);
  let queue: number[] = [];
  let found: { classes: Uint8Array; probabilities: Float64Array } | null = null;
  let gone: ReadonlySet<number> = new Set();
  let learning = false, again = false, shown = true;

  const intro = h("p", {}, t("teach.intro"));
  const status = h("p", { role: "status", class: "wrap" });
  const notes = h("div", {});
  const number = h("strong", {});
  const changes = h("p", { class: "quiet" });
  const next = h("button", { type: "button", class: "main", id: "teach-next", onclick: () => void propose() }, t("teach.next"));
  const undo = h("button", { type: "button", id: "teach-undo", onclick: () => takeBack() }, t("teach.undo"));
  const compare = h("button", { type: "button", id: "teach-compare", onclick: () => { shown = !shown; decide(); show(); } });
  const clear = h("button", {
    type: "button", onclick: () => {
      if (!confirm(t("teach.clear.sure", { n: labels.size }))) return;
      labels.clear();
      state.setLabelled(labels.places());
      void learn();
    },
  }, t("teach.clear"));
  const handing = handIn(page, labels, "label", () => 0);

  /** Labels by place: those that the map was made with, and the newer ones of this page. */
  const all = (): [number, string][] => {
    const found = new Map<number, string>(earlier);
    for (const one of labels.all()) found.set(one.place, LABELS[one.label]);
    return [...found];
  };
  /** Those that are damage classes. */
  const known = (): [number, number][] =>
    all().map(([place, name]): [number, number] => [place, about.classes.indexOf(name)]).filter(([, c]) => c >= 0 && c < UNKNOWN);
  /** Buildings that are none: as `siamese adapt`, the page takes them out of the map. */
  const noBuildings = (): Set<number> => new Set(all().filter(([, name]) => name === "no_building").map(([place]) => place));
  const decide = (): void => (shown ? state.decide(found, gone) : state.decide(null));
  const asked = (): number[] => [...new Set([...earlier.map(([place]) => place), ...labels.places()])];

  const show = (): void => {
    number.textContent = labels.size === 0 ? t("teach.none") : labels.size === 1 ? t("teach.label") : t("teach.labels", { n: labels.size });
    intro.hidden = labels.size > 2;
    undo.disabled = !labels.canUndo();
    clear.hidden = labels.size === 0;
    compare.hidden = !found && !gone.size;
    compare.textContent = t(shown ? "teach.before" : "teach.after");
    compare.setAttribute("aria-pressed", String(!shown));
    handing.show();
  };

  async function learn(): Promise<void> {
    again = true;
    if (learning) return;
    learning = true;
    try {
      while (again) {
        again = false;
        await learnOnce();
      }
    } catch (error) {
      status.textContent = t("teach.absent", { why: error instanceof Error ? error.message : String(error) });
    } finally {
      learning = false;
    }
  }

  async function learnOnce(): Promise<void> {
    const given = known();
    replace(notes);
    changes.textContent = "";
    shown = true;
    gone = labels.size ? noBuildings() : new Set();
    if (!given.length || !labels.size) {
      found = null;
      decide();
      status.textContent = labels.size ? t("teach.nodamage") : "";
      tellGone();
      show();
      return;
    }
    status.textContent = t("teach.working");
    const started = performance.now();
    const answer = await page.learner.adapt(given);
    found = answer;
    decide();
    const counts = about.classes.map(() => 0);
    let changed = 0;
    for (let i = 0; i < state.buildings.n; i++) {
      counts[state.buildings.mapped[i]]--;
      if (gone.has(i)) continue;
      counts[answer.classes[i]]++;
      if (answer.classes[i] !== state.buildings.mapped[i]) changed++;
    }
    root.dataset["ms"] = String(performance.now() - started);
    root.dataset["labels"] = String(labels.size);
    status.textContent = t("teach.learned", { ms: Math.round(performance.now() - started), changed });
    changes.textContent = counts.map((count, c) => [count, c]).filter(([count]) => count).map(([count, c]) =>
      `${named("class", about.classes[c])} ${count > 0 ? "+" : "−"}${Math.abs(count)}`).join(" · ");
    tellGone();
    const one = new Set(given.map(([, c]) => c));
    if (one.size === 1) notes.append(h("p", { class: "note" }, t("teach.oneclass", { class: named("class", about.classes[given[0][1]]) })));
    if (answer.contradictions.length) {
      const pairs = answer.contradictions.slice(0, 3).map(([a, b]) => `${state.buildings.ids[a]} / ${state.buildings.ids[b]}`).join("; ");
      notes.append(h("p", { class: "note" }, t("teach.contradict", { pairs })));
    }
    show();
  }

  function tellGone(): void {
    if (gone.size) notes.append(h("p", { class: "note", id: "teach-gone" }, gone.size === 1 ? t("teach.gone") : t("teach.gones", { n: gone.size })));
  }

  async function propose(): Promise<void> {
    next.disabled = true;
    try {
      const taken = new Set(asked());
      queue = queue.filter((place) => !taken.has(place));
      if (!queue.length) queue = await page.learner.select(PICKS, [...taken], found?.probabilities ?? null);
      const place = queue.shift();
      if (place === undefined) status.textContent = t("teach.all");
      else page.go(place, true);
    } catch (error) {
      status.textContent = t("teach.absent", { why: error instanceof Error ? error.message : String(error) });
    } finally {
      next.disabled = false;
    }
  }

  function give(label: number): void {
    const place = state.selected;
    if (place < 0) return;
    labels.set(place, label);
    state.setLabelled(labels.places());
    page.say(t("teach.buildinglabelled", { class: named("class", LABELS[label]), id: state.buildings.ids[place] }));
    void learn().then(() => (state.tab === "teach" && state.selected === place ? propose() : undefined));
  }

  function takeBack(): void {
    const place = labels.undo();
    if (place < 0) return;
    state.setLabelled(labels.places());
    page.go(place);
    void learn();
  }

  replace(head, intro, h("div", { class: "row" }, next, undo, compare), status, changes, notes);
  replace(root, h("p", { class: "row" }, number, clear),
    earlier.length ? h("p", { class: "quiet" }, t("teach.earlier", { n: earlier.length })) : null, handing.root);
  if (labels.size) {
    status.textContent = t("teach.restored", { n: labels.size });
    state.setLabelled(labels.places());
    void learn();
  }
  show();
  return {
    head, root,
    buttons: (place) => (state.tab === "teach" ? classButtons(labels.get(place), give) : null),
    key(key) {
      const label = labelOf(key);
      if (label !== null && state.selected >= 0) give(label);
      else if (key === "n") void propose();
      else if (key === "u") takeBack();
      else return false;
      return true;
    },
  };
}
