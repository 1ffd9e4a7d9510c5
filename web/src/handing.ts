// Files that a person takes along: selections and labels.
import { UNKNOWN } from "./data.ts";
import type { Point } from "./plane.ts";
import type { State } from "./state.ts";

/** Classes that a person may give, as `siamese adapt` and `assess` read them; the first four are damage classes. */
export const LABELS = ["no_damage", "minor_damage", "major_damage", "destroyed", "no_building", "unclear"] as const;

export function geometry(state: State, place: number): GeoJSON.Geometry {
  const digits = state.plane.pixels ? 2 : 7;
  const closed = (ring: Point[]): Point[] => {
    const told = ring.map((one) => state.plane.told(one).map((value) => Number(value.toFixed(digits))) as Point);
    return told.length ? [...told, told[0]] : told;
  };
  const polygons = state.polygonsOf(place).map((rings) => rings.map(closed));
  return polygons.length === 1 ? { type: "Polygon", coordinates: polygons[0] } : { type: "MultiPolygon", coordinates: polygons };
}

function head(state: State): Record<string, unknown> {
  const more = state.plane.pixels
    ? { coordinates: "pixels from the upper left corner, x right, y down; the imagery has no georeference" } : {};
  return { type: "FeatureCollection", name: state.about.map.event, map: state.about.digest, ...more };
}

const round = (value: number, digits = 4): number | null => (Number.isFinite(value) ? Number(value.toFixed(digits)) : null);

export function reasonNames(state: State, place: number): string[] {
  return state.about.reasons.filter((_, bit) => state.buildings.reasons[place] & (1 << Math.min(15, bit)));
}

function properties(state: State, place: number): Record<string, string | number | boolean | null> {
  const { buildings, classes, about } = state;
  const known = classes[place] !== UNKNOWN;
  const found: Record<string, string | number | boolean | null> = {
    damage_class: about.classes[classes[place]],
    mapped_class: about.classes[buildings.mapped[place]],
    confidence: round(state.confidence[place]),
    review: buildings.review[place] === 1,
  };
  about.classes.slice(0, UNKNOWN).forEach((name, c) => {
    found[`probability_${name}`] = known ? round(state.probabilities[4 * place + c]) : null;
  });
  found["probability_building"] = round(buildings.building[place]);
  found[state.plane.pixels ? "area_px" : "area_m2"] = round(buildings.area[place], 1);
  if (buildings.unknownShare) found["unknown_share"] = round(buildings.unknownShare[place]);
  if (about.reasons.length) found["reasons"] = reasonNames(state, place).join(",");
  if (buildings.footprints) found["footprint_id"] = buildings.footprints[place];
  return found;
}

/** Returns the buildings that pass the filter. */
export function chosen(state: State): number[] {
  const found: number[] = [];
  for (let i = 0; i < state.buildings.n; i++) if (state.kept[i]) found.push(i);
  return found;
}

export function toGeoJson(state: State, places: number[]): string {
  const features = places.map((place) => JSON.stringify({
    type: "Feature", id: state.buildings.ids[place], properties: properties(state, place), geometry: geometry(state, place),
  }));
  return `${JSON.stringify(head(state)).slice(0, -1)},"features":[\n${features.join(",\n")}\n]}\n`;
}

export function toCsv(state: State, places: number[]): string {
  const names = places.length ? Object.keys(properties(state, places[0])) : [];
  const [x, y] = state.plane.pixels ? ["col", "row"] : ["longitude", "latitude"];
  const lines = [["id", ...names, x, y].map(field).join(",")];
  for (const place of places) {
    const row = properties(state, place);
    const at = state.plane.told([state.buildings.at[2 * place], state.buildings.at[2 * place + 1]]);
    const told = at.map((value) => value.toFixed(state.plane.pixels ? 1 : 7));
    lines.push([state.buildings.ids[place], ...names.map((name) => row[name]), ...told].map(field).join(","));
  }
  return `${lines.join("\n")}\n`;
}

/** Returns a field of CSV; a spreadsheet does not take it for a formula. */
function field(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return "";
  const given = String(value);
  // Signs and digits alone do no harm: numbers, and ids of buildings, which must be found in the map again.
  const text = /^[=+\-@\t\r]/.test(given) && !/^[-+.\d]+$/.test(given) ? `'${given}` : given;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export type Labelled = { place: number; label: number; author: string; made: string };

/** Returns labels as `siamese adapt --labels` and `siamese assess --labels` read them. */
export function labelsToGeoJson(state: State, labels: Iterable<Labelled>): string {
  const features = [...labels].map((one) => JSON.stringify({
    type: "Feature",
    id: state.buildings.ids[one.place],
    properties: { damage_class: LABELS[one.label], ...(one.author ? { author: one.author } : {}), made: one.made },
    geometry: geometry(state, one.place),
  }));
  return `${JSON.stringify(head(state)).slice(0, -1)},"features":[\n${features.join(",\n")}\n]}\n`;
}

export function save(name: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name.replace(/[^\p{L}\p{N}._-]+/gu, "-");
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
