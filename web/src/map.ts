// The map: both dates under one set of buildings, a curtain between the dates, drawing and measuring on top.
import { addProtocol, Map as MapLibre, type MapMouseEvent, NavigationControl, ScaleControl, setWorkerUrl, type StyleSpecification } from "maplibre-gl";
import { PMTiles, Protocol, type RangeResponse, type Source } from "pmtiles";
import type { About, Files } from "./data.ts";
import { isOneFile } from "./data.ts";
import { Curtain, type BuildingLayer } from "./layer.ts";
import { keepPace } from "./pace.ts";
import type { Plane, Point } from "./plane.ts";
import type { State } from "./state.ts";

class Archive implements Source {
  constructor(private readonly files: Files, private readonly name: string) {}

  getKey(): string {
    return this.name;
  }

  async getBytes(offset: number, length: number, signal?: AbortSignal): Promise<RangeResponse> {
    return { data: await this.files.range(this.name, offset, length, signal) };
  }
}

export type Archives = { pre: PMTiles | null; post: PMTiles | null };

export function openArchives(files: Files, about: About): Archives {
  const open = (name?: string): PMTiles | null => (name ? new PMTiles(new Archive(files, name)) : null);
  return { pre: open(about.imagery.pre), post: open(about.imagery.post) };
}

export type Camera = { center: Point; zoom: number };

export class DamageView {
  readonly map: MapLibre;
  private readonly curtain = new Curtain("curtain-open", true);
  private readonly shut = new Curtain("curtain-shut", false);
  readonly ready: Promise<void>;

  constructor(
    container: HTMLElement, files: Files, private readonly about: About, archives: Archives, private readonly plane: Plane,
    camera: Camera | null, background: string,
  ) {
    // The ending makes it a worker of the classic kind, which may come from a page opened as a file.
    setWorkerUrl(files.url("map-worker.js") + (isOneFile() ? "#.cjs" : ""));
    const protocol = new Protocol();
    for (const one of [archives.pre, archives.post]) if (one) protocol.add(one);
    addProtocol("pmtiles", protocol.tile);
    this.map = new MapLibre({
      container,
      style: this.style(archives, background),
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      renderWorldCopies: false,
      fadeDuration: 0,
      maxZoom: 24,
      maxTileCacheSize: 120,
      ...(camera ? { center: camera.center, zoom: camera.zoom } : { bounds: this.bounds(), fitBoundsOptions: { padding: 24 } }),
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    if (!about.pixels) this.map.addControl(new ScaleControl({ maxWidth: 120 }), "bottom-left");
    this.ready = new Promise((done) => {
      this.map.once("style.load", () => {
        if (archives.pre) {
          this.map.addLayer(this.curtain, "pre");
          this.map.addLayer(this.shut, "region-fill");
        }
        done();
      });
    });
  }

  /** Shows the buildings above the imagery. */
  async add(layer: BuildingLayer): Promise<void> {
    await this.ready;
    this.map.addLayer(layer, "region-fill");
    keepPace(this.map, layer);
  }

  private style(archives: Archives, background: string): StyleSpecification {
    const [minzoom, maxzoom] = [this.about.imagery.coarsest ?? 0, this.about.imagery.finest ?? 0];
    const empty = { type: "geojson" as const, data: { type: "FeatureCollection" as const, features: [] } };
    const style: StyleSpecification = {
      version: 8,
      sources: { region: empty, measure: empty },
      layers: [{ id: "background", type: "background", paint: { "background-color": background } }],
    };
    for (const date of ["post", "pre"] as const) {
      if (!archives[date]) continue;
      style.sources[date] = { type: "raster", tiles: [`pmtiles://${date}.pmtiles/{z}/{x}/{y}`], tileSize: 512, minzoom, maxzoom };
      style.layers.push({ id: date, type: "raster", source: date, paint: { "raster-fade-duration": 0, "raster-resampling": "linear" } });
    }
    style.layers.push(
      { id: "region-fill", type: "fill", source: "region", paint: { "fill-color": "#ffffff", "fill-opacity": 0.08 } },
      { id: "region-case", type: "line", source: "region", paint: { "line-color": "#000000", "line-width": 4, "line-opacity": 0.5 } },
      { id: "region-line", type: "line", source: "region", paint: { "line-color": "#ffffff", "line-width": 2, "line-dasharray": [2, 2] } },
      { id: "measure-case", type: "line", source: "measure", paint: { "line-color": "#000000", "line-width": 5, "line-opacity": 0.6 } },
      { id: "measure-line", type: "line", source: "measure", paint: { "line-color": "#00e5ff", "line-width": 2.5 } },
      { id: "measure-dots", type: "circle", source: "measure", paint: { "circle-radius": 4, "circle-color": "#00e5ff", "circle-stroke-color": "#000000", "circle-stroke-width": 1.5 } },
    );
    return style;
  }

  bounds(): [Point, Point] {
    const [left, top, right, bottom] = this.about.box;
    const flat = (x: number, y: number): Point => this.plane.toLngLat([(x - this.about.origin[0]) / this.about.unit, (y - this.about.origin[1]) / this.about.unit]);
    return [flat(left, bottom), flat(right, top)];
  }

  /** Shows the dates as the state says. */
  show(state: State, flickered = false): void {
    const { map } = this;
    if (!map.getLayer("pre")) return;
    const before = state.view === "before" || (state.view === "flicker" && flickered);
    this.curtain.share = state.view === "swipe" ? state.curtain : before ? 1 : 0;
    for (const date of ["pre", "post"]) {
      if (!map.getLayer(date)) continue;
      map.setPaintProperty(date, "raster-brightness-max", state.brightness < 0 ? 1 + state.brightness : 1);
      map.setPaintProperty(date, "raster-brightness-min", state.brightness > 0 ? state.brightness : 0);
      map.setPaintProperty(date, "raster-contrast", state.contrast);
    }
    map.triggerRepaint();
  }

  setCurtain(share: number): void {
    this.curtain.share = share;
    this.map.triggerRepaint();
  }

  place(event: MapMouseEvent): Point {
    return this.plane.fromLngLat([event.lngLat.lng, event.lngLat.lat]);
  }

  /** The map's units that a distance on the screen covers. */
  units(pixels: number): number {
    return pixels / (512 * 2 ** this.map.getZoom() * this.about.unit);
  }

  zoomFor(units: number, pixels: number): number {
    return Math.log2(pixels / (512 * units * this.about.unit));
  }

  draw(source: "region" | "measure", points: Point[], closed: boolean): void {
    const features: GeoJSON.Feature[] = [];
    const flat = points.map((one) => this.plane.toLngLat(one));
    if (closed && flat.length > 2) {
      features.push({ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [[...flat, flat[0]]] } });
    } else if (flat.length > 1) {
      features.push({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: flat } });
    }
    if (source === "measure") for (const at of flat) features.push({ type: "Feature", properties: {}, geometry: { type: "Point", coordinates: at } });
    const found = this.map.getSource(source) as { setData?(data: GeoJSON.FeatureCollection): void } | undefined;
    found?.setData?.({ type: "FeatureCollection", features });
  }
}
