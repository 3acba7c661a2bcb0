import { dynamicMap } from '../numeric/dynamicMap.js';
import { applyAll, defineOp } from '../op.js';
import type { Tensor } from '../graph.js';
import { Scalar } from '../graph.js';
import { shapeError, showShape, sizeOf } from '../shape.js';
import type { AdamwAttrs, AdamwNumbers } from './adamw.js';
import { segmentBlock } from './adamw.js';

/** Elements of a moment that share a scale. */
export const momentBlock = 256;

/**
 * What `adamw8bit` takes as `maps`: the signed dynamic map for the first moment, then the unsigned one for the second.
 */
export function momentMaps(): Float32Array<ArrayBuffer> {
  const maps = new Float32Array(512);
  maps.set(dynamicMap(true));
  maps.set(dynamicMap(false), 256);
  return maps;
}

/**
 * One AdamW step as `adamw`, with both moments kept in 8 bits (Dettmers et al. 2022, arXiv:2110.02861; the arithmetic
 * of bitsandbytes' blockwise AdamW): a moment is map[code]·scale, scale the largest magnitude of its block of 256. The
 * step decodes, updates in f32, moves p by the moments as they are then, and encodes them again by the nearest place of
 * the map. A negative first moment never becomes 0, as in bitsandbytes' CUDA kernel.
 *
 * Inputs: p, g f32 [n]; codes of m and of v u8 [n]; scales f32 [⌈n/256⌉, 2] of (m, v); table [⌈n/64⌉, 2] as `adamw`'s;
 * maps f32 [2, 256], see {@link momentMaps}; then 0-d lr, stepSize, biasScale, clip as `adamw`'s. Where clip is not
 * finite nothing is written. Outputs: p, both codes, scales, in place.
 */
export const adamw8bitOp = defineOp<'adamw8bit', AdamwAttrs>({
  name: 'adamw8bit',
  infer(inputs) {
    const [p, g, m, v, scales, table, maps, ...numbers] = inputs;
    const size = sizeOf(p?.shape ?? []);
    const sized = [p, g, m, v].every(
      (spec, at) => spec?.dtype === (at < 2 ? 'f32' : 'u8') && sizeOf(spec.shape) === size,
    );
    const lines = [
      [scales, 2 * Math.ceil(size / momentBlock)],
      [table, 2 * Math.ceil(size / segmentBlock)],
      [maps, 512],
    ] as const;
    if (
      !sized ||
      lines.some(([spec, count]) => spec?.dtype !== 'f32' || sizeOf(spec.shape) !== count) ||
      numbers.length !== 4 ||
      numbers.some((spec) => sizeOf(spec.shape) !== 1)
    ) {
      const expected =
        `p, g in f32 and codes in u8 of ${size} elements, scales [${Math.ceil(size / momentBlock)}, 2], a ` +
        `table [${Math.ceil(size / segmentBlock)}, 2], maps [2, 256] and four numbers`;
      throw shapeError(
        'adamw8bit',
        expected,
        inputs.map(({ shape, dtype }) => `${dtype}${showShape(shape)}`).join(', '),
      );
    }
    return [p, m, v, scales].map((spec) => ({ shape: spec?.shape ?? [], dtype: spec?.dtype ?? 'f32' }));
  },
  reference({ inputs, outputs, attrs: { beta1, beta2, epsilon } }) {
    const [p, g, m, v, scales, table, maps, lr, stepSize, biasScale, clip] = inputs;
    const [newP, newM, newV, newScales] = outputs;
    [newP, newM, newV, newScales].forEach((output, at) => output.set([p, m, v, scales][at]));
    const factor = clip[0];
    if (!Number.isFinite(factor)) return;
    const [signed, unsigned] = [maps.subarray(0, 256), maps.subarray(256)];
    for (let start = 0; start < p.length; start += momentBlock) {
      const [first, second] = [
        new Float64Array(Math.min(momentBlock, p.length - start)),
        new Float64Array(Math.min(momentBlock, p.length - start)),
      ];
      const scaleAt = (2 * start) / momentBlock;
      for (let i = 0; i < first.length; i++) {
        const at = start + i;
        const line = 2 * Math.floor(at / segmentBlock);
        const [multiplier, decay] = [table[line], table[line + 1]];
        const gradient = factor * g[at];
        const a = beta1 * signed[m[at]] * scales[scaleAt] + (1 - beta1) * gradient;
        const b = beta2 * unsigned[v[at]] * scales[scaleAt + 1] + (1 - beta2) * gradient * gradient;
        newP[at] =
          p[at] * (1 - lr[0] * multiplier * decay) -
          (stepSize[0] * multiplier * a) / (Math.sqrt(b) * biasScale[0] + epsilon);
        first[i] = a;
        second[i] = b;
      }
      newScales[scaleAt] = encode(first, signed, newM.subarray(start));
      newScales[scaleAt + 1] = encode(second, unsigned, newV.subarray(start));
    }
  },
  inPlace: [
    [0, 0],
    [2, 1],
    [3, 2],
    [4, 3],
  ],
  inPlaceOnly: true,
  flops: ([p]) => 18 * sizeOf(p?.shape ?? []),
});

/** Writes a block's codes; returns its scale. */
function encode(values: Float64Array, map: Float64Array, codes: Float64Array): number {
  const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  values.forEach((value, i) => {
    const code = nearest(map, scale === 0 ? 0 : value / scale);
    codes[i] = value < 0 && map[code] === 0 ? code - 1 : code;
  });
  return scale;
}

/** The place of the nearest of ascending numbers, the lower of two that are equally near. */
function nearest(map: Float64Array, x: number): number {
  let code = 0;
  while (code + 1 < map.length && (map[code] + map[code + 1]) / 2 < x) code++;
  return code;
}

export interface Adamw8bitState {
  parameters: Tensor;
  gradient: Tensor;
  /** u8, a code for each element. */
  firstCodes: Tensor;
  secondCodes: Tensor;
  /** [⌈n/256⌉, 2]: the scales of both moments. */
  scales: Tensor;
  /** [⌈n/64⌉, 2]: learning-rate multiplier and weight decay of each block of 64 elements. */
  table: Tensor;
  /** [2, 256]: {@link momentMaps}. */
  maps: Tensor;
}

/** The updated [parameters, firstCodes, secondCodes, scales]; see {@link adamw8bitOp}. */
export function adamw8bit(state: Adamw8bitState, numbers: AdamwNumbers, attrs: AdamwAttrs): Tensor[] {
  const { parameters, gradient, firstCodes, secondCodes, scales, table, maps } = state;
  const operands = [numbers.learningRate, numbers.stepSize, numbers.biasScale, numbers.clip].map((value) =>
    value instanceof Scalar ? value.tensor : value,
  );
  return applyAll(
    adamw8bitOp,
    [parameters, gradient, firstCodes, secondCodes, scales, table, maps, ...operands],
    attrs,
  );
}
