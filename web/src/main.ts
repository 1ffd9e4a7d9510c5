// Puts the page together.
import { Chips } from "./chips.ts";
import { askForBuildings, isOneFile, openFiles, readAbout, readBuildings } from "./data.ts";
import { h, isShortcut, place as style, replace } from "./dom.ts";
import { Labels } from "./labels.ts";
import { BuildingLayer } from "./layer.ts";
import { Learner } from "./learn/learner.ts";
import { DamageView, openArchives } from "./map.ts";
import type { Page, Session } from "./page.ts";
import { about as aboutPanel, warnings } from "./panels/about.ts";
import { assess } from "./panels/assess.ts";
import { card } from "./panels/card.ts";
import { explore } from "./panels/explore.ts";
import { teach } from "./panels/teach.ts";
import { readLink, writeLink } from "./permalink.ts";
import { Plane, type Point } from "./plane.ts";
import { find } from "./searching.ts";
import { State, type Tab, type View } from "./state.ts";
import { area, currentLanguage, LANGUAGES, length, named, percent, setLanguage, t } from "./strings.ts";

const FLICKER_MS = 600;
type Theme = "auto" | "light" | "dark";

async function start(): Promise<void> {
  const files = openFiles();
  setLanguage(new URLSearchParams(location.hash.slice(1)).get("lang"));
  const waiting = h("p", { class: "waiting", role: "status" }, t("loading"));
  document.body.append(waiting);
  const raw = askForBuildings(files);
  const asked = isOneFile() ? Promise.resolve(null) : readSession();
  const about = await readAbout(files);
  const plane = new Plane(about);
  const link = readLink(plane);
  const theme = (["light", "dark"].includes(link.theme ?? "") ? link.theme : "auto") as Theme;
  if (theme !== "auto") document.documentElement.dataset["theme"] = theme;
  document.title = `${about.map.event} · ${t("title")}`;
  const archives = openArchives(files, about);
  const container = h("div", { id: "map", class: "map" });
  const stage = h("main", { class: "stage", "aria-label": t("title") }, container);
  document.body.append(stage);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const view = new DamageView(container, files, about, archives, plane, link.camera, theme === "dark" || (theme === "auto" && dark) ? "#20262b" : "#d9dee2");
  const buildings = readBuildings(await raw, about);
  const layer = new BuildingLayer(about, buildings);
  const state = new State(about, buildings, plane, layer);
  const session = await asked;
  Object.assign(state, { view: archives.pre && archives.post ? link.view : "after", curtain: link.curtain, tab: link.tab });
  Object.assign(state.filter, link.filter);
  state.applyFilter();

  const panel = h("aside", { class: "panel", id: "panel", tabindex: -1, "aria-label": t("tab") });
  const header = h("header");
  waiting.remove();
  document.body.prepend(h("a", { class: "skip", href: "#panel", onclick: (event: Event) => { event.preventDefault(); panel.focus(); } }, t("skip")), header, stage, panel);

  const spoken = h("p", { class: "hidden", "aria-live": "polite" });
  const toast = h("p", { class: "toast", hidden: true, "aria-hidden": "true" });
  let hide = 0;
  const page: Page = {
    files, about, state, view, session,
    chips: new Chips(about, archives),
    learner: new Learner(files, about),
    say(text, seconds = 2.5) {
      spoken.textContent = toast.textContent = text;
      toast.hidden = false;
      clearTimeout(hide);
      hide = window.setTimeout(() => { toast.hidden = true; }, seconds * 1000);
    },
    go(target, closer = false) {
      state.select(target);
      const [left, top, right, bottom] = buildings.boxes.subarray(4 * target, 4 * target + 4);
      const zoom = view.zoomFor(Math.max(right - left, bottom - top), 120);
      const center = plane.toLngLat([(left + right) / 2, (top + bottom) / 2]);
      const near = view.map.getBounds().contains(center);
      if (closer) view.map.jumpTo({ center, zoom: Math.min(22, Math.max(zoom, Math.min(view.map.getZoom(), zoom + 1))) });
      else if (!near) view.map.jumpTo({ center });
    },
  };

  const labels = new Labels(`siamese-labels-${about.digest}`, buildings.ids);
  const judged = new Labels(`siamese-assessment-${about.digest}`, buildings.ids);
  const drawing = tools(page);
  const teaching = teach(page, labels), assessing = assess(page, judged);
  const panels: Record<Tab, HTMLElement> = {
    explore: explore(page, () => drawing.begin("region")), teach: teaching.root, assess: assessing.root, about: aboutPanel(page),
  };
  replace(header, ...head(page, theme));
  const bar = tabs(page, panels);
  const showTab = (): void => {
    teaching.head.hidden = state.tab !== "teach";
    layer.blind = state.tab === "assess";
    layer.changed();
  };
  state.on("tab", showTab);
  showTab();
  replace(panel, warnings(page), bar, teaching.head, card(page, teaching.buttons), ...Object.values(panels));
  stage.append(dates(page, archives.pre !== null && archives.post !== null), drawing.root, readout(page), toast, spoken);

  keys(page, teaching.key, assessing.key, drawing);
  let wheel = 0;
  const linked = (): void => {
    clearTimeout(wheel);
    wheel = window.setTimeout(() => {
      const { lng, lat } = view.map.getCenter();
      history.replaceState(null, "", writeLink(state, { center: [lng, lat], zoom: view.map.getZoom() }, currentLanguage(), document.documentElement.dataset["theme"] ?? "auto"));
    }, 250);
  };
  const box = (): void => {
    const bounds = view.map.getBounds();
    const [left, top] = plane.fromLngLat([bounds.getWest(), bounds.getNorth()]);
    const [right, bottom] = plane.fromLngLat([bounds.getEast(), bounds.getSouth()]);
    state.box = { left, top, right, bottom };
    state.tell("view");
  };
  view.map.on("moveend", () => { box(); linked(); });
  for (const event of ["filter", "selected", "shown", "tab"] as const) state.on(event, linked);
  await view.add(layer);
  view.map.getCanvas().setAttribute("aria-label", t("map.label"));
  state.on("shown", () => view.show(state));
  view.show(state);
  box();
  view.draw("region", state.filter.region ?? [], true);
  view.map.on("click", (event) => {
    if (drawing.click(view.place(event)) || state.tab === "assess") return;
    const found = state.at(view.place(event), view.units(8));
    state.select(found);
    if (found >= 0) {
      if (state.tab === "about") { state.tab = "explore"; state.tell("tab"); }
      panel.scrollTo({ top: 0 });
      tell(page, found);
    }
  });
  view.map.on("dblclick", (event) => { if (drawing.active()) { event.preventDefault(); drawing.end(); } });
  const chosen = link.id === null ? -1 : buildings.ids.indexOf(link.id);
  if (chosen >= 0) link.camera ? state.select(chosen) : page.go(chosen, true);
  document.documentElement.dataset["ready"] = "true";
  view.map.once("idle", () => { document.documentElement.dataset["idle"] = "true"; });
  Object.assign(window, { siamese: { page, labels, judged, sample: assessing.sample } });
}

