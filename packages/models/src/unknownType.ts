import { LowrankError, shown } from '@lowrank/errors';
import type { ConfigReader } from './config.js';

/** @throws LowrankError `models.unknownType` */
export function unknownType({ modelType, name }: ConfigReader, known: readonly string[]): never {
  throw new LowrankError({
    code: 'models.unknownType',
    what: `model_type in ${name}`,
    expected: `one of ${known.join(', ')}`,
    got: shown(modelType),
    remedy: 'Use a model of a supported family.',
  });
}
