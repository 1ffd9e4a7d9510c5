// The model of siamese/adaptation/model.py, line by line: what it is and why stands there. Both must give the same
// result, which tests/viewing checks.
import type { Settings } from "../data.ts";
import { cholesky, solve, solveFactored } from "./algebra.ts";

export const CLASSES = 4;
const TINY = 1e-4;
const FITTED_ROWS = 8192;
const STEPS = 50;
const CONVERGED = 1e-8;
const CERTAIN = 1e-9;
const TURNS = 4;
const TRIED = 10;
const GAIN = 1e-6;
const LONE = 0.25;

export type Adapted = { probabilities: Float64Array; strength: number; surprise: number };

/**
 * Decides the class probabilities of each building.
 *
 * @param along (n, k) vectors along their main directions.
 * @param prior (n, 4) probabilities of the network.
 * @param labels Place and class of some buildings, by place.
 */
export function adaptAlong(along: Float64Array, k: number, prior: Float64Array, labels: [number, number][], settings: Settings): Adapted {
  const sorted = [...labels].sort((a, b) => a[0] - b[0]);
  const n = prior.length / CLASSES, m = sorted.length;
  const logs = logPrior(prior);
  const x = new Float64Array(m * k), offset = new Float64Array(m * CLASSES), truth = new Float64Array(m * CLASSES);
  sorted.forEach(([place, c], i) => {
    for (let j = 0; j < k; j++) x[i * k + j] = along[place * k + j];
    for (let j = 0; j < CLASSES; j++) offset[i * CLASSES + j] = logs[place * CLASSES + j];
    truth[i * CLASSES + c] = 1;
  });
  let used = settings;
  if (sorted.every(([, c]) => c === sorted[0][1])) {
    used = { ...settings, strengths: settings.strengths.slice(0, 1), shift: LONE * settings.shift };
  }
  let best: Fit | null = null;
  for (const strength of used.strengths) {
    const fit = fitted(x, m, k, offset, truth, strength, used);
    if (!best || fit.surprise < best.surprise) best = fit;
  }
  if (!best) throw new Error("no strengths");
  const { trust, shift, weights } = best;
  const probabilities = new Float64Array(n * CLASSES);
  const logits = new Float64Array(CLASSES);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < CLASSES; c++) {
      let sum = logs[i * CLASSES + c] * (1 + trust) + shift[c];
      for (let j = 0; j < k; j++) sum += along[i * k + j] * weights[c * k + j];
      logits[c] = sum;
    }
    softmaxInto(logits, probabilities, i * CLASSES);
  }
  for (const [place, c] of sorted) for (let j = 0; j < CLASSES; j++) probabilities[place * CLASSES + j] = j === c ? 1 : 0;
  return { probabilities, strength: best.strength, surprise: best.surprise };
}

export function logPrior(prior: Float64Array): Float64Array {
  const out = new Float64Array(prior.length);
  const row = new Float64Array(CLASSES);
  for (let i = 0; i < prior.length; i += CLASSES) {
    let sum = 0, finite = true;
    for (let c = 0; c < CLASSES; c++) {
      finite &&= Number.isFinite(prior[i + c]);
      sum += prior[i + c];
    }
    const bad = !finite || sum <= 0;
    let clipped = 0;
    for (let c = 0; c < CLASSES; c++) {
      row[c] = bad ? 1 / CLASSES : Math.max(prior[i + c] / sum, TINY);
      clipped += row[c];
    }
    for (let c = 0; c < CLASSES; c++) out[i + c] = Math.log(row[c] / clipped);
  }
  return out;
}

function softmaxInto(logits: Float64Array, out: Float64Array, at: number, from = 0): void {
  let top = -Infinity;
  for (let c = 0; c < CLASSES; c++) top = Math.max(top, logits[from + c]);
  let sum = 0;
  for (let c = 0; c < CLASSES; c++) sum += out[at + c] = Math.exp(logits[from + c] - top);
  for (let c = 0; c < CLASSES; c++) out[at + c] /= sum;
}