async function readSession(): Promise<Session | null> {
  try {
    // Only `siamese view` says that it has a session; a plain web server is not asked for one.
    const served = await fetch("map.json", { method: "HEAD" });
    if (!served.headers.has("x-siamese-session")) return null;
    const found = await fetch("session");
    return found.ok ? ((await found.json()) as Session) : null;
  } catch {
    return null;
  }
}

function tell(page: Page, found: number): void {
  const { state, about } = page;
  const confidence = state.confidence[found];
  page.say(t("announce.selected", {
    class: named("class", about.classes[state.classes[found]]),
    confidence: Number.isFinite(confidence) ? percent(confidence) : "–",
    area: area(state.buildings.area[found], state.plane.pixels),
  }));
}

function head(page: Page, theme: Theme): HTMLElement[] {
  const { about, state } = page;
  const results = h("ul", { id: "results", class: "results", hidden: true, "aria-label": t("search.results") });
  const input = h("input", { type: "search", id: "search", placeholder: t("search.hint"), "aria-label": t("search"), autocomplete: "off", maxlength: 200 });
  const close = (): void => { results.hidden = true; };
  const look = (): void => {
    const found = find(input.value, state);
    results.hidden = false;
    if (!found.length) {
      replace(results, h("li", {}, t("search.none")));
      page.say(t("search.none"));
      return;
    }
    if (found.length === 1) {
      visit(found[0]);
      return;
    }
    replace(results, ...found.map((one) => h("li", {}, h("button", { type: "button", class: "plain", onclick: () => visit(one) },
      one.kind === "place" ? t("search.place", { place: state.plane.text(one.at) }) : `${state.buildings.ids[one.place]} · ${named("class", about.classes[state.classes[one.place]])}`))));
  };
  const visit = (one: ReturnType<typeof find>[number]): void => {
    close();
    if (one.kind === "building") {
      page.go(one.place, true);
      tell(page, one.place);
    } else page.view.map.jumpTo({ center: state.plane.toLngLat(one.at), zoom: Math.max(page.view.map.getZoom(), state.plane.pixels ? 19 : 17) });
  };
  const form = h("form", { class: "search", role: "search", onsubmit: (event: Event) => { event.preventDefault(); look(); }, onkeydown: (event: KeyboardEvent) => { if (event.key === "Escape") close(); } }, input, results);
  document.addEventListener("pointerdown", (event) => { if (!form.contains(event.target as Node)) close(); });
  form.addEventListener("focusout", (event) => { if (event.relatedTarget && !form.contains(event.relatedTarget as Node)) close(); });
  const again = (name: string, value: string): void => {
    // The page is built anew in the other language, at the same place.
    const given = new URLSearchParams(location.hash.slice(1));
    given.set(name, value);
    history.replaceState(null, "", `#${given}`);
    location.reload();
  };
  const language = h("select", { id: "language", "aria-label": t("language"), onchange: () => again("lang", language.value) },
    ...Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code, selected: code === currentLanguage() }, name)));
  const colours = h("select", { id: "theme", "aria-label": t("theme"), onchange: () => again("theme", colours.value) },
    ...(["auto", "light", "dark"] as const).map((one) => h("option", { value: one, selected: one === theme }, t(`theme.${one}`))));
  const n = about.count;
  return [
    h("div", { class: "title" }, h("h1", {}, about.map.event || t("title")), h("p", { class: "quiet" }, `${n === 1 ? t("building") : t("buildings", { n })} · ${about.map.model}`)),
    form, h("div", { class: "row" }, language, colours),
  ];
}

