import type { ConfigReader } from './config.js';
import { families } from './families/index.js';
import type { ModelFamily } from './family.js';
import { unknownType } from './unknownType.js';

/** The family of a `model_type`, if Lowrank has it. */
export function findFamily(modelType: unknown): ModelFamily | undefined {
  return families.find(({ modelTypes }) => modelTypes.some((type) => type === modelType));
}

/** The family of a config.json. @throws LowrankError `models.unknownType` */
export function familyOf(config: ConfigReader): ModelFamily {
  return (
    findFamily(config.modelType) ??
    unknownType(
      config,
      families.flatMap(({ modelTypes }) => modelTypes),
    )
  );
}
