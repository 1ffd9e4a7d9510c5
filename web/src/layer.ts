// Draws all buildings in one pass of the map. What a building looks like is one byte in a texture, so that filters, a
// changed class or a map decided anew cost one upload and no tile is built again, at any number of buildings.
import earcut from "earcut";
import type { CustomLayerInterface, CustomRenderMethodInput, Map as MapLibre } from "maplibre-gl";
import { COLOURS, rgb } from "./colours.ts";
import type { About, Buildings } from "./data.ts";

export const HIDDEN = 8;
export const SELECTED = 16;
export const LABELLED = 32;
const PALETTE_RGB = COLOURS.flatMap(rgb);
const BLIND = COLOURS.flatMap(() => [0.55, 0.75, 0.85]);
const CHUNK = 256;
const ROW = 2048;
/** Buildings smaller than this on the screen are drawn as dots; a little larger, filled; then with edges. */
const DOT_PX = 5;
const FILLED_PX = 8;
const CASED_PX = 12;
/** While the map moves on a slow machine, one dot in a square of this side stands for all in it. */
const CELL_PX = 4;
const MOST_CELLS = 4e6;

const STATE = `
uniform highp usampler2D u_state;
uniform mat4 u_matrix;
uint stateOf(uint i) { return texelFetch(u_state, ivec2(i % ${ROW}u, i / ${ROW}u), 0).r; }
`;
const PALETTE = `
uniform vec3 u_colours[5];
uniform float u_opacity;
uniform float u_blind;
`;
const HEAD = "#version 300 es\nprecision highp float;\nprecision highp int;\n";

const FILL = [`${HEAD}${STATE}
in vec2 a_pos; in uint a_index; flat out uint v_state;
void main() {
  v_state = stateOf(a_index);
  gl_Position = (v_state & ${HIDDEN}u) != 0u ? vec4(2., 2., 2., 1.) : u_matrix * vec4(a_pos, 0., 1.);
}`, `${HEAD}${PALETTE}
uniform float u_filled;
flat in uint v_state; out vec4 colour;
void main() {
  uint c = min(v_state & 7u, 4u);
  float alpha = c == 4u ? (mod(gl_FragCoord.x + gl_FragCoord.y, 8.) < 2.5 ? .75 : .12) : .3;
  if (u_filled > .5) alpha = .85;
  alpha *= u_blind > .5 && u_filled < .5 ? 0. : u_opacity;
  colour = vec4(u_colours[c] * alpha, alpha);
}`];

const EDGE = [`${HEAD}${STATE}
uniform vec2 u_size; uniform float u_width; uniform int u_first;
uniform highp sampler2D u_edges; uniform highp usampler2D u_owners; flat out uint v_state;
void main() {
  // Two triangles an edge, without attributes or instances: software draws instances one by one.
  int edge = u_first + gl_VertexID / 6, k = gl_VertexID % 6;
  ivec2 place = ivec2(edge % ${ROW}, edge / ${ROW});
  vec2 corner = vec2(k == 0 || k == 1 || k == 3 ? 0. : 1., k == 0 || k == 2 || k == 5 ? -.5 : .5);
  vec4 ends = texelFetch(u_edges, place, 0);
  v_state = stateOf(texelFetch(u_owners, place, 0).r);
  if ((v_state & ${HIDDEN}u) != 0u) { gl_Position = vec4(2., 2., 2., 1.); return; }
  vec4 from = u_matrix * vec4(ends.xy, 0., 1.), to = u_matrix * vec4(ends.zw, 0., 1.);
  vec2 one = from.xy / from.w * u_size, two = to.xy / to.w * u_size;
  vec2 along = two - one;
  along = dot(along, along) > 0. ? normalize(along) : vec2(1., 0.);
  float width = u_width * ((v_state & ${SELECTED}u) != 0u ? 1.7 : 1.);
  vec2 off = (vec2(-along.y, along.x) * corner.y + along * (corner.x * 2. - 1.) * .5) * width;
  vec4 at = corner.x > .5 ? to : from;
  gl_Position = vec4(at.xy + off / u_size * at.w, at.z, at.w);
}`, `${HEAD}${PALETTE}
uniform float u_casing;
flat in uint v_state; out vec4 colour;
void main() {
  uint c = min(v_state & 7u, 4u);
  bool chosen = (v_state & ${SELECTED}u) != 0u, labelled = (v_state & ${LABELLED}u) != 0u;
  vec3 casing = chosen ? vec3(1.) : labelled ? vec3(1.) : vec3(.05);
  float alpha = u_opacity * (u_casing > .5 ? (chosen || labelled ? .95 : .55) : 1.);
  colour = vec4((u_casing > .5 ? casing : u_colours[c]) * alpha, alpha);
}`];

