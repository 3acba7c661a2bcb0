import { sizeOf } from '@lowrank/tensor/op';
import type { OperandEncoding } from '@lowrank/tensor/op';
import { KernelId } from '../kernelIds.js';
import type { CpuKernel, Place } from '../kernel.js';
import { at } from '../kernel.js';
import type { Recorder } from '../recorder.js';
import { f32Bits } from '../recorder.js';

/**
 * Matrices of codes: how the kernels get one, and the op that decodes it. Kernels:
 * `../assembly/encoded.ts`.
 */

/** Elements that one unit of decodeMatrix decodes: RUN of the kernels. */
const runElements = 512;

/** What the kernels call the kinds of encodings. */
const kindNumbers: Readonly<Record<OperandEncoding['kind'], number>> = { block4: 0, rows8: 1, block8: 2 };

/** Writes a matrix's description for the life of the plan; returns its address. */
export function describeCodes(recorder: Recorder, encoding: OperandEncoding, parts: readonly Place[]): number {
  const [codes, absmax, last] = [at(parts, 0), at(parts, 1), parts[2]];
  const minimums = encoding.kind !== 'rows8' && encoding.minimums === true;
  const block4 = encoding.kind === 'block4' ? encoding : undefined;
  const table = new Uint32Array(block4?.table.map(f32Bits) ?? []);
  const bytes = new Uint8Array(table.buffer);
  const planes = new Uint32Array(
    Uint8Array.from({ length: 64 }, (_, i) => bytes[4 * (i % 16) + Math.floor(i / 16)]).buffer,
  );
  return recorder.parameters([
    kindNumbers[encoding.kind],
    codes.address,
    codes.address + sizeOf(codes.shape),
    absmax.address,
    minimums ? 0 : (last?.address ?? 0),
    encoding.kind === 'rows8' ? 0 : encoding.blockSize,
    block4?.nestedBlockSize ?? 0,
    encoding.columns,
    minimums ? (last?.address ?? 0) : 0,
    ...(block4 === undefined ? [] : [...table, ...planes]),
  ]);
}

export const decodeMatrix: CpuKernel<'decodeMatrix'> = {
  lower({ attrs: { encoding }, inputs, outputs, recorder }) {
    const y = at(outputs, 0);
    const elements = sizeOf(y.shape);
    recorder.launch(
      KernelId.decodeMatrix,
      [describeCodes(recorder, encoding, inputs), y.address, elements],
      Math.ceil(elements / runElements),
      2 * runElements,
    );
  },
};
