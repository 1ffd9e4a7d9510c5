// The page's side of the worker that learns: the data is read when it is first needed.
import type { About, Files } from "../data.ts";
import { readTeaching } from "../data.ts";
import type { Answers, Asked } from "./worker.ts";

type Waiting = { done: (value: never) => void; failed: (error: Error) => void };

export class Learner {
  private worker: Promise<Worker> | null = null;
  private readonly waiting = new Map<number, Waiting>();
  private next = 0;
  private kept: Float64Array | null = null;

  constructor(private readonly files: Files, private readonly about: About) {}

  /** The random order in which buildings are assessed; all other arrays live in the worker alone. */
  async randomOrder(): Promise<Float64Array> {
    await this.started();
    return this.kept as Float64Array;
  }

  adapt(labels: [number, number][]): Promise<Answers["adapt"]> {
    return this.ask({ kind: "adapt", labels });
  }

  select(count: number, labelled: number[], probabilities: Float64Array | null): Promise<number[]> {
    return this.ask({ kind: "select", count, labelled, probabilities });
  }

  similar(place: number, count: number): Promise<Answers["similar"]> {
    return this.ask({ kind: "similar", place, count });
  }

  estimate(population: number[], truth: number[][], known: number[]): Promise<Answers["estimate"]> {
    return this.ask({ kind: "estimate", population, truth, known });
  }

  private async ask<K extends keyof Answers>(asked: Extract<Asked, { kind: K }>): Promise<Answers[K]> {
    const worker = await this.started();
    return new Promise((done, failed) => {
      this.waiting.set(++this.next, { done: done as (value: never) => void, failed });
      worker.postMessage({ ...asked, number: this.next });
    });
  }

  /** The worker. A failure is not kept: the next request tries again. */
  private started(): Promise<Worker> {
    this.worker ??= this.start().catch((error: unknown) => {
      this.worker = null;
      throw error;
    });
    return this.worker;
  }

  private async start(): Promise<Worker> {
    const teaching = await readTeaching(this.files, this.about);
    this.kept = teaching.order.slice();
    const worker = new Worker(this.files.url("learn-worker.js"));
    worker.onmessage = ({ data }: MessageEvent<{ number: number; answer?: unknown; error?: string }>) => {
      const one = this.waiting.get(data.number);
      this.waiting.delete(data.number);
      if (data.error !== undefined) one?.failed(new Error(data.error));
      else one?.done(data.answer as never);
    };
    worker.onerror = (event) => {
      for (const one of this.waiting.values()) one.failed(new Error(event.message || "worker"));
      this.waiting.clear();
    };
    // All arrays lie in one buffer, which moves to the worker.
    worker.postMessage({ kind: "start", number: 0, teaching, settings: this.about.adaptation }, [teaching.prior.buffer]);
    return worker;
  }
}