function tabs(page: Page, panels: Record<Tab, HTMLElement>): HTMLElement {
  const { state } = page;
  const names = Object.keys(panels) as Tab[];
  const buttons = names.map((name, number) => h("button", {
    type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`,
    onclick: () => choose(name),
    onkeydown: (event: KeyboardEvent) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by || isShortcut(event)) return;
      event.preventDefault();
      const other = (number + by + names.length) % names.length;
      choose(names[other]);
      buttons[other].focus();
    },
  }, t(`tab.${name}`)));
  const choose = (name: Tab): void => {
    state.tab = name;
    state.tell("tab");
  };
  const show = (): void => names.forEach((name, number) => {
    const on = name === state.tab;
    buttons[number].setAttribute("aria-selected", String(on));
    buttons[number].tabIndex = on ? 0 : -1;
    panels[name].hidden = !on;
  });
  for (const name of names) {
    panels[name].id = `panel-${name}`;
    panels[name].setAttribute("role", "tabpanel");
    panels[name].setAttribute("aria-labelledby", `tab-${name}`);
  }
  state.on("tab", show);
  show();
  return h("div", { role: "tablist", class: "tabs", "aria-label": t("tab") }, ...buttons);
}

/** Which date is seen, and the boundary between them. */
function dates(page: Page, both: boolean): HTMLElement {
  const { state, view } = page;
  if (!both) return h("div");
  let flickered = false;
  const radios = (["swipe", "before", "after", "flicker"] as View[]).map((name) => h("input", { type: "radio", name: "view", value: name, onchange: () => { state.view = name; state.tell("shown"); } }));
  const names = ["swipe", "before", "after", "flicker"] as const;
  const handle = h("div", { class: "curtain", role: "slider", tabindex: 0, "aria-label": t("curtain"), "aria-valuemin": 0, "aria-valuemax": 100, "aria-orientation": "horizontal" },
    h("span", { class: "tag left", "aria-hidden": "true" }, t("view.before")), h("span", { class: "grip", "aria-hidden": "true" }, "↔"), h("span", { class: "tag right", "aria-hidden": "true" }, t("view.after")));
  const move = (share: number): void => {
    state.curtain = Math.min(1, Math.max(0, share));
    view.setCurtain(state.curtain);
    show();
  };
  const drag = (event: PointerEvent): void => {
    const box = view.map.getContainer().getBoundingClientRect();
    move((event.clientX - box.left) / box.width);
  };
  handle.addEventListener("pointerdown", (event) => {
    handle.setPointerCapture(event.pointerId);
    handle.addEventListener("pointermove", drag);
    event.preventDefault();
    handle.focus();
  });
  for (const name of ["pointerup", "pointercancel"] as const) handle.addEventListener(name, () => { handle.removeEventListener("pointermove", drag); state.tell("shown"); });
  handle.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -0.02, ArrowRight: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 }[event.key];
    if (by === undefined || isShortcut(event)) return;
    event.preventDefault();
    event.stopPropagation();
    move(state.curtain + by);
    state.tell("shown");
  });
  const show = (): void => {
    radios.forEach((one, i) => { one.checked = names[i] === state.view; });
    handle.hidden = state.view !== "swipe";
    style(handle, { left: `${100 * state.curtain}%` });
    handle.setAttribute("aria-valuenow", String(Math.round(100 * state.curtain)));
  };
  state.on("shown", show);
  show();
  setInterval(() => {
    if (state.view !== "flicker" || document.hidden) return;
    flickered = !flickered;
    view.show(state, flickered);
  }, FLICKER_MS);
  return h("div", { class: "dates" }, handle,
    h("fieldset", { class: "segments floating" }, h("legend", { class: "hidden" }, t("view")), ...names.map((name, i) => h("label", {}, radios[i], h("span", {}, t(`view.${name}`))))));
}

type Tools = { root: HTMLElement; begin: (kind: "measure" | "region") => void; click: (at: Point) => boolean; end: () => void; cancel: () => void; active: () => boolean };

/** Measuring, and drawing a region. */
function tools(page: Page): Tools {
  const { state, view } = page;
  let kind: "measure" | "region" | null = null;
  let points: Point[] = [];
  const told = h("p", { class: "told", role: "status", hidden: true });
  const button = (which: "measure" | "region"): HTMLButtonElement => h("button", { type: "button", id: `tool-${which}`, "aria-pressed": "false", onclick: () => (kind === which ? end() : begin(which)) }, t(`tool.${which}`));
  const buttons = { measure: button("measure"), region: button("region") };
  const show = (): void => {
    for (const which of ["measure", "region"] as const) buttons[which].setAttribute("aria-pressed", String(kind === which));
    told.hidden = kind === null && points.length === 0;
    const { plane } = state;
    const sides = points.slice(1).map((one, i) => plane.distance(points[i], one));
    const along = sides.reduce((a, b) => a + b, 0);
    if (kind === "region") told.textContent = t("region.start");
    else if (points.length < 2) told.textContent = t("measure.start");
    else if (points.length === 2) told.textContent = t("measure.told", { length: length(along, plane.pixels) });
    else told.textContent = t("measure.area", { length: length(along + plane.distance(points[points.length - 1], points[0]), plane.pixels), area: area(plane.area(points), plane.pixels) });
    view.map.getCanvas().style.cursor = kind ? "crosshair" : "";
  };
  const begin = (which: "measure" | "region"): void => {
    cancel();
    kind = which;
    show();
  };
  const end = (): void => {
    if (kind === "region" && points.length > 2) state.setFilter({ region: points });
    if (kind === "region") points = [];
    const was = kind;
    kind = null;
    if (was === "region") view.draw("region", state.filter.region ?? [], true);
    show();
  };
  const cancel = (): void => {
    points = [];
    kind = null;
    view.draw("measure", [], false);
    view.draw("region", state.filter.region ?? [], true);
    show();
  };
  const click = (at: Point): boolean => {
    if (!kind) return false;
    const last = points.at(-1);
    // A double click gives the same point twice.
    if (!last || Math.hypot(last[0] - at[0], last[1] - at[1]) > view.units(3)) points.push(at);
    view.draw(kind, points, kind === "region" || points.length > 2);
    show();
    return true;
  };
  const home = h("button", { type: "button", onclick: () => view.map.fitBounds(view.bounds(), { padding: 24, animate: false }) }, t("tool.home"));
  const copy = h("button", {
    type: "button", onclick: async () => {
      try {
        await navigator.clipboard.writeText(location.href);
        page.say(t("linked"));
      } catch {
        page.say(t("link.manual"));
      }
    },
  }, t("tool.link"));
  const root = h("div", { class: "tools" }, h("div", { class: "row", role: "group", "aria-label": t("tools") }, buttons.measure, buttons.region, home, copy), told);
  return { root, begin, click, end, cancel, active: () => kind !== null };
}

/** Where the pointer is. */
function readout(page: Page): HTMLElement {
  const made = h("p", { class: "readout", "aria-hidden": "true" });
  page.view.map.on("mousemove", (event) => { made.textContent = page.state.plane.text(page.view.place(event)); });
  return made;
}

function keys(page: Page, teach: (key: string) => boolean, assess: (key: string) => boolean, drawing: Tools): void {
  const { state } = page;
  document.addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (target.matches("input:not([type=radio]):not([type=checkbox]):not([type=range]), select, textarea")) return;
    const lower = event.key.toLowerCase();
    const undo = lower === "z" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
    // A key that is held down must not label the next building too.
    if (event.repeat || (isShortcut(event) && !undo)) return;
    const key = undo ? "u" : lower;
    if (key === "escape") {
      if (drawing.active()) drawing.cancel();
      else if (state.selected >= 0 && state.tab !== "assess") state.select(-1);
      else drawing.cancel();
    } else if (key === "enter" && drawing.active() && target.tagName !== "BUTTON") drawing.end();
    else if (key === "/") document.getElementById("search")?.focus();
    else if (key === "b") {
      state.view = state.view === "before" ? "after" : "before";
      state.tell("shown");
    } else if (key === "f") {
      state.view = state.view === "flicker" ? "swipe" : "flicker";
      state.tell("shown");
    } else if (!(state.tab === "assess" ? assess(key) : state.tab === "teach" && teach(key))) return;
    event.preventDefault();
  });
}

start().catch((error: unknown) => {
  document.querySelector(".waiting")?.remove();
  document.body.prepend(h("p", { class: "waiting", role: "alert" }, t("failed", { why: error instanceof Error ? error.message : String(error) })));
  console.error(error);
});
