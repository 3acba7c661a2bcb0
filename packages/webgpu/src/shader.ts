import type { DType } from '@lowrank/tensor';
import type { Operand } from '@lowrank/tensor/backend';
import { parameters } from './kernel.js';
import type { Binding, BoundType, KernelContext, KernelDispatch, Slice } from './kernel.js';

export type { BoundType } from './kernel.js';

interface Bound {
  readonly name: string;
  readonly type: BoundType;
  readonly slice: Slice;
  written: boolean;
}

/**
 * Collects the bindings of one shader and writes their declarations. Operands that are one and the same slice (in-place
 * updates, a tensor used twice) share one binding, since WebGPU refuses two writable views of the same bytes.
 */
export class Shader {
  readonly #bound: Bound[] = [];
  readonly #context: KernelContext;
  readonly #features = new Set<string>();
  readonly #declared = new Set<string>();
  #usesScalars = false;
  readonly #sizes = new Map<string, number>();

  constructor(context: KernelContext) {
    this.#context = context;
  }

  /** Binds an operand for reading; the result is the array's name. */
  read(name: string, slice: Slice, type: BoundType = 'f32'): string {
    return this.#bind(name, slice, type, false);
  }

  /** Binds an operand for writing (and reading). */
  write(name: string, slice: Slice, type: BoundType = 'f32'): string {
    return this.#bind(name, slice, type, true);
  }

