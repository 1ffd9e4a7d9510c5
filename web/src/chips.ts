// Enlarged pictures of one building, cut from the same tiles as the map.
import type { PMTiles } from "pmtiles";
import type { About } from "./data.ts";
import type { Archives } from "./map.ts";
import type { State } from "./state.ts";

const KEPT = 64;

export class Chips {
  private readonly tiles = new Map<string, Promise<ImageBitmap | null>>();

  constructor(private readonly about: About, private readonly archives: Archives) {}

  has(date: "pre" | "post"): boolean {
    return this.archives[date] !== null;
  }

  /** Draws a building with some ground around it and, if asked for, its outline. */
  async draw(canvas: HTMLCanvasElement, date: "pre" | "post", state: State, place: number, outline: string | null): Promise<void> {
    const archive = this.archives[date];
    const context = canvas.getContext("2d");
    if (!archive || !context) return;
    const { unit, origin } = this.about;
    const [left, top, right, bottom] = state.buildings.boxes.subarray(4 * place, 4 * place + 4);
    const finest = this.about.imagery.finest ?? 0;
    const pixel = 1 / (512 * 2 ** finest) / unit;
    const side = Math.max(right - left, bottom - top, 12 * pixel) * 2.1;
    const corner: [number, number] = [(left + right - side) / 2, (top + bottom - side) / 2];
    // The coarsest zoom that still gives the chip all its pixels.
    const wanted = Math.ceil(Math.log2(canvas.width / (512 * side * unit)));
    const zoom = Math.max(this.about.imagery.coarsest ?? 0, Math.min(finest, wanted));
    const tile = 1 / 2 ** zoom / unit;
    const scale = canvas.width / side;
    const [x0, y0] = [corner[0] + origin[0] / unit, corner[1] + origin[1] / unit];
    const jobs: Promise<void>[] = [];
    context.fillStyle = "#202428";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    canvas.dataset["place"] = String(place);
    for (let row = Math.floor(y0 / tile); row * tile < y0 + side; row++) {
      for (let col = Math.floor(x0 / tile); col * tile < x0 + side; col++) {
        jobs.push(this.tile(date, archive, zoom, col, row).then((found) => {
          // A slower picture of another building must not end up in this canvas.
          if (!found || canvas.dataset["place"] !== String(place)) return;
          const grown = tile * scale;
          context.drawImage(found, (col * tile - x0) * scale, (row * tile - y0) * scale, grown, grown);
        }));
      }
    }
    await Promise.all(jobs);
    if (!outline || canvas.dataset["place"] !== String(place)) return;
    const path = new Path2D();
    for (const ring of state.ringsOf(place)) {
      ring.forEach(([x, y], i) => path[i ? "lineTo" : "moveTo"]((x - corner[0]) * scale, (y - corner[1]) * scale));
      path.closePath();
    }
    context.lineJoin = "round";
    for (const [colour, width] of [["rgba(0,0,0,.65)", 5], [outline, 2.5]] as const) {
      context.strokeStyle = colour;
      context.lineWidth = (width * canvas.width) / 200;
      context.stroke(path);
    }
  }

  private tile(date: string, archive: PMTiles, zoom: number, col: number, row: number): Promise<ImageBitmap | null> {
    const count = 2 ** zoom;
    const key = `${date}/${zoom}/${col}/${row}`;
    const known = this.tiles.get(key);
    if (known) {
      this.tiles.delete(key);
      this.tiles.set(key, known);
      return known;
    }
    const made = archive.getZxy(zoom, ((col % count) + count) % count, row)
      .then((found) => (found ? createImageBitmap(new Blob([found.data], { type: "image/webp" })) : null))
      .catch(() => null);
    this.tiles.set(key, made);
    if (this.tiles.size > KEPT) {
      const [oldest] = this.tiles.keys();
      const gone = this.tiles.get(oldest as string);
      this.tiles.delete(oldest as string);
      void gone?.then((one) => setTimeout(() => one?.close(), 5000));
    }
    return made;
  }
}
