// Places: the page's plane (the world as a square of side 1), a map's own units on it, and what people read.
import type { About } from "./data.ts";

export type Point = [number, number];
const PIXELS = 512 * 2 ** 20;
const EARTH_M = 6371008.8;

export class Plane {
  constructor(private readonly about: About) {}

  get pixels(): boolean {
    return this.about.pixels;
  }

  /** From the map's units to longitude and latitude of the page's plane. */
  toLngLat([x, y]: Point): Point {
    const mx = this.about.origin[0] + x * this.about.unit;
    const my = this.about.origin[1] + y * this.about.unit;
    return [mx * 360 - 180, (Math.atan(Math.sinh(Math.PI * (1 - 2 * my))) * 180) / Math.PI];
  }

  fromLngLat([lng, lat]: Point): Point {
    const middle = this.about.origin[0] * 360 - 180;
    const near = middle + ((((lng - middle + 180) % 360) + 360) % 360) - 180;
    const mx = near / 360 + 0.5;
    const my = 0.5 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / (2 * Math.PI);
    return [(mx - this.about.origin[0]) / this.about.unit, (my - this.about.origin[1]) / this.about.unit];
  }

  /** Coordinates as files and people have them: longitude and latitude within 180 degrees, or column and row. */
  told(point: Point): Point {
    if (this.pixels) {
      return [
        (this.about.origin[0] + point[0] * this.about.unit - 0.5) * PIXELS,
        (this.about.origin[1] + point[1] * this.about.unit - 0.5) * PIXELS,
      ];
    }
    const [lng, lat] = this.toLngLat(point);
    return [((((lng + 180) % 360) + 360) % 360) - 180, lat];
  }

  fromTold(point: Point): Point {
    if (!this.pixels) return this.fromLngLat(point);
    return [
      (point[0] / PIXELS + 0.5 - this.about.origin[0]) / this.about.unit,
      (point[1] / PIXELS + 0.5 - this.about.origin[1]) / this.about.unit,
    ];
  }

  text(point: Point): string {
    const [x, y] = this.told(point);
    return this.pixels ? `${x.toFixed(0)}, ${y.toFixed(0)} px` : `${y.toFixed(6)}, ${x.toFixed(6)}`;
  }

  /** Distance in metres, or pixels. */
  distance(from: Point, to: Point): number {
    const [a, b] = [this.told(from), this.told(to)];
    if (this.pixels) return Math.hypot(a[0] - b[0], a[1] - b[1]);
    const rad = Math.PI / 180;
    const s = Math.sin(((b[1] - a[1]) * rad) / 2) ** 2
      + Math.cos(a[1] * rad) * Math.cos(b[1] * rad) * Math.sin(((b[0] - a[0]) * rad) / 2) ** 2;
    return 2 * EARTH_M * Math.asin(Math.sqrt(s));
  }

  /** Area of a ring in m², or pixels. */
  area(ring: Point[]): number {
    const scale = this.scale(ring[0] ?? [0, 0]);
    let sum = 0;
    for (let i = 0; i < ring.length; i++) {
      const [x0, y0] = ring[i], [x1, y1] = ring[(i + 1) % ring.length];
      sum += x0 * y1 - x1 * y0;
    }
    return (Math.abs(sum) / 2) * scale * scale;
  }

  /** Metres, or pixels, per unit at a place. */
  scale(point: Point): number {
    if (this.pixels) return this.about.unit * PIXELS;
    const [, lat] = this.toLngLat(point);
    return this.about.unit * 2 * Math.PI * EARTH_M * Math.cos((lat * Math.PI) / 180);
  }
}

/** Whether a point lies in a ring. */
export function inside([x, y]: Point, ring: Point[]): boolean {
  let found = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [xi, yi] = ring[i], [xj, yj] = ring[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) found = !found;
  }
  return found;
}
