import { LowrankError } from '@lowrank/errors';
import type { ModelFiles } from '@lowrank/models';
import { openModelWeights } from '@lowrank/models';
import type { LoftqSource } from '@lowrank/patch';
import type { FloatDtype, Floats, QuantizationSettings, QuantizedTensor } from '@lowrank/quant';
import { dequantize, operandOf, quantize, QuantizedLinear, widen } from '@lowrank/quant';
import { hostArray, sourceOf } from '@lowrank/tensor/op';

const dtypes: Readonly<Record<string, FloatDtype>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' };

/**
 * For LoftQ over a model that was quantized while it was loaded: each layer's weight as it is stored, and the
 * quantization that it went through.
 *
 * @throws LowrankError `cli.conflict` where a layer is not quantized, or was so before
 */
export async function loftqBase(
  files: ModelFiles,
  settings: QuantizationSettings | undefined,
): Promise<LoftqSource['base']> {
  if (settings === undefined) throw notQuantized('a model that is not quantized while it is loaded');
  const { file, pathOf } = await openModelWeights(files);
  const stored = new Map([...file.tensors.values()].map((info) => [pathOf(info.name), info]));
  return async (path, layer) => {
    const info = stored.get(`${path}.weight`);
    const dtype = dtypes[info?.dtype ?? ''];
    if (!(layer instanceof QuantizedLinear) || info === undefined || dtype === undefined)
      throw notQuantized(`${path}, which is not`);
    const { matrix } = layer;
    const { shape } = info;
    // A copy is aligned; `slice` of Node's Buffer makes none.
    const weight = widen(hostArray(dtype, new Uint8Array(await file.read(info.name)).buffer) as Floats, dtype);
    let last: QuantizedTensor | undefined;
    return {
      weight,
      roundTrip(values) {
        last = quantize(values, { ...settings, shape, dtype: 'f32' });
        return dequantize(last) as Float32Array;
      },
      keep() {
        if (last !== undefined)
          operandOf(last).parts.forEach(
            (part, at) => matrix.parts[at] !== undefined && sourceOf(matrix.parts[at]).write(part),
          );
      },
    };
  };
}

function notQuantized(got: string): LowrankError {
  return new LowrankError({
    code: 'cli.conflict',
    what: (names) => names('init', 'loftq'),
    expected: (names) => `linear layers that ${names('quantization')} quantizes as they are loaded`,
    got,
    remedy: (names) =>
      `Give ${names('quantization', 'nf4')} with it, and a model in 16 or 32 bits: LoftQ compensates for ` +
      'quantization.',
  });
}
