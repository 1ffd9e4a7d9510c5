// What the page shows, and what follows from it.
import type { About, Buildings } from "./data.ts";
import { UNKNOWN } from "./data.ts";
import { HIDDEN, LABELLED, SELECTED, type BuildingLayer } from "./layer.ts";
import { inside, type Plane, type Point } from "./plane.ts";

export type View = "swipe" | "before" | "after" | "flicker";
export type Tab = "explore" | "teach" | "assess" | "about";
export type Filter = {
  classes: boolean[];
  confidence: [number, number];
  area: [number, number];
  review: boolean;
  reasons: number;
  region: Point[] | null;
};
export type Counts = { inView: number[]; area: number[]; kept: number; seen: number };
type Box = { left: number; top: number; right: number; bottom: number };

export function noFilter(): Filter {
  return { classes: [true, true, true, true, true], confidence: [0, 1], area: [0, Infinity], review: false, reasons: 0, region: null };
}

type Events = "filter" | "classes" | "view" | "selected" | "shown" | "labels" | "tab";

export class State {
  filter = noFilter();
  view: View = "swipe";
  curtain = 0.5;
  opacity = 1;
  brightness = 0;
  contrast = 0;
  tab: Tab = "explore";
  selected = -1;
  box: Box = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity };
  /** Class of each building as shown: mapped, or decided anew from labels. */
  readonly classes: Uint8Array;
  readonly probabilities: Float32Array;
  readonly confidence: Float32Array;
  /** 1 where a building passes the filter. */
  readonly kept: Uint8Array;
  /** Buildings that have a label of any kind. */
  labelled: ReadonlySet<number> = new Set();
  /** Buildings that are none, as labels say: neither drawn nor counted. */
  private absent: ReadonlySet<number> = new Set();
  private readonly listeners = new Map<Events, Set<() => void>>();

  constructor(readonly about: About, readonly buildings: Buildings, readonly plane: Plane, readonly layer: BuildingLayer) {
    this.classes = buildings.mapped.slice();
    this.probabilities = buildings.probabilities.slice();
    this.confidence = buildings.confidence.slice();
    this.kept = new Uint8Array(buildings.n);
    this.applyFilter();
  }

  on(event: Events, listener: () => void): void {
    const found = this.listeners.get(event) ?? new Set();
    this.listeners.set(event, found.add(listener));
  }

  tell(...events: Events[]): void {
    for (const event of events) for (const listener of this.listeners.get(event) ?? []) listener();
  }

  setFilter(change: Partial<Filter>): void {
    Object.assign(this.filter, change);
    this.applyFilter();
    this.tell("filter");
  }

  select(place: number): void {
    this.selected = place;
    this.paint();
    this.tell("selected");
  }

  /** Shows classes and probabilities that were decided anew, null the map's own, without buildings that are none. */
  decide(found: { classes: Uint8Array; probabilities: Float64Array } | null, absent: ReadonlySet<number> = new Set()): void {
    const { buildings } = this;
    this.absent = absent;
    if (!found) {
      this.classes.set(buildings.mapped);
      this.probabilities.set(buildings.probabilities);
      this.confidence.set(buildings.confidence);
    } else {
      this.classes.set(found.classes);
      this.probabilities.set(found.probabilities);
      for (let i = 0; i < buildings.n; i++) {
        const c = found.classes[i];
        this.confidence[i] = c === UNKNOWN ? NaN : found.probabilities[4 * i + c] * (buildings.footprints?.[i] == null ? buildings.building[i] : 1);
      }
    }
    this.applyFilter();
    this.tell("classes", "filter");
  }

  setLabelled(places: ReadonlySet<number>): void {
    this.labelled = places;
    this.paint();
    this.tell("labels");
  }

  applyFilter(): void {
    const { buildings, filter, classes, confidence, kept } = this;
    const [low, high] = filter.confidence, [small, large] = filter.area;
    const allSure = low <= 0 && high >= 1;
    for (let i = 0; i < buildings.n; i++) {
      let ok = filter.classes[classes[i]];
      // A building without a confidence is kept unless a confidence is asked for.
      if (ok && !allSure) ok = confidence[i] >= low && confidence[i] <= high;
      if (ok && (small > 0 || large < Infinity)) ok = buildings.area[i] >= small && buildings.area[i] <= large;
      if (ok && filter.review) ok = buildings.review[i] === 1;
      if (ok && filter.reasons) ok = (buildings.reasons[i] & filter.reasons) !== 0;
      if (ok && filter.region) ok = inside([buildings.at[2 * i], buildings.at[2 * i + 1]], filter.region);
      kept[i] = ok && !this.absent.has(i) ? 1 : 0;
    }
    this.paint();
  }

  /** Counts by class what passes the filter, in view. */
  counts(): Counts {
    const { buildings, classes, kept, box } = this;
    const inView = [0, 0, 0, 0, 0], areas = [0, 0, 0, 0, 0];
    let all = 0, seen = 0;
    for (let i = 0; i < buildings.n; i++) {
      if (!kept[i]) continue;
      all++;
      const x = buildings.at[2 * i], y = buildings.at[2 * i + 1];
      if (x < box.left || x > box.right || y < box.top || y > box.bottom) continue;
      seen++;
      inView[classes[i]]++;
      areas[classes[i]] += buildings.area[i];
    }
    return { inView, area: areas, kept: all, seen };
  }

  paint(): void {
    const { layer, classes, kept, selected, labelled } = this;
    const state = layer.state;
    for (let i = 0; i < classes.length; i++) state[i] = classes[i] | (kept[i] ? 0 : HIDDEN);
    for (const place of labelled) state[place] |= LABELLED;
    // What is selected is seen, whatever the filter.
    if (selected >= 0) state[selected] = (state[selected] & ~HIDDEN) | SELECTED;
    layer.changed();
  }

  /** Returns the building at a place, or the nearest within a distance; -1 for none. */
  at([x, y]: Point, near: number): number {
    const { buildings, kept } = this;
    let best = -1, least = near * near;
    for (let i = 0; i < buildings.n; i++) {
      if (!kept[i] && i !== this.selected) continue;
      const [left, top, right, bottom] = [buildings.boxes[4 * i], buildings.boxes[4 * i + 1], buildings.boxes[4 * i + 2], buildings.boxes[4 * i + 3]];
      if (x < left - near || x > right + near || y < top - near || y > bottom + near) continue;
      if (this.ringsOf(i).some((ring) => inside([x, y], ring))) return i;
      const dx = Math.max(left - x, 0, x - right), dy = Math.max(top - y, 0, y - bottom);
      if (dx * dx + dy * dy <= least) {
        least = dx * dx + dy * dy;
        best = i;
      }
    }
    return best;
  }

  ringsOf(place: number): Point[][] {
    const { starts, rings, vertices, drawn } = this.buildings;
    const k = drawn[place];
    const found: Point[][] = [];
    for (let ring = starts[k]; ring < starts[k + 1]; ring++) {
      const one: Point[] = [];
      for (let v = rings[ring]; v < rings[ring + 1]; v++) one.push([vertices[2 * v], vertices[2 * v + 1]]);
      found.push(one);
    }
    return found;
  }

  /** Rings by polygon: each polygon's outer ring first, then its holes. */
  polygonsOf(place: number): Point[][][] {
    const k = this.buildings.drawn[place];
    const found: Point[][][] = [];
    this.ringsOf(place).forEach((ring, number) => {
      if (this.buildings.holes[this.buildings.starts[k] + number]) found.at(-1)?.push(ring);
      else found.push([ring]);
    });
    return found;
  }
}
