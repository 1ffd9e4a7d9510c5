// The data of a map: what siamese/viewing/data.py wrote.

type Column = { type: "u8" | "u16" | "u32" | "f32" | "f64"; offset: number; length: number };
type Layout = Record<string, Column>;
export type Settings = {
  components: number; flatten: number; order: number; shift: number; trust: number; strengths: number[];
  rare: number; unsure: number; severity: number; place: number; least: number;
};

export type About = {
  format: number;
  digest: string;
  root: string;
  classes: string[];
  map: {
    event: string; model: string; checkpoint: string; pre: string[]; post: string[]; crs?: string; width: number; height: number;
    bounds?: [number, number, number, number]; unknown_share: number; counts: Record<string, number>; warnings?: string[];
    created?: string; revision?: string; parent?: string; labels?: string[]; trust?: { statements?: string[] } & Record<string, unknown>; alignment?: unknown; footprint_alignment?: unknown;
  };
  count: number;
  pixels: boolean;
  pixel_m2: number | null;
  origin: [number, number];
  unit: number;
  box: [number, number, number, number];
  columns: Layout;
  reasons: string[];
  imagery: { pre?: string; post?: string; coarsest?: number; finest?: number; absent?: string };
  teach: { absent?: string; labels?: Record<string, string>; columns?: Layout; dimension?: number };
  adaptation: Settings;
};

export type Buildings = {
  n: number;
  ids: string[];
  footprints: (string | null)[] | null;
  mapped: Uint8Array;
  review: Uint8Array;
  confidence: Float32Array;
  building: Float32Array;
  area: Float32Array;
  probabilities: Float32Array;
  reasons: Uint16Array;
  unknownShare: Float32Array | null;
  vertices: Float32Array;
  rings: Uint32Array;
  holes: Uint8Array;
  starts: Uint32Array;
  order: Uint32Array;
  at: Float32Array;
  /** Place of each building in the order of drawing. */
  drawn: Uint32Array;
  /** Left, top, right, bottom of each building, by place. */
  boxes: Float32Array;
};

export const UNKNOWN = 4;

/** Where files come from: beside the page, or inside it. */
export interface Files {
  url(name: string): string;
  bytes(name: string): Promise<ArrayBuffer>;
  range(name: string, offset: number, length: number, signal?: AbortSignal): Promise<ArrayBuffer>;
}

class Beside implements Files {
  url(name: string): string {
    return new URL(name, document.baseURI).href;
  }

  async bytes(name: string): Promise<ArrayBuffer> {
    const found = await fetch(this.url(name), { credentials: "same-origin" });
    if (!found.ok) throw new Error(`${name}: ${found.status}`);
    return found.arrayBuffer();
  }

  async range(name: string, offset: number, length: number, signal?: AbortSignal): Promise<ArrayBuffer> {
    const asked = { headers: { Range: `bytes=${offset}-${offset + length - 1}` }, ...(signal ? { signal } : {}) };
    const found = await fetch(this.url(name), asked);
    if (found.status === 206) return found.arrayBuffer();
    if (!found.ok) throw new Error(`${name}: ${found.status}`);
    // A server without ranges sends the whole.
    return (await found.arrayBuffer()).slice(offset, offset + length);
  }
}

/** Files as base64 in elements of the page. */
class Inside implements Files {
  private readonly kept = new Map<string, ArrayBuffer>();
  private readonly urls = new Map<string, string>();

  url(name: string): string {
    let found = this.urls.get(name);
    if (!found) {
      const type = name.endsWith(".js") ? "text/javascript" : "application/octet-stream";
      found = URL.createObjectURL(new Blob([this.read(name)], { type }));
      this.urls.set(name, found);
    }
    return found;
  }

  async bytes(name: string): Promise<ArrayBuffer> {
    return this.read(name).slice(0);
  }

  async range(name: string, offset: number, length: number): Promise<ArrayBuffer> {
    return this.read(name).slice(offset, offset + length);
  }

