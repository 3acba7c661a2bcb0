import { LowrankError } from '@lowrank/errors';
import type { LoraAdapter } from '@lowrank/lora';
import { beginsInBase, tensorNumbers } from '@lowrank/lora';
import { openFolder, openModelWeights, outlineModel } from '@lowrank/models';
import type { TensorInfo } from '@lowrank/safetensors';

/** The matrices of a model folder, read one at a time. */
export interface Matrices {
  /** The path of the output projection's. */
  readonly outputMatrix: string;
  /** Paths of the model's matrices. */
  readonly paths: ReadonlySet<string>;
  shapeOf(path: string): readonly number[];
  /** In f64: differences of 16-bit weights are exact. */
  read(path: string): Promise<Float64Array>;
}

export async function openMatrices(folder: string): Promise<Matrices> {
  const files = await openFolder(folder);
  const { file, pathOf, config } = await openModelWeights(files);
  const { outputPath } = outlineModel(config);
  const infos = new Map<string, TensorInfo>();
  for (const info of file.tensors.values()) {
    const path = pathOf(info.name);
    if (path?.endsWith('.weight') === true && info.shape.length === 2) infos.set(path, info);
  }
  const infoOf = (path: string): TensorInfo => {
    const info = infos.get(path);
    if (info === undefined) throw new TypeError(`no matrix ${path}`);
    return info;
  };
  return {
    outputMatrix: `${outputPath}.weight`,
    paths: new Set(infos.keys()),
    shapeOf: (path) => infoOf(path).shape,
    read: async (path) => Float64Array.from(tensorNumbers(await file.read(infoOf(path).name), infoOf(path))),
  };
}

/**
 * Paths of the matrices that both folders have. @throws LowrankError `cli.spectrum` where they are not the same model
 */
export function commonPaths({
  before,
  after,
  model,
  tuned,
}: {
  before: Matrices;
  after: Matrices;
  model: string;
  tuned: string;
}): string[] {
  const wrong = (expected: string, got: string, remedy?: string): never => {
    throw new LowrankError({ code: 'cli.spectrum', what: `${tuned} as ${model} fine-tuned`, expected, got, remedy });
  };
  // A tied output projection may be stored or not: it is the embedding.
  const isCopy = (path: string): boolean => path === before.outputMatrix;
  const lost = [...before.paths].filter((path) => !after.paths.has(path) && !isCopy(path));
  const added = [...after.paths].filter((path) => !before.paths.has(path) && !isCopy(path));
  if (lost.length > 0) wrong(`the same matrices, ${list(lost)} among them`, 'none of them');
  if (added.length > 0) wrong('the same matrices', `${list(added)} too`);
  const paths = [...before.paths].filter((path) => after.paths.has(path));
  for (const path of paths) {
    const [own, other] = [before.shapeOf(path).join(', '), after.shapeOf(path).join(', ')];
    if (own !== other) wrong(`${path} [${own}]`, `[${other}]`, 'Compare a model with what was fine-tuned from it.');
  }
  if (paths.length === 0) wrong('matrices in F32, F16 or BF16', 'none');
  return paths;
}

/** @throws LowrankError `cli.spectrum` for an adapter of another model */
export function requireSameModel({ config, layers }: LoraAdapter, paths: readonly string[], matrices: Matrices): void {
  const wrong = (expected: string, got: string): never => {
    throw new LowrankError({
      code: 'cli.spectrum',
      what: 'the adapter',
      expected,
      got,
      remedy: 'Compare a LoRA of the same model.',
    });
  };
  if (beginsInBase(config.init))
    wrong('plain LoRA', `one that began as ${config.init}, a part of the base that is not in its files`);
  const known = new Set(paths);
  for (const [path, { inFeatures, outFeatures }] of layers) {
    if (!known.has(`${path}.weight`))
      wrong(`layers of the model, such as ${list(paths.map((weight) => weight.replace(/\.weight$/, '')))}`, path);
    const shape = matrices.shapeOf(`${path}.weight`);
    if (![[outFeatures, inFeatures].join(), [inFeatures, outFeatures].join()].includes(shape.join()))
      wrong(`matrices for ${path} [${shape.join(', ')}]`, `[${outFeatures}, ${inFeatures}]`);
  }
}

function list(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}
