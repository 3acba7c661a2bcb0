import { findFamily, findModel, openFolder, outlineModel, outlineTaskModel, readJson } from '@lowrank/models';

/**
 * Counts the parameters of a model folder or hub id, shared ones once, from its configuration: codes of quantized
 * weights count as the weights they stand for.
 */
export async function modelParameters(model: string): Promise<number> {
  const { folder } = await findModel(model, { kind: 'model' });
  const config = await readJson(await openFolder(folder), 'config.json');
  const family = findFamily(config['model_type']);
  const outline =
    family?.isEncoder === true
      ? outlineTaskModel(
          config,
          { kind: family.readsImages === true ? 'image' : 'sequence', labels: 2 },
          { name: model },
        )
      : outlineModel(config, { name: model });
  const parameters = new Set([...outline.namedParameters()].map(([, parameter]) => parameter));
  return [...parameters].reduce((total, { tensor }) => total + tensor.size, 0);
}