  private read(name: string): ArrayBuffer {
    let found = this.kept.get(name);
    if (!found) {
      const text = document.getElementById(`file:${name}`)?.textContent;
      if (text === undefined || text === null) throw new Error(`${name} is not in this page`);
      const binary = atob(text.trim());
      const bytes = new Uint8Array(binary.length);
      for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
      found = bytes.buffer;
      this.kept.set(name, found);
    }
    return found;
  }
}

export const isOneFile = (): boolean => document.getElementById("file:map.json") !== null;

export function openFiles(): Files {
  return isOneFile() ? new Inside() : new Beside();
}

const TYPES = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array, f64: Float64Array };

export function column<T>(data: ArrayBuffer, layout: Layout, name: string): T {
  const one = layout[name];
  if (!one) throw new Error(`column ${name} is missing`);
  return new TYPES[one.type](data, one.offset, one.length) as T;
}

async function json<T>(files: Files, name: string): Promise<T> {
  return JSON.parse(new TextDecoder().decode(await files.bytes(name))) as T;
}

export async function readAbout(files: Files): Promise<About> {
  const about = await json<About>(files, "map.json");
  if (about.format !== 1) throw new Error(`this page cannot read data of format ${about.format}`);
  return about;
}

type Texts = { ids: string[]; footprints?: (string | null)[] };
export type RawBuildings = [ArrayBuffer, Texts];

/** Asks for the files of the buildings; they are read once it is known how. */
export function askForBuildings(files: Files): Promise<RawBuildings> {
  return Promise.all([files.bytes("buildings.bin"), json<Texts>(files, "texts.json")]);
}

export function readBuildings([data, texts]: RawBuildings, about: About): Buildings {
  const get = <T>(name: string): T => column<T>(data, about.columns, name);
  const found: Buildings = {
    n: about.count,
    ids: texts.ids,
    footprints: texts.footprints ?? null,
    mapped: get("class"),
    review: get("review"),
    confidence: get("confidence"),
    building: get("building"),
    area: get("area"),
    probabilities: get("probabilities"),
    reasons: get("reasons"),
    unknownShare: about.columns["unknownShare"] ? get("unknownShare") : null,
    vertices: get("vertices"),
    rings: get("rings"),
    holes: get("holes"),
    starts: get("starts"),
    order: get("order"),
    at: get("at"),
    drawn: new Uint32Array(about.count),
    boxes: new Float32Array(4 * about.count),
  };
  for (let k = 0; k < found.n; k++) {
    const place = found.order[k];
    found.drawn[place] = k;
    let left = Infinity, top = Infinity, right = -Infinity, bottom = -Infinity;
    for (let v = found.rings[found.starts[k]]; v < found.rings[found.starts[k + 1]]; v++) {
      const x = found.vertices[2 * v], y = found.vertices[2 * v + 1];
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < top) top = y;
      if (y > bottom) bottom = y;
    }
    found.boxes.set([left, top, right, bottom], 4 * place);
  }
  return found;
}

export type Teaching = {
  dimension: number;
  along: Float64Array | null;
  prior: Float64Array;
  current: Float64Array;
  position: Float64Array;
  order: Float64Array;
  rootClass: Uint8Array;
};

/** Reads what labels are learned and judged with; a few hundred bytes a building, so only when asked for. */
export async function readTeaching(files: Files, about: About): Promise<Teaching> {
  const data = await files.bytes("teach.bin");
  const layout = about.teach.columns;
  if (!layout) throw new Error(about.teach.absent ?? "absent");
  const prior = column<Float64Array>(data, layout, "prior");
  return {
    dimension: about.teach.dimension ?? 0,
    along: layout["along"] ? column<Float64Array>(data, layout, "along") : null,
    prior,
    current: layout["current"] ? column<Float64Array>(data, layout, "current") : prior,
    position: column<Float64Array>(data, layout, "position"),
    order: column<Float64Array>(data, layout, "order"),
    rootClass: column<Uint8Array>(data, layout, "rootClass"),
  };
}
