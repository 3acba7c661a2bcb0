import type { Shader } from '../../shader.js';
import { nonFinite } from '../../shader.js';
import type { Operand } from '@lowrank/tensor/backend';
import type { KernelStep, Slice } from '../../kernel.js';
import { operand } from '../../kernel.js';
import {
  agreeDeclarations,
  bindHeads,
  bindResult,
  capDeclaration,
  declareBases,
  declareSlots,
  fillTile,
  groupOf,
  joinShares,
  overGroups,
  overTile,
  rowBase,
  sharesDeclaration,
  slot,
  wholeGroup,
} from './layout.js';
import type { AttentionKernelAttrs, Layout } from './layout.js';

export type BackwardStep = KernelStep<AttentionKernelAttrs>;

/**
 * How a backward pass walks the rows that its own row meets, tile by tile: queries walk keys, keys walk queries. For
 * each row of a tile, slot `s` gets own[0]·tiles[0] (the score) and slot `t` own[1]·tiles[1] (the weight's gradient).
 */
export interface TileWalk {
  /** The two head vectors that a thread holds its share of. */
  readonly own: readonly [string, string];
  /** The two tensors that come by in tiles. */
  readonly tiles: readonly [string, string];
  /** The tile's first row. */
  readonly start: string;
  /** How many rows there are. */
  readonly limit: string;
  /** A row's first element. */
  readonly base: (row: string) => string;
}

/** WGSL that declares the loads of q, k, v and g, the stores of `results`, and the workgroup's memory. */
export function declarations(
  shader: Shader,
  step: BackwardStep,
  layout: Layout,
  { facts, results }: { facts: Slice; results: readonly { readonly name: string; readonly output: number }[] },
): { readonly code: string; readonly facts: string } {
  const loads = [
    ['q', 0],
    ['k', 1],
    ['v', 2],
    ['g', 5],
  ] as const;
  const load = loads.map(([name, at]) => bindHeads(shader, name, operandOf(step, at), layout).code).join('');
  const bound = shader.read('facts', facts, 'vec4<f32>');
  const resultOf = (output: number): Operand => operand(step.outputs, output, 'attentionBackward');
  const store = results.map(({ name, output }) => bindResult(shader, name, resultOf(output), layout).code).join('');
  const capping = step.attrs.softcap > 0 ? `${nonFinite}${capDeclaration(step.attrs)}` : '';
  return { code: `${capping}${load}${store}${tileMemory(layout)}`, facts: bound };
}

export function operandOf({ inputs }: BackwardStep, at: number): Operand {
  return operand(inputs, at, 'attentionBackward');
}

function tileMemory(layout: Layout): string {
  if (!layout.shared) return '';
  const tile = (which: number): string =>
    `var<workgroup> tile${which}: array<vec4<f32>, ${layout.tile * layout.padded}>;\n`;
  return `${tile(0)}${tile(1)}${sharesDeclaration(layout, 2 * layout.tile)}${agreeDeclarations(layout)}`;
}

/** WGSL of one tile: loads it, makes `s` and `t` of each of its rows, and runs `use` for each row. */
export function overOneTile(layout: Layout, walk: TileWalk, use: (at: string) => string): string {
  const { own } = walk;
  const products = overTile(layout, (at) =>
    overGroups(layout, (c) => {
      const product = (sum: 's' | 't', which: 0 | 1): string => {
        const factors = `${groupOf(layout, own[which], c)}, ${tileGroup(layout, walk, [which, at, c])}`;
        return `${slot(layout, sum, at)} += dot(${factors})`;
      };
      return `      ${product('s', 0)};\n      ${product('t', 1)};\n`;
    }),
  );
  const end = layout.shared ? '    workgroupBarrier();\n' : '';
  return [loadTiles(layout, walk), products, joinShares(layout, ['s', 't']), overTile(layout, use), end].join('\n');
}

function loadTiles(layout: Layout, { tiles, start, limit, base }: TileWalk): string {
  const slots = `${declareSlots(layout, 's')}${declareSlots(layout, 't')}`;
  if (!layout.shared) return `${declareBases(layout, { start, limit, base })}${slots}`;
  const fill = (which: 0 | 1): string =>
    fillTile(layout, { tile: `tile${which}`, load: tiles[which], start, limit, base });
  return `${fill(0)}${fill(1)}    workgroupBarrier();\n${slots}`;
}

/** WGSL of group `c` of row `at` of one of the two tiles. */
export function tileGroup(
  layout: Layout,
  { tiles }: TileWalk,
  [which, at, c]: readonly [which: 0 | 1, at: string, c: string],
): string {
  const group = wholeGroup(layout, c);
  if (layout.shared) return `tile${which}[${at} * ${layout.padded}u + ${group}]`;
  return `load_${tiles[which]}(${rowBase(at)}, ${c})`;
}
