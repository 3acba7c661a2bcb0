import { LowrankError, shown } from '@lowrank/errors';
import type { ConfigReader } from './config.js';
import { families } from './families/index.js';
import type { ModelFamily } from './family.js';

/** The family of a `model_type`, if Lowrank has it. */
export function findFamily(modelType: unknown): ModelFamily | undefined {
  return families.find(({ modelTypes }) => modelTypes.some((type) => type === modelType));
}

/** The family of a config.json. @throws LowrankError `models.unknownType` */
export function familyOf(config: ConfigReader): ModelFamily {
  const { modelType } = config;
  const found = findFamily(modelType);
  if (found !== undefined) return found;
  throw new LowrankError({
    code: 'models.unknownType',
    what: `model_type in ${config.name}`,
    expected: `one of ${families.flatMap(({ modelTypes }) => modelTypes).join(', ')}`,
    got: shown(modelType),
    remedy: 'Use a model of a supported family.',
  });
}
