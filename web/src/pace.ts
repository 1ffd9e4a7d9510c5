// Draws coarser while the map moves, where a machine without a graphics card is too slow, so that it follows the hand.
import type { Map as MapLibre } from "maplibre-gl";
import type { BuildingLayer } from "./layer.ts";

const SLOW_MS = 55;
const LEAST = 0.4;
const STEP = 0.7;
const STILL_MS = 140;
/** Two slow frames, or one that is very slow, are reason enough. */
const FRAMES = 2;
const VERY_SLOW_MS = 150;

export function keepPace(map: MapLibre, layer: BuildingLayer): void {
  const whole = map.getPixelRatio();
  let factor = drawsInSoftware(map) ? LEAST : 1, shown = 1, last = 0, slow = 0, resizing = false, timer = 0;
  const show = (wanted: number): void => {
    if (wanted === shown) return;
    shown = wanted;
    layer.quick = wanted < 1;
    // A new size counts as a move of its own, which must not be measured.
    resizing = true;
    map.setPixelRatio(whole * wanted);
    resizing = false;
  };
  map.on("movestart", () => {
    if (resizing) return;
    clearTimeout(timer);
    last = performance.now();
    slow = 0;
  });
  map.on("render", () => {
    if (!map.isMoving() || resizing) return;
    const now = performance.now();
    const took = now - last;
    slow = took > VERY_SLOW_MS ? FRAMES : took > SLOW_MS ? slow + 1 : 0;
    last = now;
    if (slow >= FRAMES) {
      factor = Math.max(LEAST, factor * STEP);
      slow = 0;
    }
    // A jump is no movement by now, so it is drawn in full at once.
    show(factor);
  });
  map.on("moveend", () => {
    if (resizing) return;
    clearTimeout(timer);
    timer = window.setTimeout(() => { if (!map.isMoving()) show(1); }, STILL_MS);
  });
}

function drawsInSoftware(map: MapLibre): boolean {
  const gl = map.getCanvas().getContext("webgl2");
  const more = gl?.getExtension("WEBGL_debug_renderer_info");
  return Boolean(gl && more && /swiftshader|llvmpipe|software|basic render/i.test(String(gl.getParameter(more.UNMASKED_RENDERER_WEBGL))));
}
