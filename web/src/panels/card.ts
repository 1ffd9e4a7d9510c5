// One building: both dates enlarged, what the map says of it and why.
import { COLOURS } from "../colours.ts";
import { UNKNOWN } from "../data.ts";
import { add, h, replace, svg } from "../dom.ts";
import { reasonNames } from "../handing.ts";
import type { Page } from "../page.ts";
import { area, decimal, named, percent, t } from "../strings.ts";
import { swatch } from "./explore.ts";

const CHIP_PX = 352;
const SIMILAR = 12;

/** Both dates of a building, enlarged. */
export function chips(page: Page, place: number, outlined = true): HTMLElement {
  const made = h("div", { class: "chips" });
  for (const date of ["pre", "post"] as const) {
    if (!page.chips.has(date)) continue;
    const words = t(date === "pre" ? "card.before" : "card.after");
    const canvas = h("canvas", { width: CHIP_PX, height: CHIP_PX, role: "img", "aria-label": `${words}: ${page.state.buildings.ids[place]}` });
    const colour = outlined ? COLOURS[page.state.classes[place]] : "#ffffff";
    void page.chips.draw(canvas, date, page.state, place, colour);
    made.append(h("figure", {}, canvas, h("figcaption", {}, words)));
  }
  return made;
}

export function card(page: Page, labelling: (place: number) => HTMLElement | null): HTMLElement {
  const { state, about } = page;
  const root = h("section", { class: "card", id: "card", "aria-label": t("building") });
  const show = (): void => {
    const place = state.selected;
    root.hidden = place < 0 || state.tab === "assess";
    if (root.hidden) {
      replace(root);
      return;
    }
    const { buildings } = state;
    const c = state.classes[place], known = c !== UNKNOWN;
    const title = h("h2", { tabindex: -1 }, swatch(c), named("class", about.classes[c]));
    const similar = h("div");
    replace(root,
      h("div", { class: "row spread" }, title, h("button", { type: "button", class: "plain", "aria-label": t("card.close"), onclick: () => page.state.select(-1) }, "✕")),
      chips(page, place),
      labelling(place),
      c !== buildings.mapped[place] ? h("p", { class: "note" }, t("card.mapped", { class: named("class", about.classes[buildings.mapped[place]]) })) : null,
      known ? probabilities(page, place) : null,
      why(page, place),
      facts(page, place),
      h("div", { class: "row" },
        h("button", { type: "button", onclick: () => page.go(place, true) }, t("card.zoom")),
        h("button", { type: "button", id: "similar", disabled: Boolean(about.teach.absent), title: about.teach.absent ? t("similar.absent", { why: about.teach.absent }) : null, onclick: () => void likes(page, place, similar) }, t("card.similar"))),
      similar);
  };
  for (const event of ["selected", "classes", "labels", "tab"] as const) state.on(event, show);
  show();
  return root;
}

function probabilities(page: Page, place: number): HTMLElement {
  const made = h("table", { class: "counts" }, h("caption", { class: "hidden" }, t("card.probabilities")));
  for (let c = 0; c < UNKNOWN; c++) {
    const value = page.state.probabilities[4 * place + c];
    made.append(h("tr", {}, h("th", { scope: "row" }, swatch(c), named("class", page.about.classes[c])),
      h("td", { class: "bars" }, svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { x: 0, y: 0, width: 100 * value, height: 10, fill: COLOURS[c] }))),
      h("td", { class: "number" }, percent(value))));
  }
  return made;
}

function why(page: Page, place: number): HTMLElement | null {
  const { state } = page;
  const reasons = reasonNames(state, place).map((name) => named("reason", name));
  if (!state.buildings.review[place] && !reasons.length) return null;
  const unknown = state.buildings.mapped[place] === UNKNOWN;
  return h("p", { class: "note" }, h("strong", {}, t("card.review")), ": ",
    unknown ? t("review.unknown") : t("review.low"), reasons.length ? ` ${t("reason")}: ${reasons.join(", ")}.` : null);
}

function facts(page: Page, place: number): HTMLElement {
  const { state } = page;
  const { buildings } = state;
  const confidence = state.confidence[place];
  const list = h("dl", {});
  const row = (name: string, value: string | null): void => {
    if (value !== null) add(list, [h("dt", {}, name), h("dd", {}, value)]);
  };
  row(t("card.confidence"), Number.isFinite(confidence) ? percent(confidence) : t("card.none.confidence"));
  row(t("card.building"), percent(buildings.building[place]));
  row(t("card.area"), area(buildings.area[place], state.plane.pixels));
  row(t("card.unknown"), buildings.unknownShare && buildings.unknownShare[place] > 0 ? percent(buildings.unknownShare[place]) : null);
  row(t("card.place"), state.plane.text([buildings.at[2 * place], buildings.at[2 * place + 1]]));
  row(t("card.id"), buildings.ids[place]);
  row(t("card.footprint"), buildings.footprints?.[place] ?? null);
  return list;
}

async function likes(page: Page, place: number, root: HTMLElement): Promise<void> {
  replace(root, t("loading"));
  try {
    const found = await page.learner.similar(place, SIMILAR);
    replace(root, h("h3", {}, t("similar")), h("ul", { class: "likes" }, ...found.map(({ place: other, distance }) => {
      const canvas = h("canvas", { width: 120, height: 120, "aria-hidden": "true" });
      void page.chips.draw(canvas, "post", page.state, other, COLOURS[page.state.classes[other]]);
      const name = named("class", page.about.classes[page.state.classes[other]]);
      return h("li", {}, h("button", { type: "button", class: "plain", "aria-label": `${name}, ${t("similar.distance", { d: decimal(distance, 2) })}`, onclick: () => page.go(other) },
        canvas, h("span", {}, swatch(page.state.classes[other]), decimal(distance, 2))));
    })));
  } catch (error) {
    replace(root, t("similar.absent", { why: String(error instanceof Error ? error.message : error) }));
  }
}
