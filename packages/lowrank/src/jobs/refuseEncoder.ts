import { LowrankError } from '@lowrank/errors';
import { findFamily, openFolder } from '@lowrank/models';
import { optionalJson } from './optionalJson.js';

/** @throws LowrankError `models.encoder` for a folder of a model that writes no text, before its weights are read */
export async function refuseEncoder(model: string, remedy: string): Promise<void> {
  const config = await optionalJson(await openFolder(model), 'config.json');
  const family = findFamily(config?.['model_type']);
  if (family?.isEncoder !== true) return;
  throw new LowrankError({
    code: 'models.encoder',
    what: model,
    expected: 'a model that writes text',
    got: `${family.name}, an encoder`,
    remedy,
  });
}
