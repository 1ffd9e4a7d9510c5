// Finds a place by coordinates, or buildings by id.
import type { Point } from "./plane.ts";
import type { State } from "./state.ts";

export type Found = { kind: "place"; at: Point } | { kind: "building"; place: number };
const MOST = 8;

export function find(text: string, state: State): Found[] {
  const wanted = text.trim();
  if (!wanted) return [];
  const found: Found[] = [];
  const { ids, footprints, n } = state.buildings;
  const exact = ids.indexOf(wanted);
  if (exact >= 0) return [{ kind: "building", place: exact }];
  const pair = /^([+-]?\d+(?:\.\d+)?)\s*°?\s*([NSns])?[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*°?\s*([EWOewo])?$/.exec(wanted);
  if (pair) {
    const first = Number(pair[1]) * (/[Ss]/.test(pair[2] ?? "") ? -1 : 1);
    const second = Number(pair[3]) * (/[WwOo]/.test(pair[4] ?? "") ? -1 : 1);
    if (state.plane.pixels) found.push({ kind: "place", at: state.plane.fromTold([first, second]) });
    else if (Math.abs(first) <= 90 && Math.abs(second) <= 360) found.push({ kind: "place", at: state.plane.fromTold([second, first]) });
  }
  const lower = wanted.toLowerCase();
  for (let i = 0; i < n && found.length < MOST; i++) {
    if (ids[i].toLowerCase().includes(lower) || footprints?.[i]?.toLowerCase().includes(lower)) found.push({ kind: "building", place: i });
  }
  return found;
}
