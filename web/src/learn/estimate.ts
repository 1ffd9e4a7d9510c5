// How right a map is, from labels of its sample: siamese/adaptation/estimate.py. Estimates are the same; intervals come
// from other random numbers, so they agree as far as such draws do.

const CLASSES = 4;
const CAUTION = 1 / 3;
const OWN_SHARE = 2 / 3;
const OTHER_SHARE = 1 / 4;

export type Interval = { estimate: number; low: number; high: number };
export type ClassAssessment = {
  mapped: number; labelled: number; precision: Interval; recall: Interval; f1: Interval; buildings: Interval; standardError: number;
};
export type Estimates = { classes: ClassAssessment[]; damaged: ClassAssessment; accuracy: Interval; macroF1: Interval };

/** Shares a sample out over strata: a minimum each, the rest by their sizes. */
export function allocate(there: number[], wanted: number, least: number): number[] {
  const all = there.reduce((a, b) => a + b, 0);
  const size = Math.min(wanted, all);
  const strata = Math.max(1, there.filter((one) => one > 0).length);
  const taken: number[] = there.map((one) => Math.min(one, least, Math.floor(size / strata)));
  for (;;) {
    const left = size - taken.reduce((a, b) => a + b, 0);
    if (left <= 0) return taken;
    const room = there.map((one, i) => one - taken[i]);
    const open = there.reduce((sum, one, i) => sum + (room[i] > 0 ? one : 0), 0);
    const share = there.map((one, i) => ((room[i] > 0 ? one : 0) / open) * left);
    const more: number[] = share.map((one, i) => Math.min(Math.floor(one), room[i]));
    if (!more.some((one) => one > 0)) {
      let best = -1;
      share.forEach((one, i) => { if (room[i] > 0 && (best < 0 || one > share[best])) best = i; });
      more[best] = 1;
    }
    more.forEach((one, i) => { taken[i] += one; });
  }
}

/** Random numbers in 0..1 (sfc32), the same each time. */
export class Random {
  private a = 0x9e3779b9 | 0;
  private b = 0x243f6a88 | 0;
  private c = 0xb7e15162 | 0;
  private d = 1;
  private spare: number | null = null;

  constructor(seed = 0) {
    this.a ^= seed;
    for (let i = 0; i < 16; i++) this.next();
  }

  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0;
    this.d = (this.d + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return ((t >>> 0) + 0.5) / 4294967296;
  }

  normal(): number {
    if (this.spare !== null) {
      const kept = this.spare;
      this.spare = null;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(this.next())), angle = 2 * Math.PI * this.next();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Marsaglia and Tsang 2000, "A simple method for generating gamma variables". */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * this.next() ** (1 / shape);
    const d = shape - 1 / 3, c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal(), v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(this.next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  /** One whose first parameter is 0 lies at 0, one whose second is 0 at 1. */
  beta(a: number, b: number): number {
    if (a === 0 || b === 0) return a === 0 ? 0 : 1;
    const x = this.gamma(a), y = this.gamma(b);
    return x + y > 0 ? x / (x + y) : a >= b ? 1 : 0;
  }

  /** Exact where the variance is small; elsewhere the normal law, rounded, whose error is below a tenth of a building. */
  binomial(n: number, p: number): number {
    if (p > 0.5) return n - this.binomial(n, 1 - p);
    if (n <= 0 || p <= 0) return 0;
    if (n * p * (1 - p) > 60) return Math.min(n, Math.max(0, Math.round(n * p + this.normal() * Math.sqrt(n * p * (1 - p)))));
    // Waiting times between hits.
    const log = Math.log1p(-p);
    let at = 0, hits = 0;
    for (;;) {
      at += Math.floor(Math.log(this.next()) / log) + 1;
      if (at > n) return hits;
      hits++;
    }
  }
}

/**
 * @param population (5) buildings that nobody had labelled before, by mapped class.
 * @param truth (5, 5) labels: rows mapped class, columns true class, the last no building.
 * @param known (4) buildings whose class a person gave before.
 */
export function estimate(population: number[], truth: number[][], known: number[], draws = 4000): Estimates {
  const random = new Random();
  const each = Array.from({ length: CLASSES }, (_, c) => one(population, truth, known, [c], random, draws));
  const damaged = one(population, truth, known, [1, 2, 3], random, draws);
  const [low, high] = [0, 1].map((side) =>
    Float64Array.from({ length: draws }, (_, i) => each.reduce((sum, found) => sum + found.drawn[side][i], 0) / CLASSES));
  return {
    classes: each.map((found) => found.told),
    damaged: damaged.told,
    accuracy: accuracy(population, truth, known, random, draws),
    macroF1: interval(each.reduce((sum, found) => sum + found.told.f1.estimate, 0) / CLASSES, [low, high]),
  };
}

/** Draws for the lower and for the upper end of an interval. */
type Ends = [Float64Array, Float64Array];

const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);
const ratio = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);

