// Counts, filters, look and export.
import { COLOURS } from "../colours.ts";
import { add, h, place as style, replace, svg } from "../dom.ts";
import { chosen, save, toCsv, toGeoJson } from "../handing.ts";
import type { Page } from "../page.ts";
import { noFilter } from "../state.ts";
import { area, count, decimal, named, t } from "../strings.ts";

type Bars = "count" | "area";

export function explore(page: Page, drawRegion: () => void): HTMLElement {
  const root = h("div", { class: "stack" });
  add(root, [counts(page), filters(page, drawRegion), look(page), handing(page)]);
  return root;
}

/** A coloured square with the class's number, so that colour is never the only sign. */
export function swatch(c: number): HTMLElement {
  const made = h("span", { class: `swatch c${c}`, "aria-hidden": "true" }, c < 4 ? String(c + 1) : "?");
  return made;
}

function counts(page: Page): HTMLElement {
  const { state, about } = page;
  let bars: Bars = "count";
  const told = h("p", { class: "quiet", id: "seen", role: "status" });
  const rows = about.classes.map((name, c) => {
    const box = h("input", {
      type: "checkbox", id: `class-${name}`, onchange: () => {
        state.filter.classes[c] = box.checked;
        state.setFilter({});
      },
    });
    box.checked = state.filter.classes[c];
    const bar = svg("rect", { x: 0, y: 0, height: 10, width: 0, fill: COLOURS[c], rx: 1 });
    const drawing = svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, bar);
    const number = h("td", { class: "number" }), size = h("td", { class: "number" });
    const row = h("tr", {},
      h("th", { scope: "row" }, h("label", { for: `class-${name}` }, box, swatch(c), named("class", name))),
      h("td", { class: "bars" }, drawing), number, size);
    return { box, bar, number, size, row };
  });
  const table = h("table", { class: "counts", id: "counts" },
    h("caption", { class: "hidden" }, t("inview")),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("inview")), h("td"), h("th", { scope: "col", class: "number" }, t("column.count")), h("th", { scope: "col", class: "number" }, t("column.area")))),
    h("tbody", {}, ...rows.map((one) => one.row)));
  const choice = h("fieldset", { class: "segments" }, h("legend", { class: "hidden" }, t("chart.by")),
    ...(["count", "area"] as const).map((which) => h("label", {},
      h("input", { type: "radio", name: "bars", value: which, checked: which === bars, onchange: () => { bars = which; show(); } }),
      h("span", {}, t(`chart.${which}`)))));

  const show = (): void => {
    const found = state.counts();
    const values = bars === "count" ? found.inView : found.area;
    const most = Math.max(...values, 1e-9);
    rows.forEach((one, c) => {
      one.bar.setAttribute("width", String(values[c] ? Math.max(1.5, (100 * values[c]) / most) : 0));
      one.number.textContent = count(found.inView[c]);
      one.size.textContent = area(found.area[c], state.plane.pixels);
      one.box.checked = state.filter.classes[c];
    });
    told.textContent = t("seen", { seen: found.seen, kept: found.kept, all: state.buildings.n });
  };
  for (const event of ["filter", "view", "classes"] as const) state.on(event, show);
  show();
  return h("section", { "aria-label": t("inview") }, table, h("div", { class: "row spread" }, told, choice));
}