type Fit = { trust: number; shift: Float64Array; weights: Float64Array; strength: number; surprise: number };

function classRoot(order: number): Float64Array {
  const severity = Array.from({ length: CLASSES }, (_, c) => c - (CLASSES - 1) / 2);
  const size = Math.sqrt(severity.reduce((sum, one) => sum + one * one, 0) / CLASSES);
  const a = new Float64Array(CLASSES * CLASSES);
  for (let i = 0; i < CLASSES; i++) {
    for (let j = 0; j < CLASSES; j++) {
      a[i * CLASSES + j] = order * (severity[i] / size) * (severity[j] / size) + (i === j ? 1 - order + 1e-9 : 0);
    }
  }
  return cholesky(a, CLASSES);
}

function fitted(x: Float64Array, m: number, k: number, offset: Float64Array, truth: Float64Array, strength: number, settings: Settings): Fit {
  const root = classRoot(settings.order);
  const d = CLASSES * k + CLASSES + 1;
  // design[(i * 4 + c) * d + parameter]: the weights first, then the shifts, then the trust.
  const design = new Float64Array(m * CLASSES * d);
  for (let i = 0; i < m; i++) {
    for (let c = 0; c < CLASSES; c++) {
      const at = (i * CLASSES + c) * d;
      for (let l = 0; l < CLASSES; l++) {
        const factor = strength * root[c * CLASSES + l];
        if (factor !== 0) for (let j = 0; j < k; j++) design[at + l * k + j] = factor * x[i * k + j];
      }
      design[at + CLASSES * k + c] = settings.shift;
      design[at + d - 1] = settings.trust * offset[i * CLASSES + c];
    }
  }
  const { found, logits, factor } = mode(design, m, d, offset, truth);
  const weights = new Float64Array(CLASSES * k);
  for (let c = 0; c < CLASSES; c++) {
    for (let j = 0; j < k; j++) {
      let sum = 0;
      for (let l = 0; l < CLASSES; l++) sum += root[c * CLASSES + l] * found[l * k + j];
      weights[c * k + j] = strength * sum;
    }
  }
  return {
    trust: settings.trust * found[d - 1],
    shift: found.slice(d - 1 - CLASSES, d - 1).map((one) => settings.shift * one),
    weights, strength,
    surprise: surprise(design, m, d, factor, logits, truth),
  };
}

/** The mode of the posterior, the logits there, and the Cholesky factor of the precision there. */
function mode(design: Float64Array, m: number, d: number, offset: Float64Array, truth: Float64Array): { found: Float64Array; logits: Float64Array; factor: Float64Array } {
  let found = new Float64Array(d), value = -Infinity;
  for (let step = 0; step < STEPS; step++) {
    const logits = logitsAt(design, m, d, offset, found);
    const p = new Float64Array(m * CLASSES);
    for (let i = 0; i < m; i++) softmaxInto(logits, p, i * CLASSES, i * CLASSES);
    const gradient = new Float64Array(d);
    for (let row = 0; row < m * CLASSES; row++) {
      const residual = truth[row] - p[row];
      for (let j = 0; j < d; j++) gradient[j] += design[row * d + j] * residual;
    }
    for (let j = 0; j < d; j++) gradient[j] -= found[j];
    const move = solveFactored(cholesky(precision(design, m, d, p), d), d, gradient);
    let size = 1, now = value, trial = found;
    while (size > 1e-4) {
      trial = found.map((one, j) => one + size * move[j]);
      now = logPosterior(logitsAt(design, m, d, offset, trial), m, truth, trial);
      if (now >= value) break;
      size /= 2;
    }
    const gained = now - value;
    value = Math.max(now, value);
    if (gained < 0) break;
    found = trial;
    if (gained < CONVERGED) break;
  }
  const logits = logitsAt(design, m, d, offset, found);
  const p = new Float64Array(m * CLASSES);
  for (let i = 0; i < m; i++) softmaxInto(logits, p, i * CLASSES, i * CLASSES);
  return { found, logits, factor: cholesky(precision(design, m, d, p), d) };
}