  /**
   * A 0-d operand as an expression of its own type: from the uniform of scalars, or from storage when it was computed.
   * Its place among the scalars is a size, so that the layers of a model share a pipeline, each with a scale of its
   * own.
   */
  scalar(name: string, value: Operand): string {
    const type = scalarType(value.dtype);
    if (value.buffer !== this.#context.scalars?.buffer) return `${this.read(name, value, type)}[0]`;
    this.#usesScalars = true;
    const word = this.size(`place of ${name}`, value.offset / 4);
    const raw = `scalars[${word} / 4u][${word} % 4u]`;
    return type === 'u32' ? raw : `bitcast<${type}>(${raw})`;
  }

  /**
   * A size as a u32 expression that is read at run time: shapes that differ in it alone share a pipeline. Sizes that
   * decide a shader's form stay constants. Compiling takes long on software adapters, and every length of a batch is a
   * shape of its own.
   */
  size(name: string, value: number): string {
    const at = this.#sizes.has(name) ? [...this.#sizes.keys()].indexOf(name) : this.#sizes.size;
    this.#sizes.set(name, value);
    return `sizes[${Math.floor(at / 4)}].${'xyzw'[at % 4] ?? 'x'}`;
  }

  /** Asks for a language feature, such as `subgroups`. */
  enable(feature: 'subgroups' | 'f16' | 'subgroup_size_control' | 'chromium_experimental_subgroup_matrix'): void {
    this.#features.add(feature);
  }

  /** Declares something at module scope, once. */
  declare(wgsl: string): void {
    this.#declared.add(wgsl);
  }

  launch(options: { label: string; body: string; workgroups: readonly [number, number, number] }): KernelDispatch {
    const written = new Set(this.#bound.filter((bound) => bound.written).map((bound) => bound.slice.buffer));
    const bindings: Binding[] = [];
    let declarations = directives(this.#features);
    for (const bound of this.#bound) {
      // Another slice of a buffer that is written must be bound writable too: one buffer, one usage per dispatch.
      const access = written.has(bound.slice.buffer) ? 'read_write' : 'read';
      declarations +=
        `@group(0) @binding(${bindings.length}) var<storage, ${access}> ${bound.name}: ` + `array<${bound.type}>;\n`;
      bindings.push({ ...bound.slice, access });
    }
    const scalars = this.#context.scalars;
    if (this.#usesScalars && scalars !== undefined) {
      const bytes = Math.ceil(scalars.bytes / 16) * 16;
      declarations += `@group(0) @binding(${bindings.length}) var<uniform> scalars: array<vec4<u32>, ${bytes / 16}>;\n`;
      bindings.push({ buffer: parameters, offset: 0, bytes, access: 'uniform' });
    }
    if (this.#sizes.size > 0) {
      const words = Math.ceil(this.#sizes.size / 4);
      declarations += `@group(0) @binding(${bindings.length}) var<uniform> sizes: array<vec4<u32>, ${words}>;\n`;
      bindings.push({
        buffer: parameters,
        offset: 0,
        bytes: 16 * words,
        access: 'uniform',
        sizes: [...this.#sizes.values()],
      });
    }
    const { label, workgroups } = options;
    const body = [...this.#declared, options.body].join('');
    const bound = this.#bound.map(({ name, type }) => ({ name, type }));
    const source = { features: [...this.#features], bound, body };
    return { label, code: `${declarations}\n${body}`, bindings, workgroups, source };
  }

  #bind(name: string, { buffer, offset, bytes }: Slice, type: BoundType, written: boolean): string {
    const known = this.#bound.find(
      (bound) =>
        bound.type === type &&
        bound.slice.buffer === buffer &&
        bound.slice.offset === offset &&
        bound.slice.bytes === bytes,
    );
    if (known !== undefined) {
      known.written ||= written;
      return known.name;
    }
    this.#bound.push({ name, type, slice: { buffer, offset, bytes }, written });
    return name;
  }
}

/** WGSL that a shader with these features begins with. */
export function directives(features: ReadonlySet<string>): string {
  const enables = [...features].map((feature) => `enable ${feature};\n`).join('');
  // WGSL's analysis cannot see that a lane's subgroup is the same for its whole subgroup.
  const matrices = features.has('chromium_experimental_subgroup_matrix');
  return matrices ? `${enables}diagnostic(off, chromium.subgroup_matrix_uniformity);\n` : enables;
}

function scalarType(dtype: DType): 'f32' | 'i32' | 'u32' {
  if (dtype === 'f32' || dtype === 'i32' || dtype === 'u32') return dtype;
  throw new TypeError(`a scalar of dtype ${dtype} has no kernel form`);
}

/**
 * Workgroups for `count`, laid out in two dimensions where one does not hold them. Shaders read the flat index with
 * `flatIndex`.
 */
export function grid(count: number, limit = 65_535): [number, number, number] {
  if (count <= limit) return [Math.max(1, count), 1, 1];
  const y = Math.ceil(count / limit);
  return [Math.ceil(count / y), y, 1];
}

/**
 * The standard head of a kernel with a flat workgroup index `group`, a flat local index `lane`, and `index` =
 * group·size + lane. `builtins` are further parameters of main, such as `@builtin(subgroup_size) width: u32`.
 */
export function mainHead(
  size: number,
  workgroups: readonly [number, number, number],
  builtins: readonly string[] = [],
): string {
  const known = ['@builtin(workgroup_id) wid: vec3<u32>', '@builtin(local_invocation_index) lane: u32'];
  return `@compute @workgroup_size(${size})
fn main(${[...known, ...builtins].join(', ')}) {
  let group = ${workgroups[1] === 1 ? 'wid.x' : `wid.x + wid.y * ${workgroups[0]}u`};
  let index = group * ${size}u + lane;`;
}

/**
 * A finite f32 constant in WGSL that reads back as the same number. WGSL refuses literals of infinity and NaN: those
 * come from `nonFinite`.
 */
export function literal(value: number): string {
  const rounded = Math.fround(value);
  if (!Number.isFinite(rounded)) throw new RangeError(`${value} has no WGSL literal`);
  if (Object.is(rounded, -0)) return '(-0.0f)';
  const digits = /e|\./.test(`${rounded}`) ? `${rounded}f` : `${rounded}.0f`;
  return rounded < 0 ? `(${digits})` : digits;
}

/**
 * WGSL for values that the language forbids as literals and compilers fold away: the bits pass through a private
 * variable, which is a runtime value. NaN is recognized by its bits since `v != v` compiles to false, and maxima keep
 * it since `max` may drop it.
 */
export const nonFinite = `
var<private> infinityBits: u32 = 0x7f800000u;
fn infinity() -> f32 { return bitcast<f32>(infinityBits); }
fn notANumber() -> f32 { return bitcast<f32>(infinityBits | 0x00400000u); }
fn isFinite(v: f32) -> bool { return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u; }
fn isNan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }
fn keepNan(a: f32, b: f32, value: f32) -> f32 { return select(select(value, b, isNan(b)), a, isNan(a)); }
fn largest(a: f32, b: f32) -> f32 { return keepNan(a, b, max(a, b)); }
fn smallest(a: f32, b: f32) -> f32 { return keepNan(a, b, min(a, b)); }
`;
