import type { ConfigReader } from './config.js';
import { familyLoaders } from './families/loaders.js';
import type { ModelFamily } from './family.js';
import { unknownType } from './unknownType.js';

/** The family of a config.json, loaded alone. @throws LowrankError `models.unknownType` */
export async function loadFamily(config: ConfigReader): Promise<ModelFamily> {
  const { modelType } = config;
  const load = Object.hasOwn(familyLoaders, modelType) ? familyLoaders[modelType] : undefined;
  return load === undefined ? unknownType(config, Object.keys(familyLoaders)) : load();
}