function logitsAt(design: Float64Array, m: number, d: number, offset: Float64Array, found: Float64Array): Float64Array {
  const out = offset.slice();
  for (let row = 0; row < m * CLASSES; row++) {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += design[row * d + j] * found[j];
    out[row] += sum;
  }
  return out;
}

/** I + Σ Dᵀ (diag p − p pᵀ) D. */
function precision(design: Float64Array, m: number, d: number, p: Float64Array): Float64Array {
  const out = new Float64Array(d * d);
  const mean = new Float64Array(d);
  for (let i = 0; i < m; i++) {
    mean.fill(0);
    for (let c = 0; c < CLASSES; c++) {
      const at = (i * CLASSES + c) * d, share = p[i * CLASSES + c];
      for (let a = 0; a < d; a++) {
        const one = design[at + a] * share;
        mean[a] += one;
        if (one !== 0) for (let b = 0; b <= a; b++) out[a * d + b] += one * design[at + b];
      }
    }
    for (let a = 0; a < d; a++) if (mean[a] !== 0) for (let b = 0; b <= a; b++) out[a * d + b] -= mean[a] * mean[b];
  }
  for (let a = 0; a < d; a++) {
    out[a * d + a] += 1;
    for (let b = 0; b < a; b++) out[b * d + a] = out[a * d + b];
  }
  return out;
}

function logPosterior(logits: Float64Array, m: number, truth: Float64Array, parameters: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < m; i++) {
    const total = logSum(logits, i * CLASSES);
    for (let c = 0; c < CLASSES; c++) if (truth[i * CLASSES + c]) sum += logits[i * CLASSES + c] - total;
  }
  let size = 0;
  for (const one of parameters) size += one * one;
  return sum - 0.5 * size;
}

function logSum(logits: Float64Array, at: number): number {
  let top = -Infinity;
  for (let c = 0; c < CLASSES; c++) top = Math.max(top, logits[at + c]);
  let sum = 0;
  for (let c = 0; c < CLASSES; c++) sum += Math.exp(logits[at + c] - top);
  return top + Math.log(sum);
}