function one(population: number[], truth: number[][], known: number[], members: number[], random: Random, draws: number): { told: ClassAssessment; drawn: Ends } {
  const own = population.map((_, i) => members.includes(i));
  const found = truth.map((row) => sum(members.map((c) => row[c])));
  const labelled = truth.map(sum);
  const before = sum(members.map((c) => known[c]));
  const share = shares(found, labelled, own);
  const expected = population.map((count, i) => count * share[i]);
  const mapped = sum(population.filter((_, i) => own[i])) + before;
  const hits = sum(expected.filter((_, i) => own[i])) + before, total = sum(expected) + before;
  const [precision, recall, f1, there] = Array.from({ length: 4 }, (): Ends => [new Float64Array(draws), new Float64Array(draws)]);
  for (let draw = 0; draw < draws; draw++) {
    // Buildings of the class that are mapped to it and to others, at the end with fewer of them and at the end with more.
    const hit = [before, before], others = [0, 0];
    for (let i = 0; i < population.length; i++) {
      for (const side of [0, 1] as const) {
        (own[i] ? hit : others)[side] += drawOne(population[i], found[i], labelled[i], side, random);
      }
    }
    for (const side of [0, 1] as const) {
      const mixed = hit[side] + others[1 - side];
      precision[side][draw] = ratio(hit[side], mapped);
      recall[side][draw] = ratio(hit[side], mixed);
      f1[side][draw] = ratio(2 * hit[side], mapped + mixed);
      there[side][draw] = hit[side] + others[side];
    }
  }
  let variance = 0;
  population.forEach((count, i) => {
    if (count > 0) variance += (count ** 2 * (1 - labelled[i] / count) * share[i] * (1 - share[i])) / Math.max(labelled[i] - 1, 1);
  });
  return {
    told: {
      mapped, labelled: sum(found),
      precision: interval(ratio(hits, mapped), precision), recall: interval(ratio(hits, total), recall),
      f1: interval(ratio(2 * hits, mapped + total), f1), buildings: interval(total, there), standardError: Math.sqrt(variance),
    },
    drawn: f1,
  };
}

function accuracy(population: number[], truth: number[][], known: number[], random: Random, draws: number): Interval {
  const right = truth.slice(0, CLASSES).map((row, i) => row[i]);
  const labelled = truth.slice(0, CLASSES).map(sum);
  const there = population.slice(0, CLASSES);
  const own = there.map(() => true);
  const before = sum(known);
  const total = sum(there) + before;
  const share = shares(right, labelled, own);
  const [low, high] = ([0, 1] as const).map((side) => Float64Array.from({ length: draws }, () =>
    ratio(sum(there.map((count, i) => drawOne(count, right[i], labelled[i], side, random))) + before, total)));
  return interval(ratio(sum(there.map((count, i) => count * share[i])) + before, total), [low, high]);
}

function shares(found: number[], labelled: number[], own: boolean[]): number[] {
  return found.map((count, i) => (labelled[i] > 0 ? count / labelled[i] : own[i] ? OWN_SHARE : OTHER_SHARE));
}

/** Draws how many buildings of a stratum are of the class: for the end of an interval with fewer (0) or more (1) of them. */
function drawOne(population: number, found: number, labelled: number, side: 0 | 1, random: Random): number {
  const rest = Math.max(population - labelled, 0), against = labelled - found;
  const share = side ? random.beta(found + CAUTION, against) : random.beta(found, against + CAUTION);
  return found + random.binomial(rest, share);
}

function interval(value: number, ends: Ends): Interval {
  const [low, high] = ends.map((drawn, side) => {
    const sorted = drawn.slice().sort();
    const place = (side ? 0.975 : 0.025) * (sorted.length - 1), below = Math.floor(place);
    return sorted[below] + (place - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
  });
  return { estimate: value, low: Math.min(value, low), high: Math.max(value, high) };
}