function filters(page: Page, drawRegion: () => void): HTMLElement {
  const { state, about } = page;
  const low = slider("confidence-from", 0, 1, 0.01), high = slider("confidence-to", 0, 1, 0.01);
  const lowTold = h("output", { for: "confidence-from" }), highTold = h("output", { for: "confidence-to" });
  const small = h("input", { type: "number", id: "area-from", min: 0, step: 10, inputmode: "numeric", placeholder: "0" });
  const large = h("input", { type: "number", id: "area-to", min: 0, step: 10, inputmode: "numeric", placeholder: "∞" });
  const review = h("input", { type: "checkbox", id: "review", onchange: () => state.setFilter({ review: review.checked }) });
  const reason = h("select", { id: "reasons", onchange: () => state.setFilter({ reasons: Number(reason.value) }) },
    h("option", { value: 0 }, t("filter.any")),
    ...about.reasons.map((name, bit) => h("option", { value: 1 << Math.min(15, bit) }, named("reason", name))));
  const region = h("p", { class: "quiet" });
  const clear = h("button", { type: "button", onclick: () => state.setFilter({ region: null }) }, t("filter.clear"));
  const move = (): void => {
    const [a, b] = [Number(low.value), Number(high.value)];
    state.setFilter({ confidence: [Math.min(a, b), Math.max(a, b)] });
  };
  low.addEventListener("input", move);
  high.addEventListener("input", move);
  const sizes = (): void => state.setFilter({ area: [Number(small.value) || 0, large.value === "" ? Infinity : Number(large.value)] });
  small.addEventListener("input", sizes);
  large.addEventListener("input", sizes);
  const inView = h("button", {
    type: "button", onclick: () => {
      const { left, top, right, bottom } = state.box;
      state.setFilter({ region: [[left, top], [right, top], [right, bottom], [left, bottom]] });
    },
  }, t("filter.inview"));
  const reset = h("button", { type: "button", onclick: () => state.setFilter(noFilter()) }, t("filter.reset"));

  const show = (): void => {
    const { confidence, area: sizes, region: ring } = state.filter;
    if (document.activeElement !== low && document.activeElement !== high) {
      low.value = String(confidence[0]);
      high.value = String(confidence[1]);
    }
    lowTold.textContent = decimal(confidence[0], 2);
    highTold.textContent = decimal(confidence[1], 2);
    if (document.activeElement !== small) small.value = sizes[0] ? String(sizes[0]) : "";
    if (document.activeElement !== large) large.value = sizes[1] < Infinity ? String(sizes[1]) : "";
    review.checked = state.filter.review;
    reason.value = String(state.filter.reasons);
    region.textContent = ring ? t("filter.region.on", { area: area(state.plane.area(ring), state.plane.pixels) }) : "";
    region.hidden = clear.hidden = !ring;
    page.view.draw("region", ring ?? [], true);
  };
  state.on("filter", show);
  show();
  const unit = state.plane.pixels ? "px" : "m²";
  return h("section", {}, h("h2", {}, t("filter")),
    h("fieldset", { class: "fields" }, h("legend", {}, t("filter.confidence")),
      h("label", { for: "confidence-from" }, t("filter.from")), low, lowTold,
      h("label", { for: "confidence-to" }, t("filter.to")), high, highTold),
    h("fieldset", { class: "row" }, h("legend", {}, `${t("filter.area")} (${unit})`),
      h("label", { for: "area-from" }, t("filter.from")), small, h("label", { for: "area-to" }, t("filter.to")), large),
    h("div", { class: "row" }, h("label", { for: "review" }, review, t("filter.review")),
      about.reasons.length ? h("label", { for: "reasons", class: "row" }, t("filter.reasons"), reason) : null),
    h("fieldset", { class: "row" }, h("legend", {}, t("filter.region")),
      h("button", { type: "button", onclick: drawRegion }, t("tool.region")), inView, clear, region),
    reset);
}

function look(page: Page): HTMLElement {
  const { state, view } = page;
  const make = (name: "opacity" | "brightness" | "contrast", least: number, most: number): HTMLInputElement => {
    const made = slider(name, least, most, 0.05);
    made.value = String(state[name]);
    made.addEventListener("input", () => {
      state[name] = Number(made.value);
      state.layer.opacity = state.opacity;
      view.show(state);
      state.layer.changed();
    });
    return made;
  };
  const all = { opacity: make("opacity", 0, 1), brightness: make("brightness", -0.8, 0.8), contrast: make("contrast", -0.8, 0.8) };
  const usual = { opacity: 1, brightness: 0, contrast: 0 };
  const reset = h("button", {
    type: "button", onclick: () => {
      for (const name of ["opacity", "brightness", "contrast"] as const) {
        all[name].value = String(usual[name]);
        all[name].dispatchEvent(new Event("input"));
      }
    },
  }, t("look.reset"));
  return h("details", {}, h("summary", {}, t("look")),
    h("div", { class: "fields two" }, ...(["opacity", "brightness", "contrast"] as const).flatMap((name) => [h("label", { for: name }, t(`look.${name}`)), all[name]])),
    reset);
}

function handing(page: Page): HTMLElement {
  const { state, about } = page;
  const told = h("p", { class: "quiet" });
  const show = (): void => replace(told, t("export.told", { n: state.counts().kept }));
  state.on("filter", show);
  show();
  const name = about.map.event || "map";
  return h("section", {}, h("h2", {}, t("export")), told, h("div", { class: "row" },
    h("button", { type: "button", id: "export-geojson", onclick: () => save(`${name}.geojson`, toGeoJson(state, chosen(state)), "application/geo+json") }, t("export.geojson")),
    h("button", { type: "button", id: "export-csv", onclick: () => save(`${name}.csv`, toCsv(state, chosen(state)), "text/csv") }, t("export.csv"))));
}

function slider(id: string, least: number, most: number, step: number): HTMLInputElement {
  const made = h("input", { type: "range", id, min: least, max: most, step });
  style(made, {});
  return made;
}
