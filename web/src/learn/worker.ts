// Runs beside the page, so that it never stands still while the map learns.
import { UNKNOWN, type Settings, type Teaching } from "../data.ts";
import { estimate, type Estimates } from "./estimate.ts";
import { adaptAlong, CLASSES, contradictions, decideClasses, distance2 } from "./model.ts";
import { select } from "./selection.ts";

export type Asked =
  | { kind: "start"; teaching: Teaching; settings: Settings }
  | { kind: "adapt"; labels: [number, number][] }
  | { kind: "select"; count: number; labelled: number[]; probabilities: Float64Array | null }
  | { kind: "similar"; place: number; count: number }
  | { kind: "estimate"; population: number[]; truth: number[][]; known: number[] };
export type Answers = {
  adapt: { classes: Uint8Array; probabilities: Float64Array; strength: number; surprise: number; contradictions: [number, number][]; ms: number };
  select: number[];
  similar: { place: number; distance: number }[];
  estimate: Estimates;
};

let teaching: Teaching | null = null;
let settings: Settings | null = null;

self.onmessage = ({ data }: MessageEvent<Asked & { number: number }>): void => {
  if (data.kind === "start") {
    ({ teaching, settings } = data);
    return;
  }
  try {
    self.postMessage({ number: data.number, answer: answer(data) });
  } catch (error) {
    self.postMessage({ number: data.number, error: error instanceof Error ? error.message : String(error) });
  }
};

function answer(asked: Exclude<Asked, { kind: "start" }>): Answers[keyof Answers] {
  if (!teaching || !settings) throw new Error("not started");
  switch (asked.kind) {
    case "adapt": return adapt(teaching, settings, asked.labels);
    case "select": return picks(teaching, settings, asked.count, asked.labelled, asked.probabilities);
    case "similar": return similar(teaching, asked.place, asked.count);
    case "estimate": return estimate(asked.population, asked.truth, asked.known);
  }
}

function vectors(from: Teaching): Float64Array {
  if (!from.along) throw new Error("there are no vectors");
  return from.along;
}

/** Some rows of an array. */
function rows(values: Float64Array, places: number[], width: number): Float64Array {
  const out = new Float64Array(places.length * width);
  places.forEach((place, i) => out.set(values.subarray(place * width, (place + 1) * width), i * width));
  return out;
}

/** As `_decided` of siamese/adaptation/verb.py: buildings on unseen ground neither teach nor are decided, unless labelled. */
function adapt(from: Teaching, with_: Settings, labels: [number, number][]): Answers["adapt"] {
  const started = performance.now();
  const along = vectors(from), k = from.dimension, n = from.rootClass.length;
  const labelled = new Map(labels);
  const places: number[] = [];
  for (let i = 0; i < n; i++) if (from.rootClass[i] !== UNKNOWN || labelled.has(i)) places.push(i);
  const whole = places.length === n;
  const renumbered = new Map<number, number>();
  if (!whole) places.forEach((place, i) => renumbered.set(place, i));
  const found = adaptAlong(
    whole ? along : rows(along, places, k), k, whole ? from.prior : rows(from.prior, places, CLASSES),
    labels.map(([place, c]) => [whole ? place : (renumbered.get(place) as number), c]), with_,
  );
  const some = decideClasses(found.probabilities, with_.rare);
  const classes = new Uint8Array(n).fill(UNKNOWN), probabilities = from.prior.slice();
  places.forEach((place, i) => {
    classes[place] = some[i];
    for (let c = 0; c < CLASSES; c++) probabilities[place * CLASSES + c] = found.probabilities[i * CLASSES + c];
  });
  const torn = contradictions(along, k, labels);
  return { classes, probabilities, strength: found.strength, surprise: found.surprise, contradictions: torn, ms: performance.now() - started };
}

/** As `select_buildings` of siamese/adaptation/verb.py. */
function picks(from: Teaching, with_: Settings, count: number, labelled: number[], probabilities: Float64Array | null): number[] {
  const along = vectors(from), k = from.dimension;
  const asked: number[] = [];
  from.rootClass.forEach((c, place) => { if (c !== UNKNOWN) asked.push(place); });
  const renumbered = new Map(asked.map((place, i) => [place, i]));
  const known = labelled.map((place) => renumbered.get(place)).filter((one) => one !== undefined);
  const chosen = select(
    rows(along, asked, k), k, rows(probabilities ?? from.current, asked, CLASSES), rows(from.position, asked, 2), count, known, with_,
  );
  return chosen.map((i) => asked[i]);
}

function similar(from: Teaching, place: number, count: number): Answers["similar"] {
  const along = vectors(from), k = from.dimension;
  const found: { place: number; distance: number }[] = [];
  for (let other = 0; other < from.rootClass.length; other++) {
    if (other === place || from.rootClass[other] === UNKNOWN) continue;
    const distance = distance2(along, k, place, other);
    if (found.length === count && distance >= found[count - 1].distance) continue;
    let at = found.length;
    while (at > 0 && found[at - 1].distance > distance) at--;
    found.splice(at, 0, { place: other, distance });
    if (found.length > count) found.pop();
  }
  return found.map((one) => ({ place: one.place, distance: Math.sqrt(one.distance) }));
}
