import { liesNear } from '@lowrank/tensor/backend';
import type { Limits } from './constants.js';
import type { Binding, KernelDispatch } from './kernel.js';
import type { BoundType } from './shader.js';
import { closing } from './shaderText.js';

/** What one shader binds for several: slices of a buffer that lie close together are one binding. */
export interface MergedBindings {
  readonly bindings: readonly { readonly binding: Binding; readonly declaration: string }[];
  /** Member `at`'s WGSL with its arrays as pieces of the merged ones; `size` is for numbers read at run time. */
  rename(at: number, wgsl: string, size: (value: number) => string): string;
}

interface Cluster {
  readonly buffer: number;
  readonly type: BoundType;
  offset: number;
  end: number;
}

interface Use {
  readonly member: number;
  readonly name: string;
  readonly type: BoundType;
  readonly binding: Binding;
}

const elementBytes: Record<BoundType, number> = {
  f32: 4,
  'vec4<f32>': 16,
  u32: 4,
  'vec2<u32>': 8,
  'vec4<u32>': 16,
  i32: 4,
};

/** Merges the bindings of several dispatches; undefined where the limits do not hold them. */
export function mergeBindings(dispatches: readonly KernelDispatch[], limits: Limits): MergedBindings | undefined {
  const uses = dispatches.flatMap(({ source, bindings }, member) =>
    (source?.bound ?? []).flatMap(({ name, type }, at): Use[] => {
      const binding = bindings[at];
      return binding === undefined ? [] : [{ member, name, type, binding }];
    }),
  );
  const clusters: Cluster[] = [];
  const homes = new Map<Use, Cluster>();
  for (const use of uses.toSorted((a, b) => a.binding.offset - b.binding.offset)) {
    const { offset, bytes } = use.binding;
    let home = clusters.find((cluster) => joins(cluster, use, limits));
    if (home === undefined)
      clusters.push((home = { buffer: use.binding.buffer, type: use.type, offset, end: offset + bytes }));
    home.end = Math.max(home.end, offset + bytes);
    homes.set(use, home);
  }
  // In the order of their first use, whatever their places: launches of the same form have the same text.
  const firstUse = new Map(uses.toReversed().map((use) => [homes.get(use), uses.indexOf(use)]));
  clusters.sort((a, b) => (firstUse.get(a) ?? 0) - (firstUse.get(b) ?? 0));
  const written = new Set(uses.flatMap(({ binding }) => (binding.access === 'read_write' ? [binding.buffer] : [])));
  if (clusters.length > limits.maxStorageBuffersPerShaderStage || aliased(clusters, written)) return undefined;
  const nameOf = (cluster: Cluster): string => `bound${clusters.indexOf(cluster)}`;
  return {
    bindings: clusters.map((cluster) => {
      const { buffer, type, offset, end } = cluster;
      const access = written.has(buffer) ? 'read_write' : 'read';
      return {
        binding: { buffer, offset, bytes: end - offset, access },
        declaration: `var<storage, ${access}> ${nameOf(cluster)}: array<${type}>;`,
      };
    }),
    rename(at, wgsl, size) {
      return uses.reduce((text, use) => {
        const home = homes.get(use);
        if (use.member !== at || home === undefined) return text;
        const shift = (use.binding.offset - home.offset) / elementBytes[use.type];
        return indexInto(text, { from: use.name, to: nameOf(home), shift: shift === 0 ? '' : size(shift) });
      }, wgsl);
    },
  };
}

function joins(cluster: Cluster, { binding: { buffer, offset, bytes }, type }: Use, limits: Limits): boolean {
  return (
    cluster.buffer === buffer &&
    cluster.type === type &&
    liesNear(offset, cluster) &&
    Math.max(cluster.end, offset + bytes) - cluster.offset <= limits.maxStorageBufferBindingSize
  );
}

/** WebGPU refuses two writable bindings of the same bytes. */
function aliased(clusters: readonly Cluster[], written: ReadonlySet<number>): boolean {
  return clusters.some((a, at) =>
    clusters.some(
      (b, other) =>
        other > at && a.buffer === b.buffer && written.has(a.buffer) && a.offset < b.end && b.offset < a.end,
    ),
  );
}

/** `from[i]` becomes `to[shift + (i)]`. */
function indexInto(text: string, { from, to, shift }: { from: string; to: string; shift: string }): string {
  const pattern = new RegExp(`\\b${from}\\[`, 'g');
  let result = '';
  let done = 0;
  for (const { index } of text.matchAll(pattern)) {
    if (index < done) continue;
    const open = index + from.length;
    const end = closing(text, open);
    const inner = indexInto(text.slice(open + 1, end), { from, to, shift });
    result += `${text.slice(done, index)}${to}[${shift === '' ? inner : `${shift} + (${inner})`}]`;
    done = end + 1;
  }
  return result + text.slice(done);
}