const DOT = [`${HEAD}
uniform mat4 u_matrix; uniform float u_size;
in vec2 a_pos; in uint a_state; flat out uint v_state;
void main() {
  v_state = a_state;
  uint c = v_state & 7u;
  vec4 at = u_matrix * vec4(a_pos, 0., 1.);
  // Worse damage lies on top, so that no destroyed building is hidden by its neighbours.
  float depth = (v_state & ${SELECTED}u) != 0u ? -.9 : c == 3u ? -.6 : c == 2u ? -.3 : c == 1u ? 0. : c == 0u ? .3 : .6;
  gl_Position = (v_state & ${HIDDEN}u) != 0u ? vec4(2., 2., 2., 1.) : vec4(at.xy, depth * at.w, at.w);
  gl_PointSize = (v_state & ${SELECTED}u) != 0u ? u_size * 2.2 : u_size;
}`, `${HEAD}${PALETTE}
flat in uint v_state; out vec4 colour;
void main() {
  float alpha = u_opacity;
  colour = vec4(u_colours[min(v_state & 7u, 4u)] * alpha, alpha);
}`];

/** What lies on top of what: the selected building, then worse damage. */
function rank(state: number): number {
  return state & SELECTED ? 9 : (state & 7) < 4 ? (state & 7) + 1 : 0;
}

type Program = { program: WebGLProgram; at: (name: string) => WebGLUniformLocation | null };
type Chunk = { fill: WebGLVertexArrayObject; fills: number };
type Run = { first: number; count: number };

export class BuildingLayer implements CustomLayerInterface {
  readonly id = "buildings";
  readonly type = "custom" as const;
  readonly renderingMode = "2d" as const;
  opacity = 1;
  /** Whether classes are hidden, as in an assessment: all buildings look alike. */
  blind = false;
  /** Whether to leave out what costs time, while the map moves on a slow machine. */
  quick = false;
  /** One byte a building: its class and flags. */
  readonly state: Uint8Array;
  private readonly rows: number;
  private gl!: WebGL2RenderingContext;
  private map!: MapLibre;
  private fill!: Program;
  private edge!: Program;
  private dot!: Program;
  private texture!: WebGLTexture;
  private edges!: WebGLTexture;
  private owners!: WebGLTexture;
  private nothing!: WebGLVertexArrayObject;
  private dots!: WebGLVertexArrayObject;
  private states!: WebGLBuffer;
  private chosen = { cell: 0, count: 0 };
  private readonly chunks = new Map<number, Chunk>();
  private readonly boxes: Float32Array;
  private dirty = true;
  private readonly usual: number;

  constructor(private readonly about: About, private readonly buildings: Buildings) {
    this.rows = Math.max(1, Math.ceil(buildings.n / ROW));
    this.state = new Uint8Array(this.rows * ROW);
    const sides = Array.from({ length: Math.min(buildings.n, 999) }, (_, i) => {
      const place = Math.floor((i * buildings.n) / Math.min(buildings.n, 999));
      const [left, top, right, bottom] = buildings.boxes.subarray(4 * place, 4 * place + 4);
      return Math.max(right - left, bottom - top);
    }).sort((a, b) => a - b);
    this.usual = sides[sides.length >> 1] ?? 1;
    const count = Math.ceil(buildings.n / CHUNK);
    this.boxes = new Float32Array(4 * count);
    for (let chunk = 0; chunk < count; chunk++) {
      let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
      for (let k = chunk * CHUNK; k < Math.min(buildings.n, (chunk + 1) * CHUNK); k++) {
        const at = 4 * buildings.order[k];
        left = Math.min(left, buildings.boxes[at]);
        top = Math.min(top, buildings.boxes[at + 1]);
        right = Math.max(right, buildings.boxes[at + 2]);
        bottom = Math.max(bottom, buildings.boxes[at + 3]);
      }
      this.boxes.set([left, top, right, bottom], 4 * chunk);
    }
  }

  /** Shows a changed state. */
  changed(): void {
    this.dirty = true;
    this.map?.triggerRepaint();
  }

