// The labels of a person: kept in the browser as they are given, so that a closed page loses none.
import { LABELS, type Labelled } from "./handing.ts";

type Step = { place: number; before: Labelled | null };

export class Labels {
  private readonly kept = new Map<number, Labelled>();
  private readonly steps: Step[] = [];
  author = "";
  restored = 0;

  constructor(private readonly key: string, ids: string[]) {
    try {
      const stored = JSON.parse(localStorage.getItem(key) ?? "null") as { author?: unknown; labels?: unknown } | null;
      if (stored && typeof stored.author === "string") this.author = stored.author;
      for (const one of Array.isArray(stored?.labels) ? (stored.labels as Record<string, unknown>[]) : []) {
        const { place, id, label, made } = one;
        if (typeof place !== "number" || ids[place] !== id || typeof label !== "number" || !(label in LABELS)) continue;
        this.kept.set(place, { place, label, author: this.author, made: String(made) });
      }
    } catch {
      // A browser that keeps nothing still labels.
    }
    this.restored = this.kept.size;
    this.ids = ids;
  }

  private readonly ids: string[];

  get size(): number {
    return this.kept.size;
  }

  get(place: number): number | null {
    return this.kept.get(place)?.label ?? null;
  }

  places(): Set<number> {
    return new Set(this.kept.keys());
  }

  all(): Labelled[] {
    return [...this.kept.values()].map((one) => ({ ...one, author: this.author })).sort((a, b) => a.place - b.place);
  }

  set(place: number, label: number): void {
    this.steps.push({ place, before: this.kept.get(place) ?? null });
    this.kept.set(place, { place, label, author: this.author, made: new Date().toISOString() });
    this.store();
  }

  /** Takes the last label back and returns its building, or -1. */
  undo(): number {
    const last = this.steps.pop();
    if (!last) return -1;
    if (last.before) this.kept.set(last.place, last.before);
    else this.kept.delete(last.place);
    this.store();
    return last.place;
  }

  canUndo(): boolean {
    return this.steps.length > 0;
  }

  clear(): void {
    this.kept.clear();
    this.steps.length = 0;
    this.store();
  }

  setAuthor(name: string): void {
    this.author = name;
    this.store();
  }

  private store(): void {
    try {
      const labels = [...this.kept.values()].map((one) => ({ place: one.place, id: this.ids[one.place], label: one.label, made: one.made }));
      localStorage.setItem(this.key, JSON.stringify({ author: this.author, labels }));
    } catch {
      // As above.
    }
  }
}
