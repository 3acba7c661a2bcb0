import type { Limits } from './constants.js';
import type { Binding, KernelDispatch } from './kernel.js';
import { directives, grid } from './shader.js';
import { mergeBindings } from './mergeBindings.js';
import { shareDeclarations, splitShader } from './shaderText.js';
import type { ShaderText } from './shaderText.js';

/**
 * One dispatch that does what several do, side by side: its first workgroups are the first one's, and so on. Undefined
 * where that cannot be: other sizes of workgroups or subgroups, or more bindings or workgroup memory than the limits
 * allow.
 */
export function mergeDispatches(dispatches: readonly KernelDispatch[], limits: Limits): KernelDispatch | undefined {
  const texts = dispatches.flatMap(({ source }) => (source === undefined ? [] : (splitShader(source.body) ?? [])));
  const [first] = texts;
  if (first === undefined || texts.length !== dispatches.length) return undefined;
  if (texts.some(({ attributes }) => attributes !== first.attributes)) return undefined;
  const sizes = new Sizes();
  const merged = mergeBindings(dispatches, limits);
  if (merged === undefined) return undefined;
  const members = dispatches.map((dispatch, at): ShaderText => {
    const from = sizes.add(sizesOf(dispatch));
    const text = texts[at] ?? first;
    const rename = (wgsl: string): string =>
      merged.rename(
        at,
        wgsl.replaceAll(/\bsizes\[(\d+)\]/g, (_, index: string) => `sizes[${Number(index) + from}]`),
        (value) => sizes.one(value),
      );
    return { ...text, declarations: text.declarations.map(rename), body: rename(text.body) };
  });
  const shared = shareDeclarations(members);
  if (workgroupBytes(shared.declarations) > limits.maxComputeWorkgroupStorageSize) return undefined;
  const { main, workgroups } = writeMain(dispatches, shared.members, sizes);
  const head = writeHead(dispatches, merged.bindings, sizes);
  return {
    label: [...new Set(dispatches.map(({ label }) => label))].join(' + '),
    code: [head.code, ...shared.declarations, ...main].join('\n'),
    bindings: [...merged.bindings.map(({ binding }) => binding), ...head.uniforms],
    workgroups,
  };
}

/** The sizes of all members, one after another in vectors of four; then single ones. */
class Sizes {
  readonly values: number[] = [];
  readonly #singles = new Map<number, string>();

  /** The index of the first vector. */
  add(values: readonly number[]): number {
    const from = this.values.length / 4;
    this.values.push(...values, ...Array.from({ length: (4 - (values.length % 4)) % 4 }, () => 0));
    return from;
  }

  /** WGSL of one more size; the members' own come first. */
  one(value: number): string {
    const known = this.#singles.get(value);
    if (known !== undefined) return known;
    const name = `sizes[${this.add([value])}].x`;
    this.#singles.set(value, name);
    return name;
  }
}

function sizesOf({ bindings }: KernelDispatch): readonly number[] {
  return bindings.find(({ sizes }) => sizes !== undefined)?.sizes ?? [];
}

function writeHead(
  dispatches: readonly KernelDispatch[],
  storage: readonly { binding: Binding; declaration: string }[],
  { values }: Sizes,
): { code: string; uniforms: Binding[] } {
  const features = new Set(dispatches.flatMap(({ source }) => source?.features ?? []));
  let code = directives(features);
  const uniforms: Binding[] = [];
  for (const [at, { declaration }] of storage.entries()) code += `@group(0) @binding(${at}) ${declaration}\n`;
  const uniform = (name: string, binding: Binding): void => {
    const at = storage.length + uniforms.push(binding) - 1;
    code += `@group(0) @binding(${at}) var<uniform> ${name}: array<vec4<u32>, ${binding.bytes / 16}>;\n`;
  };
  const scalars = dispatches
    .flatMap(({ bindings }) => bindings)
    .find(({ access, sizes }) => access === 'uniform' && sizes === undefined);
  if (scalars !== undefined) uniform('scalars', scalars);
  const buffer = dispatches.flatMap(({ bindings }) => bindings).find(({ sizes }) => sizes !== undefined)?.buffer ?? -1;
  uniform('sizes', { buffer, offset: 0, bytes: 4 * values.length, access: 'uniform', sizes: values });
  return { code, uniforms };
}

/** A function for each member, and a main that shares the workgroups out among them. */
function writeMain(
  dispatches: readonly KernelDispatch[],
  members: readonly ShaderText[],
  sizes: Sizes,
): { main: string[]; workgroups: [number, number, number] } {
  const counts = dispatches.map(({ workgroups: [x, y, z] }) => x * y * z);
  const workgroups = grid(counts.reduce((total, count) => total + count, 0));
  const builtins = new Map(members.flatMap(({ builtins: list }) => list.map(({ builtin, type }) => [builtin, type])));
  const parameters = [...builtins].map(([builtin, type]) => `@builtin(${builtin}) ${builtin}: ${type}`);
  let end = 0;
  const calls = members.map((member, at) => {
    const start = end;
    end += counts[at] ?? 0;
    const [x = 1, y = 1, z = 1] = dispatches[at]?.workgroups ?? [];
    const place = start === 0 ? 'flat' : `(flat - ${sizes.one(start)})`;
    const across = sizes.one(x);
    const id =
      y === 1 && z === 1
        ? `vec3<u32>(${place}, 0u, 0u)`
        : `vec3<u32>(${place} % ${across}, (${place} / ${across}) % ${sizes.one(y)}, ${place} / (${sizes.one(x * y)}))`;
    const given = member.builtins.map(({ builtin }) => (builtin === 'workgroup_id' ? id : builtin));
    return `if (flat < ${sizes.one(end)}) { member${at}(${given.join(', ')}); }`;
  });
  const functions = members.map((member, at) => writeMember(member, at));
  const main = `@compute ${members[0]?.attributes ?? '@workgroup_size(1)'}
fn main(${parameters.join(', ')}) {
  let flat = workgroup_id.x + workgroup_id.y * ${sizes.one(workgroups[0])};
  ${calls.join('\n  else ')}
}
`;
  return { main: [...functions, main], workgroups };
}

/**
 * A member as a function. Of a parameter the compiler knows no bound: the mask says the local index's, so that no index
 * made from it is clamped.
 */
function writeMember({ attributes, builtins, body }: ShaderText, at: number): string {
  const [, size = ''] = /@workgroup_size\((\d+)\)/.exec(attributes) ?? [];
  const lane = builtins.find(({ builtin }) => size !== '' && builtin === 'local_invocation_index')?.name;
  const parameters = builtins.map(({ name, type }) => `${name === lane ? `${name}Given` : name}: ${type}`);
  const mask = lane === undefined ? '' : `\n  let ${lane} = ${lane}Given % ${size}u;`;
  return `fn member${at}(${parameters.join(', ')}) {${mask}${body}}`;
}

const elementBytes: Readonly<Record<string, number>> = {
  f32: 4,
  u32: 4,
  i32: 4,
  f16: 2,
  'vec2<f32>': 8,
  'vec4<f32>': 16,
};

/** Bytes of workgroup memory; more than any device has, where an element's size is not known. */
function workgroupBytes(declarations: readonly string[]): number {
  return declarations.reduce((total, declaration) => {
    if (!declaration.includes('var<workgroup>')) return total;
    const [, type = '', count = ''] = /array<(.+), (\d+)>;/.exec(declaration) ?? [];
    return total + (elementBytes[type] ?? Infinity) * Number(count);
  }, 0);
}