/** Mean surprise at each label given all others, by one Newton step from the common mode. */
function surprise(design: Float64Array, m: number, d: number, factor: Float64Array, logits: Float64Array, truth: Float64Array): number {
  let sum = 0;
  const p = new Float64Array(CLASSES);
  for (let i = 0; i < m; i++) {
    softmaxInto(logits, p, 0, i * CLASSES);
    const rows = Array.from({ length: CLASSES }, (_, c) => design.subarray((i * CLASSES + c) * d, (i * CLASSES + c + 1) * d));
    const half = rows.map((row) => solveFactored(factor, d, row as Float64Array));
    const spread = new Float64Array(CLASSES * CLASSES);
    for (let a = 0; a < CLASSES; a++) for (let b = 0; b < CLASSES; b++) spread[a * CLASSES + b] = dot(rows[a], half[b]);
    const gradient = p.map((one, c) => one - truth[i * CLASSES + c]);
    const left = new Float64Array(CLASSES * CLASSES), right = new Float64Array(CLASSES);
    for (let a = 0; a < CLASSES; a++) {
      for (let b = 0; b < CLASSES; b++) {
        let product = 0;
        for (let c = 0; c < CLASSES; c++) product += spread[a * CLASSES + c] * (c === b ? p[c] - p[c] * p[b] : -p[c] * p[b]);
        left[a * CLASSES + b] = (a === b ? 1 : 0) - product;
        right[a] += spread[a * CLASSES + b] * gradient[b];
      }
    }
    const moved = solve(left, CLASSES, right);
    const alone = new Float64Array(CLASSES);
    for (let c = 0; c < CLASSES; c++) alone[c] = logits[i * CLASSES + c] + moved[c];
    let told = 0;
    for (let c = 0; c < CLASSES; c++) if (truth[i * CLASSES + c]) told = alone[c];
    sum += logSum(alone, 0) - told;
  }
  return sum / m;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** The class of each building, so that the expected mean F1 of the classes is best. */
export function decideClasses(probabilities: Float64Array, rare: number): Uint8Array {
  const weights = voteWeights(probabilities, rare);
  const n = probabilities.length / CLASSES;
  const out = new Uint8Array(n);
  const bias = weights.map(Math.log);
  for (let i = 0; i < n; i++) {
    let best = 0, most = -Infinity;
    for (let c = 0; c < CLASSES; c++) {
      const value = Math.log(Math.max(probabilities[i * CLASSES + c], CERTAIN)) + bias[c];
      if (value > most) [most, best] = [value, c];
    }
    out[i] = best;
  }
  return out;
}

export function voteWeights(probabilities: Float64Array, most: number): Float64Array {
  const n = probabilities.length / CLASSES;
  const stride = Math.max(1, Math.ceil(n / FITTED_ROWS));
  const count = Math.ceil(n / stride);
  const some = new Float64Array(count * CLASSES), logs = new Float64Array(count * CLASSES), there = new Float64Array(CLASSES);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < CLASSES; c++) {
      const value = probabilities[i * stride * CLASSES + c];
      some[i * CLASSES + c] = value;
      logs[i * CLASSES + c] = Math.log(Math.max(value, CERTAIN));
      there[c] += value;
    }
  }
  let weights = new Float64Array(CLASSES);
  let best = expectedF1(some, logs, there, weights);
  for (let turn = 0; turn < TURNS; turn++) {
    const before = best;
    for (let c = 1; c < CLASSES; c++) {
      for (let tried = 0; tried < TRIED; tried++) {
        const trial = weights.slice();
        trial[c] = tried === TRIED - 1 ? Math.log(most) : (Math.log(most) / (TRIED - 1)) * tried;
        const found = expectedF1(some, logs, there, trial);
        if (found > best + GAIN) [best, weights] = [found, trial];
      }
    }
    if (best === before) break;
  }
  return weights.map(Math.exp);
}

function expectedF1(probabilities: Float64Array, logs: Float64Array, there: Float64Array, weights: Float64Array): number {
  const hits = [0, 0, 0, 0], found = [0, 0, 0, 0];
  for (let i = 0; i < probabilities.length; i += CLASSES) {
    let best = 0, most = -Infinity;
    for (let c = 0; c < CLASSES; c++) {
      const value = logs[i + c] + weights[c];
      if (value > most) [most, best] = [value, c];
    }
    hits[best] += probabilities[i + best];
    found[best]++;
  }
  let sum = 0;
  for (let c = 0; c < CLASSES; c++) sum += (2 * hits[c]) / Math.max(there[c] + found[c], CERTAIN);
  return sum / CLASSES;
}

const ALIKE = 0.02;
const APART = 2;

/** Pairs of labelled buildings that look the same and have opposite classes. */
export function contradictions(along: Float64Array, k: number, labels: [number, number][]): [number, number][] {
  const sorted = [...labels].sort((a, b) => a[0] - b[0]);
  const found: [number, number][] = [];
  for (let i = 0; i < sorted.length; i++) {
    for (let j = i + 1; j < sorted.length; j++) {
      if (Math.abs(sorted[i][1] - sorted[j][1]) < APART) continue;
      if (distance2(along, k, sorted[i][0], sorted[j][0]) <= ALIKE) found.push([sorted[i][0], sorted[j][0]]);
    }
  }
  return found;
}

export function distance2(along: Float64Array, k: number, one: number, other: number): number {
  let sum = 0;
  for (let j = 0; j < k; j++) sum += (along[one * k + j] - along[other * k + j]) ** 2;
  return sum;
}
