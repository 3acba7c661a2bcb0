import type { HeadRequest, ModelFiles, TextModel } from '@lowrank/models';
import { openFolder, openModelWeights, outlineModel, outlineTaskModel, readJson } from '@lowrank/models';
import { Conv1d } from '@lowrank/nn';
import type { CheckpointTensor } from '@lowrank/patch';
import { dequantizedFile } from '@lowrank/quant';
import type { Tensor } from '@lowrank/tensor';
import { finiteBytes } from './finiteBytes.js';

/** A model folder's tensors as dense ones, in the order of its file. */
export interface DenseWeights {
  /** By their paths in the model, as adapters name them. */
  readonly tensors: readonly CheckpointTensor[];
  /** The names that the file has for them. */
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** config.json without what it says of quantization. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Whether it differs from the folder's: there was any, or the weights overrule what it ties. */
  readonly changed: boolean;
  /** The model without its weights. */
  readonly outline: TextModel;
  /** The layers that hold W as [in, out]. */
  readonly transposed: ReadonlySet<string>;
}

/**
 * Codes become the numbers that they stand for, in the dtype that the weight had, and lie as the layer has them.
 *
 * @param place a folder's path, or its files
 */
export async function denseWeights(place: string | ModelFiles, head?: HeadRequest): Promise<DenseWeights> {
  const files = typeof place === 'string' ? await openFolder(place) : place;
  const task = head && outlineTaskModel(await readJson(files, 'config.json'), head);
  const { file: opened, pathOf, config: given, ownOutput } = await openModelWeights(files, task);
  const file = await dequantizedFile(opened);
  const known = [...file.tensors.values()];
  const { quantization_config: _, ...config } = given;
  const outline = task ?? outlineModel(config);
  const transposed = transposedLayers(outline);
  // A model for a task is saved as its class has it: without what writes text, with a head where there was none.
  const places = task && new Map(task.namedParameters());
  const fits = ({ name, shape }: (typeof known)[number]): boolean => {
    const path = pathOf(name) ?? '';
    const own = places?.get(path)?.tensor.shape;
    // A head for other labels gives way to the adapter's.
    return own !== undefined && (task?.mayBeFresh(path) !== true || own.join() === shape.join());
  };
  const stored = task === undefined ? known : known.filter(fits);
  const tensors = stored.map(({ name, dtype, shape }): CheckpointTensor => {
    const path = pathOf(name) ?? name;
    const tensor = {
      name: path,
      dtype,
      shape,
      read: async () => finiteBytes(await file.read(name), file.tensors.get(name)),
    };
    // Codes are of W as [out, in], whatever the layer holds that they stand for.
    return opened.tensors.get(name)?.dtype !== dtype && transposed.has(path.replace(/\.weight$/, ''))
      ? transposedTensor(tensor)
      : tensor;
  });
  const paths = new Set(tensors.map(({ name }) => name));
  const fresh = [...(places ?? [])]
    .filter(([path]) => !paths.has(path))
    .map(([path, { tensor }]) => absent(path, tensor));
  return {
    tensors: [...tensors, ...fresh],
    names:
      task === undefined
        ? stored.map(({ name }) => name)
        : [...tensors, ...fresh].map(({ name }) => task.storedName(name)),
    metadata: file.metadata,
    config,
    changed: file !== opened || ownOutput || task !== undefined,
    outline,
    transposed,
  };
}

/** A weight that only an adapter brings. */
function absent(name: string, { shape, size }: Tensor): CheckpointTensor {
  return { name, dtype: 'F32', shape, read: () => Promise.resolve(new Uint8Array(4 * size)) };
}

function transposedLayers(model: TextModel): Set<string> {
  return new Set([...model.namedModules()].flatMap(([path, module]) => (module instanceof Conv1d ? [path] : [])));
}

function transposedTensor(tensor: CheckpointTensor): CheckpointTensor {
  const [rows = 0, columns = 0] = tensor.shape;
  return {
    name: tensor.name,
    dtype: tensor.dtype,
    shape: [columns, rows],
    async read() {
      const from = await tensor.read();
      const size = from.byteLength / (rows * columns);
      const to = new Uint8Array(from.byteLength);
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          to.set(
            from.subarray((row * columns + column) * size, (row * columns + column + 1) * size),
            (column * rows + row) * size,
          );
      return to;
    },
  };
}
