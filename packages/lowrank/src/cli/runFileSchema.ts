import { methodNames } from '@lowrank/methods';
import type { JsonSchema } from '@lowrank/settings';
import { jsonSchema } from '@lowrank/settings';
import { devices } from '../device.js';
import { commonTables, methodTables, objectiveTables, tokenTables } from '../settings/methodTables.js';
import { checkpointSettings, sampleSettings } from '../settings/runSettings.js';
import type { Actions } from './program.js';
import { makeProgram } from './program.js';
import { snakeCase } from '../settings/snakeCase.js';
import { isInFiles, isSwitch } from './runFile.js';
import { SettingFlag } from './settingFlags.js';

/** Flags that are no settings of a table, and are one of several names. */
const choices: Readonly<Record<string, readonly string[]>> = {
  method: methodNames,
  device: devices,
  robustness: ['on', 'off'],
};

/**
 * The JSON Schema of a configuration file of `lowrank train`, for editors: every setting by the name that files give
 * it, with its sentence, type, bounds and default.
 */
export function runFileSchema(): JsonSchema {
  const command = makeProgram({} as Actions).commands.find((each) => each.name() === 'train');
  const { properties, ...schema } = jsonSchema(
    [
      ...commonTables,
      checkpointSettings,
      sampleSettings,
      ...tokenTables,
      ...[objectiveTables, methodTables].flatMap((byName) => Object.values(byName).flat()),
    ],
    'A training run',
  );
  const plain = (command?.options ?? [])
    .filter((option) => isInFiles(option) && !(option instanceof SettingFlag))
    .map((option) => {
      const name = option.attributeName();
      const { [name]: names } = choices;
      const type = names === undefined ? { type: isSwitch(option) ? 'boolean' : 'string' } : { enum: names };
      return [name, { ...type, description: `${option.negate ? 'false: ' : ''}${option.description}` }];
    });
  const all: JsonSchema = { ...Object.fromEntries(plain), ...(properties as JsonSchema) };
  return { ...schema, properties: inSnakeCase(all) };
}

/** The same properties under the names of files, objects within objects too. */
function inSnakeCase(properties: JsonSchema): JsonSchema {
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => {
      const { properties: inner, ...rest } = schema as JsonSchema;
      return [snakeCase(name), inner === undefined ? rest : { ...rest, properties: inSnakeCase(inner as JsonSchema) }];
    }),
  );
}
