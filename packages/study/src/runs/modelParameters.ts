import { findModel, openFolder, outlineModel, readJson } from '@lowrank/models';

/**
 * Counts the parameters of a model folder or hub id, shared ones once, from its configuration: codes of quantized
 * weights count as the weights they stand for.
 */
export async function modelParameters(model: string): Promise<number> {
  const { folder } = await findModel(model, { kind: 'model' });
  const outline = outlineModel(await readJson(await openFolder(folder), 'config.json'), { name: model });
  const parameters = new Set([...outline.namedParameters()].map(([, parameter]) => parameter));
  return [...parameters].reduce((total, { tensor }) => total + tensor.size, 0);
}
