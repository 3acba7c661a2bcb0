import type { AttrsOf } from '@lowrank/tensor/backend';
import type { Spec } from '@lowrank/tensor/op';
import { attentionSizes } from '@lowrank/tensor/op';
import { KernelId } from '../kernelIds.js';
import type { CpuKernel, Place } from '../kernel.js';
import { at } from '../kernel.js';
import { f32Bits } from '../recorder.js';

/** Blocks of `assembly/attention.ts`. */
const rowBlock = 48;
const largestGroup = 8;
const keyBlock = 64;

/** Blockwise softmax(scale·q·kᵀ + mask)·v with an online softmax; scores exist for 48 rows × 64 keys per thread. */
export const attention: CpuKernel<'attention'> = {
  lower({ attrs, inputs, outputs, recorder }) {
    const [q, k, v, ...masks] = inputs;
    const sizes = attentionSizes(inputs, attrs);
    const words = wordsOf({
      qkv: [q, k, v],
      masks,
      attrs,
      o: at(outputs, 0).address,
      logSumExp: at(outputs, 1).address,
    });
    recorder.launch(KernelId.attention, words, queryUnits(sizes), workOf(inputs, attrs));
  },
};

/**
 * Two launches: dq together with δ = Σ g·o per query, then dk and dv, which sum over queries in a fixed order. δ lies
 * in the workspace.
 */
export const attentionBackward: CpuKernel<'attentionBackward'> = {
  workspaceBytes(inputs, _, attrs) {
    const { batch, heads, queries } = attentionSizes([...inputs.slice(0, 3), ...inputs.slice(6)], attrs);
    return batch * heads * queries * 4;
  },
  lower({ attrs, inputs, outputs, workspace, recorder }) {
    const [q, k, v, o, logSumExp, g, ...masks] = inputs;
    const sizes = attentionSizes([...inputs.slice(0, 3), ...masks], attrs);
    const work = workOf([...inputs.slice(0, 3), ...masks], attrs);
    const words = [
      ...wordsOf({ qkv: [q, k, v], masks, attrs, o: o?.address ?? 0, logSumExp: logSumExp?.address ?? 0 }),
      g?.address ?? 0,
      at(outputs, 0).address,
      at(outputs, 1).address,
      at(outputs, 2).address,
      workspace,
    ];
    recorder.launch(KernelId.attentionBackwardQuery, words, queryUnits(sizes), 2 * work);
    recorder.launch(
      KernelId.attentionBackwardKey,
      words,
      sizes.batch * sizes.keyHeads * Math.ceil(sizes.keys / keyBlock),
      4 * work,
    );
  },
};

/** Blocks of rows: queries times the heads that share a key head. */
function queryUnits({ batch, queries, heads, keyHeads }: ReturnType<typeof attentionSizes>): number {
  const shared = heads / keyHeads;
  const group = shared > largestGroup ? 1 : shared;
  return batch * (heads / group) * Math.ceil(queries / Math.floor(rowBlock / group));
}

interface AttentionCall {
  qkv: readonly (Place | undefined)[];
  masks: readonly Place[];
  attrs: AttrsOf<'attention'>;
  o: number;
  logSumExp: number;
}

function wordsOf({ qkv, masks, attrs, o, logSumExp }: AttentionCall): number[] {
  const present = qkv.filter((place): place is Place => place !== undefined);
  const { batch, queries, keys, heads, keyHeads, size } = attentionSizes([...present, ...masks], attrs);
  const rest = [...masks];
  const segments = attrs.segments ? rest.shift() : undefined;
  const lengths = attrs.lengths ? rest.shift() : undefined;
  return [
    ...present.map(({ address }) => address),
    segments?.address ?? 0,
    lengths?.address ?? 0,
    o,
    logSumExp,
    batch,
    queries,
    keys,
    heads,
    keyHeads,
    size,
    Number(attrs.causal),
    attrs.window,
    f32Bits(attrs.scale),
    f32Bits(attrs.softcap),
    Number(at(present, 1).dtype === 'f16'),
  ];
}

/** Of one block of rows, about; documents are data. */
function workOf(inputs: readonly Spec[], attrs: AttrsOf<'attention'>): number {
  const { keys, size } = attentionSizes(inputs, attrs);
  return rowBlock * Math.min(keys, keyBlock) * size;
}
