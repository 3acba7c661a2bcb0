import { LowrankError } from '@lowrank/errors';
import type { MethodAdapter } from '@lowrank/methods';
import { attachMethod, biasShifts, methodOf } from '@lowrank/methods';
import { findFamily, outlineModel } from '@lowrank/models';
import type { SafetensorsDtype, TensorEntry } from '@lowrank/safetensors';
import { isSafetensorsDtype, writeFileAtomic, writeSafetensors } from '@lowrank/safetensors';
import { fromNumbers, toFloat32 } from '@lowrank/tensor';
import { hostArray } from '@lowrank/tensor/op';
import { join } from 'node:path';
import { denseWeights } from './denseWeights.js';
import { copyCompanions } from './folders.js';

type Config = Readonly<Record<string, unknown>>;

/**
 * Folds what BitFit has learned into a model folder: b₀ + b, in the dtype of the model. Layers without a bias get one
 * where the family's config can say so (its `biasKeys`); biases that the config then calls for
 * and that nothing has trained are zero. Returns how many layers were changed, and the tensors written.
 *
 * @throws LowrankError `cli.method` for methods that cannot be merged, `cli.noBias` where the family has no such
 * biases, `methods.mismatch`
 */
export async function mergeBitfit(
  adapter: MethodAdapter,
  { model, output }: { readonly model: string; readonly output: string },
): Promise<{ merged: number; tensors: number }> {
  const { name, title } = methodOf(adapter.config);
  if (name !== 'bitfit')
    throw new LowrankError({
      code: 'cli.method',
      what: `merging ${title}`,
      expected: 'LoRA or BitFit, which change weights',
      got: 'what computes beside them',
      remedy: 'Keep it beside the model: `lowrank eval` and `lowrank generate` take both.',
    });
  const { tensors, names, metadata, config } = await denseWeights(model);
  // What does not fit is told before a byte is written.
  await attachMethod(outlineModel(config), adapter);
  const shifts = biasShifts(adapter);
  const { config: written, biases } = withBiases(config, [...shifts.keys()]);
  const paths = new Set(tensors.map(({ name: path }) => path));
  const entries = tensors.flatMap((tensor, at): TensorEntry[] => {
    const { name: path, dtype, shape } = tensor;
    const read = (): Promise<Uint8Array> => tensor.read();
    const key = names[at] ?? path;
    if (!isSafetensorsDtype(dtype))
      throw new LowrankError({ code: 'cli.dtype', what: key, expected: 'a dtype of safetensors', got: dtype });
    const layer = path.replace(/\.(weight|bias)$/, '');
    const shift = shifts.get(layer);
    if (path === `${layer}.bias`)
      return [
        {
          name: key,
          dtype,
          shape,
          data: shift === undefined ? read : async () => bytesOf(sum(numbers(await read(), dtype), shift), dtype),
        },
      ];
    const own = { name: key, dtype, shape, data: read };
    const size = path === `${layer}.weight` && !paths.has(`${layer}.bias`) ? biases.get(`${layer}.bias`) : undefined;
    return size === undefined
      ? [own]
      : [
          own,
          {
            name: key.replace(/\.weight$/, '.bias'),
            dtype,
            shape: [size],
            data: () => Promise.resolve(bytesOf(shift ?? new Float32Array(size), dtype)),
          },
        ];
  });
  await writeFileAtomic(join(output, 'model.safetensors'), writeSafetensors(entries, { format: 'pt', ...metadata }));
  await copyCompanions(model, output);
  await writeFileAtomic(join(output, 'config.json'), new TextEncoder().encode(`${JSON.stringify(written, null, 2)}\n`));
  return { merged: shifts.size, tensors: entries.length };
}

/** The config by which all these layers have biases, and all biases of its model with their sizes. */
function withBiases(config: Config, paths: readonly string[]): { config: Config; biases: ReadonlyMap<string, number> } {
  const { biasKeys = [] } = findFamily(config['model_type']) ?? {};
  // As few of them as will do.
  for (const keys of [[], ...biasKeys.map((key) => [key]), biasKeys]) {
    const changed = { ...config, ...Object.fromEntries(keys.map((key) => [key, true])) };
    const biases = new Map(
      [...outlineModel(changed).namedParameters()].flatMap(([name, { tensor }]): [string, number][] =>
        name.endsWith('.bias') ? [[name, tensor.size]] : [],
      ),
    );
    if (paths.every((path) => biases.has(`${path}.bias`))) return { config: changed, biases };
  }
  throw new LowrankError({
    code: 'cli.noBias',
    what: `merging BitFit into a ${String(config['model_type'])}`,
    expected: 'a family whose config can say that its linear layers have biases',
    got: 'one that has none for all of those that were trained',
    remedy: 'Keep the adapter beside the model.',
  });
}

function sum(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, at) => value + (b[at] ?? NaN));
}

function numbers(bytes: Uint8Array, dtype: SafetensorsDtype): Float32Array {
  const stored = { F32: 'f32', F16: 'f16', BF16: 'bf16' }[dtype as string] as 'f32' | 'f16' | 'bf16';
  return toFloat32(hostArray(stored, new Uint8Array(bytes).buffer), stored);
}

function bytesOf(values: Float32Array, dtype: SafetensorsDtype): Uint8Array {
  const data = dtype === 'F16' || dtype === 'BF16' ? fromNumbers(values, dtype === 'F16' ? 'f16' : 'bf16') : values;
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
