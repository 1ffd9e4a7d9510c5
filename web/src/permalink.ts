// The state of the page as the part of its address after the "#".
import type { Camera } from "./map.ts";
import { noFilter, type Filter, type State, type Tab, type View } from "./state.ts";
import type { Plane, Point } from "./plane.ts";

const VIEWS: View[] = ["swipe", "before", "after", "flicker"];
const TABS: Tab[] = ["explore", "teach", "assess", "about"];

const numbers = (text: string | null): number[] => (text ?? "").split(",").map(Number);
const bounded = (value: number, low: number, high: number, usual: number): number =>
  Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : usual;

export type Link = { camera: Camera | null; view: View; curtain: number; tab: Tab; filter: Filter; id: string | null; language: string | null; theme: string | null };

export function readLink(plane: Plane, hash = location.hash): Link {
  const given = new URLSearchParams(hash.slice(1));
  const filter = noFilter();
  const classes = given.get("classes");
  if (classes !== null && /^[0-4]*$/.test(classes)) filter.classes = filter.classes.map((_, c) => classes.includes(String(c)));
  if (given.has("confidence")) {
    const [low, high] = numbers(given.get("confidence"));
    filter.confidence = [bounded(low, 0, 1, 0), bounded(high, 0, 1, 1)];
  }
  if (given.has("area")) {
    const [low, high] = (given.get("area") ?? "").split(",");
    filter.area = [bounded(Number(low), 0, 1e9, 0), high ? bounded(Number(high), 0, 1e9, Infinity) : Infinity];
  }
  filter.review = given.get("review") === "1";
  filter.reasons = bounded(Number(given.get("reasons") ?? 0), 0, 0xffff, 0) | 0;
  if (given.has("region")) {
    const flat = numbers(given.get("region"));
    const region: Point[] = [];
    for (let i = 0; i + 1 < flat.length; i += 2) region.push(plane.fromTold([flat[i], flat[i + 1]]));
    if (region.length > 2 && flat.every(Number.isFinite)) filter.region = region;
  }
  let camera: Camera | null = null;
  if (given.has("at")) {
    const [x, y, zoom] = numbers(given.get("at"));
    if ([x, y, zoom].every(Number.isFinite)) camera = { center: plane.toLngLat(plane.fromTold([x, y])), zoom: bounded(zoom, 0, 24, 15) };
  }
  const view = given.get("view") as View, tab = given.get("tab") as Tab;
  return {
    camera, filter,
    view: VIEWS.includes(view) ? view : "swipe",
    tab: TABS.includes(tab) ? tab : "explore",
    curtain: bounded(Number(given.get("curtain") ?? 0.5), 0, 1, 0.5),
    id: given.get("id"), language: given.get("lang"), theme: given.get("theme"),
  };
}

export function writeLink(state: State, camera: Camera, language: string, theme: string): string {
  const { plane, filter } = state;
  const told = new URLSearchParams();
  const [x, y] = plane.told(plane.fromLngLat(camera.center));
  const digits = plane.pixels ? 1 : 6;
  told.set("at", `${x.toFixed(digits)},${y.toFixed(digits)},${camera.zoom.toFixed(2)}`);
  if (state.view !== "swipe") told.set("view", state.view);
  if (state.curtain !== 0.5) told.set("curtain", state.curtain.toFixed(2));
  if (state.tab !== "explore") told.set("tab", state.tab);
  if (filter.classes.includes(false)) told.set("classes", filter.classes.map((on, c) => (on ? c : "")).join(""));
  if (filter.confidence[0] > 0 || filter.confidence[1] < 1) told.set("confidence", filter.confidence.join(","));
  if (filter.area[0] > 0 || filter.area[1] < Infinity) told.set("area", `${filter.area[0]},${filter.area[1] < Infinity ? filter.area[1] : ""}`);
  if (filter.review) told.set("review", "1");
  if (filter.reasons) told.set("reasons", String(filter.reasons));
  if (filter.region) told.set("region", filter.region.flatMap((one) => plane.told(one).map((value) => value.toFixed(digits))).join(","));
  if (state.selected >= 0) told.set("id", state.buildings.ids[state.selected]);
  told.set("lang", language);
  if (theme !== "auto") told.set("theme", theme);
  return `#${told.toString()}`;
}
