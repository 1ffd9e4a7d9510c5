// Which buildings a person should label next: siamese/adaptation/selection.py, line by line.
import type { Settings } from "../data.ts";
import { CLASSES } from "./model.ts";

const ROUNDS = 12;
const POOL = 20_000;

/** How unsure each building is, 0 to 1. */
export function entropy(probabilities: Float64Array): Float64Array {
  const out = new Float64Array(probabilities.length / CLASSES);
  const row = new Float64Array(CLASSES);
  for (let i = 0; i < out.length; i++) {
    let sum = 0, told = 0;
    for (let c = 0; c < CLASSES; c++) sum += row[c] = Math.min(1, Math.max(1e-12, probabilities[i * CLASSES + c]));
    for (let c = 0; c < CLASSES; c++) told += (row[c] / sum) * Math.log(row[c] / sum);
    out[i] = -told / Math.log(CLASSES);
  }
  return out;
}

/**
 * Picks buildings to label, the most useful first.
 *
 * @param along (n, k) vectors.
 * @param probabilities (n, 4) as the map has them now.
 * @param positions (n, 2) metres or pixels.
 * @param labelled Buildings that have a label.
 */
export function select(along: Float64Array, k: number, probabilities: Float64Array, positions: Float64Array, count: number, labelled: number[], settings: Settings): number[] {
  const n = positions.length / 2;
  const taken = new Set(labelled), held = [...taken].sort((a, b) => a - b);
  const free: number[] = [];
  for (let i = 0; i < n; i++) if (!taken.has(i)) free.push(i);
  if (free.length <= count) return free;
  const weight = entropy(probabilities).map((one) => (one + 0.02) ** settings.unsure);
  const d = k + CLASSES + 2;
  const features = new Float64Array(n * d);
  put(features, d, 0, n, k, (i, j) => along[i * k + j], 1);
  put(features, d, k, n, CLASSES, (i, j) => Math.sqrt(probabilities[i * CLASSES + j]), settings.severity);
  put(features, d, k + CLASSES, n, 2, (i, j) => positions[i * 2 + j], settings.place);
  const pool = pooled(free, weight);
  const fixed = held.map((i) => features.slice(i * d, (i + 1) * d));
  const middles = spread(features, d, pool, weight, count, fixed);
  return nearest(features, d, weight, pool, settle(features, d, pool, weight, middles, fixed), count);
}

function put(out: Float64Array, d: number, at: number, n: number, size: number, value: (i: number, j: number) => number, share: number): void {
  const mean = new Float64Array(size);
  for (let i = 0; i < n; i++) for (let j = 0; j < size; j++) mean[j] += value(i, j) / n;
  let length = 0;
  for (let i = 0; i < n; i++) for (let j = 0; j < size; j++) length += (value(i, j) - mean[j]) ** 2 / n;
  length = Math.sqrt(length);
  const factor = Math.sqrt(share) / (length > 0 ? length : 1);
  for (let i = 0; i < n; i++) for (let j = 0; j < size; j++) out[i * d + at + j] = (value(i, j) - mean[j]) * factor;
}

function pooled(free: number[], weight: Float64Array): number[] {
  if (free.length <= POOL) return free;
  const unsure = [...free].sort((a, b) => weight[b] - weight[a] || a - b).slice(0, POOL / 2);
  const stride = Math.ceil(free.length / (POOL / 2));
  const all = new Set(unsure);
  for (let i = 0; i < free.length; i += stride) all.add(free[i]);
  return [...all].sort((a, b) => a - b);
}

function apart(features: Float64Array, at: number, other: Float64Array, from: number, d: number): number {
  let sum = 0;
  for (let j = 0; j < d; j++) sum += (features[at + j] - other[from + j]) ** 2;
  return sum;
}

function spread(features: Float64Array, d: number, pool: number[], weight: Float64Array, count: number, fixed: Float64Array[]): Float64Array[] {
  const far = new Float64Array(pool.length).fill(Infinity);
  for (const one of fixed) pool.forEach((i, p) => { far[p] = Math.min(far[p], apart(features, i * d, one, 0, d)); });
  const chosen: Float64Array[] = [];
  for (let turn = 0; turn < count; turn++) {
    let best = 0, most = -Infinity;
    pool.forEach((i, p) => {
      const score = weight[i] * (far[p] === Infinity ? 1 : far[p]);
      if (score > most) [most, best] = [score, p];
    });
    const at = pool[best] * d;
    chosen.push(features.slice(at, at + d));
    pool.forEach((i, p) => { far[p] = Math.min(far[p], apart(features, i * d, features, at, d)); });
    far[best] = 0;
  }
  return chosen;
}

function settle(features: Float64Array, d: number, pool: number[], weight: Float64Array, middles: Float64Array[], fixed: Float64Array[]): Float64Array[] {
  let held = [...middles, ...fixed];
  for (let round = 0; round < ROUNDS; round++) {
    const group = closest(features, d, pool, held);
    const total = new Float64Array(held.length);
    const moved = held.map(() => new Float64Array(d));
    pool.forEach((i, p) => {
      const g = group[p];
      total[g] += weight[i];
      if (g < middles.length) for (let j = 0; j < d; j++) moved[g][j] += weight[i] * features[i * d + j];
    });
    let still = true;
    const next = held.map((one, g) => {
      if (g >= middles.length || !(total[g] > 0)) return one;
      const mean = moved[g].map((sum) => sum / total[g]);
      for (let j = 0; j < d; j++) if (Math.abs(mean[j] - one[j]) > 1e-8 + 1e-5 * Math.abs(one[j])) still = false;
      return mean;
    });
    if (still) break;
    held = next;
  }
  return held;
}

function nearest(features: Float64Array, d: number, weight: Float64Array, pool: number[], held: Float64Array[], count: number): number[] {
  const group = closest(features, d, pool, held);
  const total = new Float64Array(held.length);
  pool.forEach((i, p) => { total[group[p]] += weight[i]; });
  const heavy = Array.from({ length: count }, (_, g) => g).sort((a, b) => total[b] - total[a] || a - b);
  const free = pool.map(() => true);
  const taken: number[] = [];
  for (const g of heavy) {
    const mine = pool.some((_, p) => free[p] && group[p] === g);
    let best = -1, least = Infinity;
    pool.forEach((i, p) => {
      if (!free[p] || (mine && group[p] !== g)) return;
      const far = apart(features, i * d, held[g], 0, d);
      if (far < least) [least, best] = [far, p];
    });
    free[best] = false;
    taken.push(pool[best]);
  }
  return taken;
}

function closest(features: Float64Array, d: number, pool: number[], held: Float64Array[]): Uint32Array {
  const size = held.map((one) => one.reduce((sum, value) => sum + value * value, 0));
  const out = new Uint32Array(pool.length);
  pool.forEach((i, p) => {
    let best = 0, least = Infinity;
    for (let g = 0; g < held.length; g++) {
      const one = held[g];
      let product = 0;
      for (let j = 0; j < d; j++) product += features[i * d + j] * one[j];
      const far = size[g] - 2 * product;
      if (far < least) [least, best] = [far, g];
    }
    out[p] = best;
  });
  return out;
}