  onAdd(map: MapLibre, gl: WebGLRenderingContext | WebGL2RenderingContext): void {
    this.map = map;
    this.gl = gl as WebGL2RenderingContext;
    this.chunks.clear();
    this.fill = this.link(FILL[0], FILL[1]);
    this.edge = this.link(EDGE[0], EDGE[1]);
    this.dot = this.link(DOT[0], DOT[1]);
    this.texture = this.gl.createTexture();
    this.nothing = this.gl.createVertexArray();
    this.edges = this.gl.createTexture();
    this.owners = this.gl.createTexture();
    this.uploadEdges();
    this.dots = this.gl.createVertexArray();
    this.gl.bindVertexArray(this.dots);
    this.buffer(this.buildings.at);
    this.attribute(this.dot, "a_pos");
    this.states = this.gl.createBuffer();
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.states);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, this.state, this.gl.DYNAMIC_DRAW);
    this.whole(this.dot, "a_state", this.gl.UNSIGNED_BYTE);
    this.gl.bindBuffer(this.gl.ELEMENT_ARRAY_BUFFER, this.gl.createBuffer());
    this.chosen = { cell: 0, count: 0 };
    this.gl.bindVertexArray(null);
    this.dirty = true;
  }

  render(_: WebGLRenderingContext | WebGL2RenderingContext, args: CustomRenderMethodInput): void {
    if (this.buildings.n === 0) return;
    const gl = this.gl;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    if (this.dirty) this.upload();
    const matrix = this.matrix(args.defaultProjectionData.mainMatrix as ArrayLike<number>);
    const [width, height] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
    const ratio = width / this.map.getContainer().clientWidth;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.disable(gl.CULL_FACE);
    const perUnit = (Math.hypot(matrix[0], matrix[1]) / matrix[15]) * width / 2 / ratio;
    const seen = this.usual * perUnit;
    if (seen < DOT_PX) this.drawDots(matrix, Math.max(1.5, Math.max(2, seen * 0.9) * ratio), CELL_PX / perUnit);
    else this.drawOutlines(matrix, width, height, ratio, seen);
    gl.bindVertexArray(null);
  }

  private drawDots(matrix: Float32Array, size: number, cell: number): void {
    const gl = this.gl;
    this.use(this.dot, matrix);
    gl.uniform1f(this.dot.at("u_size"), size);
    gl.enable(gl.DEPTH_TEST);
    gl.depthMask(true);
    gl.depthFunc(gl.LEQUAL);
    gl.depthRange(0, 1);
    gl.clearDepth(1);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    gl.bindVertexArray(this.dots);
    if (this.quick && this.choose(cell)) gl.drawElements(gl.POINTS, this.chosen.count, gl.UNSIGNED_INT, 0);
    else gl.drawArrays(gl.POINTS, 0, this.buildings.n);
    gl.clear(gl.DEPTH_BUFFER_BIT);
  }

  /** Chooses the worst building of each cell, for drawing while the map moves; false where nearly all would be chosen. */
  private choose(cell: number): boolean {
    const { at, n } = this.buildings;
    const known = this.chosen;
    if (known.cell > 0 && Math.abs(Math.log2(cell / known.cell)) < 0.3) return known.count > 0;
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 0; i < n; i++) {
      left = Math.min(left, at[2 * i]);
      right = Math.max(right, at[2 * i]);
      top = Math.min(top, at[2 * i + 1]);
      bottom = Math.max(bottom, at[2 * i + 1]);
    }
    const across = Math.floor((right - left) / cell) + 1, down = Math.floor((bottom - top) / cell) + 1;
    this.chosen = { cell, count: 0 };
    if (across * down > MOST_CELLS) return false;
    const best = new Int32Array(across * down).fill(-1);
    let count = 0;
    for (let i = 0; i < n; i++) {
      if (this.state[i] & HIDDEN) continue;
      const place = Math.floor((at[2 * i] - left) / cell) + across * Math.floor((at[2 * i + 1] - top) / cell);
      if (best[place] < 0) count++;
      if (best[place] < 0 || rank(this.state[i]) > rank(this.state[best[place]])) best[place] = i;
    }
    this.gl.bufferData(this.gl.ELEMENT_ARRAY_BUFFER, new Uint32Array(best.filter((one) => one >= 0)), this.gl.DYNAMIC_DRAW);
    this.chosen.count = count;
    return count > 0;
  }

  private drawOutlines(matrix: Float32Array, width: number, height: number, ratio: number, size: number): void {
    const gl = this.gl;
    gl.disable(gl.DEPTH_TEST);
    const seen = this.inView();
    this.use(this.fill, matrix);
    const filled = size < FILLED_PX;
    gl.uniform1f(this.fill.at("u_filled"), filled ? 1 : 0);
    for (const number of seen) {
      const chunk = this.chunk(number);
      gl.bindVertexArray(chunk.fill);
      gl.drawArrays(gl.TRIANGLES, 0, chunk.fills);
    }
    if (filled) return;
    const thin = Math.min(1, size / 14);
    this.use(this.edge, matrix);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.edges);
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_2D, this.owners);
    gl.activeTexture(gl.TEXTURE0);
    gl.uniform1i(this.edge.at("u_edges"), 1);
    gl.uniform1i(this.edge.at("u_owners"), 2);
    gl.bindVertexArray(this.nothing);
    const runs = this.runs(seen);
    gl.uniform2f(this.edge.at("u_size"), width / 2, height / 2);
    for (const casing of size < CASED_PX || this.quick ? [0] : [1, 0]) {
      gl.uniform1f(this.edge.at("u_casing"), casing);
      gl.uniform1f(this.edge.at("u_width"), (casing ? 4 : 2.2) * ratio * (0.4 + 0.6 * thin));
      for (const { first, count } of runs) {
        gl.uniform1i(this.edge.at("u_first"), first);
        gl.drawArrays(gl.TRIANGLES, 0, 6 * count);
      }
    }
  }

  /** Edges of chunks, neighbours joined. */
  private runs(seen: number[]): Run[] {
    const { rings, starts, n } = this.buildings;
    const found: Run[] = [];
    for (const number of seen) {
      const first = rings[starts[number * CHUNK]], end = rings[starts[Math.min(n, (number + 1) * CHUNK)]];
      const last = found.at(-1);
      if (last && last.first + last.count === first) last.count += end - first;
      else found.push({ first, count: end - first });
    }
    return found;
  }

  /** Puts all edges into textures: both ends of each, and its building. */
  private uploadEdges(): void {
    const { vertices, rings, starts, order, n } = this.buildings;
    const rows = Math.max(1, Math.ceil(vertices.length / 2 / ROW));
    const ends = new Float32Array(4 * rows * ROW), owners = new Uint32Array(rows * ROW);
    for (let k = 0; k < n; k++) {
      for (let ring = starts[k]; ring < starts[k + 1]; ring++) {
        for (let v = rings[ring]; v < rings[ring + 1]; v++) {
          const next = v + 1 < rings[ring + 1] ? v + 1 : rings[ring];
          ends[4 * v] = vertices[2 * v];
          ends[4 * v + 1] = vertices[2 * v + 1];
          ends[4 * v + 2] = vertices[2 * next];
          ends[4 * v + 3] = vertices[2 * next + 1];
          owners[v] = order[k];
        }
      }
    }
    const gl = this.gl;
    this.unpack();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.edges);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA32F, ROW, rows, 0, gl.RGBA, gl.FLOAT, ends);
    this.plain();
    gl.bindTexture(gl.TEXTURE_2D, this.owners);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32UI, ROW, rows, 0, gl.RED_INTEGER, gl.UNSIGNED_INT, owners);
    this.plain();
  }

  private unpack(): void {
    const gl = this.gl;
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
  }

  private plain(): void {
    const gl = this.gl;
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
  }

  private inView(): number[] {
    const bounds = this.map.getBounds();
    const flat = (lng: number, lat: number): [number, number] => {
      const x = lng / 360 + 0.5;
      const y = 0.5 - Math.asinh(Math.tan((lat * Math.PI) / 180)) / (2 * Math.PI);
      return [(x - this.about.origin[0]) / this.about.unit, (y - this.about.origin[1]) / this.about.unit];
    };
    const [left, top] = flat(bounds.getWest(), bounds.getNorth());
    const [right, bottom] = flat(bounds.getEast(), bounds.getSouth());
    const found: number[] = [];
    for (let number = 0; number < this.boxes.length / 4; number++) {
      const at = 4 * number;
      if (this.boxes[at] > right || this.boxes[at + 2] < left || this.boxes[at + 1] > bottom || this.boxes[at + 3] < top) continue;
      found.push(number);
    }
    return found;
  }

  /** Builds a chunk's triangles when it is first seen. */
  private chunk(number: number): Chunk {
    const known = this.chunks.get(number);
    if (known) return known;
    const { vertices, rings, holes, starts, order } = this.buildings;
    const fills: number[] = [], owners: number[] = [];
    for (let k = number * CHUNK; k < Math.min(this.buildings.n, (number + 1) * CHUNK); k++) {
      const place = order[k];
      let ring = starts[k];
      while (ring < starts[k + 1]) {
        let end = ring + 1;
        while (end < starts[k + 1] && holes[end]) end++;
        const first = rings[ring], last = rings[end];
        const flat = vertices.subarray(2 * first, 2 * last);
        const inner: number[] = [];
        for (let hole = ring + 1; hole < end; hole++) inner.push(rings[hole] - first);
        for (const corner of earcut(flat as unknown as number[], inner)) {
          fills.push(flat[2 * corner], flat[2 * corner + 1]);
          owners.push(place);
        }
        ring = end;
      }
    }
    const gl = this.gl;
    const fill = gl.createVertexArray();
    gl.bindVertexArray(fill);
    this.buffer(new Float32Array(fills));
    this.attribute(this.fill, "a_pos");
    this.buffer(new Uint32Array(owners));
    this.whole(this.fill, "a_index");
    gl.bindVertexArray(null);
    const made: Chunk = { fill, fills: owners.length };
    this.chunks.set(number, made);
    return made;
  }

  /** The map's matrix for our units, computed in doubles so that outlines stand still at any zoom. */
  private matrix(world: ArrayLike<number>): Float32Array {
    const [ox, oy] = this.about.origin, s = this.about.unit;
    const out = new Float32Array(16);
    for (let row = 0; row < 4; row++) {
      out[row] = world[row] * s;
      out[4 + row] = world[4 + row] * s;
      out[8 + row] = world[8 + row];
      out[12 + row] = world[12 + row] + world[row] * ox + world[4 + row] * oy;
    }
    return out;
  }

  private upload(): void {
    const gl = this.gl;
    this.unpack();
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8UI, ROW, this.rows, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE, this.state);
    this.plain();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.states);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, this.state);
    this.chosen = { cell: 0, count: 0 };
    this.dirty = false;
  }

  private use(one: Program, matrix: Float32Array): void {
    const gl = this.gl;
    gl.useProgram(one.program);
    gl.uniformMatrix4fv(one.at("u_matrix"), false, matrix);
    gl.uniform1i(one.at("u_state"), 0);
    gl.uniform1f(one.at("u_opacity"), this.opacity);
    gl.uniform1f(one.at("u_blind"), this.blind ? 1 : 0);
    gl.uniform3fv(one.at("u_colours"), this.blind ? BLIND : PALETTE_RGB);
  }

  private buffer(data: Float32Array | Uint32Array): WebGLBuffer {
    const made = this.gl.createBuffer();
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, made);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, data, this.gl.STATIC_DRAW);
    return made;
  }

  private attribute(one: Program, name: string): void {
    const at = this.gl.getAttribLocation(one.program, name);
    this.gl.enableVertexAttribArray(at);
    this.gl.vertexAttribPointer(at, 2, this.gl.FLOAT, false, 0, 0);
  }

  private whole(one: Program, name: string, type: number = this.gl.UNSIGNED_INT): void {
    const at = this.gl.getAttribLocation(one.program, name);
    this.gl.enableVertexAttribArray(at);
    this.gl.vertexAttribIPointer(at, 1, type, 0, 0);
  }

  private link(vertex: string, fragment: string): Program {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]] as const) {
      const shader = gl.createShader(kind) as WebGLShader;
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader) ?? "shader");
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? "program");
    const known = new Map<string, WebGLUniformLocation | null>();
    const at = (name: string): WebGLUniformLocation | null => {
      if (!known.has(name)) known.set(name, gl.getUniformLocation(program, name));
      return known.get(name) ?? null;
    };
    return { program, at };
  }
}

/** Restricts what is drawn between it and its end to a strip of the screen: how one map shows two dates side by side. */
export class Curtain implements CustomLayerInterface {
  readonly type = "custom" as const;
  readonly renderingMode = "2d" as const;
  share = 1;

  constructor(readonly id: string, private readonly open: boolean) {}

  render(context: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = context;
    if (!this.open) {
      gl.disable(gl.SCISSOR_TEST);
      return;
    }
    gl.enable(gl.SCISSOR_TEST);
    gl.scissor(0, 0, Math.round(gl.drawingBufferWidth * this.share), gl.drawingBufferHeight);
  }
}
