import { LowrankError } from '@lowrank/errors';
import { openFolder, readJson, storedCodes } from '@lowrank/models';
import { readFile } from 'node:fs/promises';
import { commonConfigs } from './commonConfigs.js';
import type { NamedConfig } from './plannedRun.js';

/**
 * @param given a config.json or the name of a common model, or a model folder
 * @throws LowrankError `cli.config`, and `cli.conflict` for both or neither
 */
export async function readModelConfig(given: {
  readonly config?: string | undefined;
  readonly model?: string | undefined;
}): Promise<NamedConfig> {
  const { config: text, model } = given;
  if (text === undefined && model !== undefined) {
    const files = await openFolder(model);
    return { name: model, config: await readJson(files, 'config.json'), codes: await storedCodes(files) };
  }
  if (text !== undefined && model === undefined) return commonConfig(text) ?? fileConfig(text);
  throw new LowrankError({
    code: 'cli.conflict',
    what: (names) => `${names('config')} and ${names('model')}`,
    expected: 'one of the two',
    got: text === undefined ? 'neither' : 'both',
    remedy: (names) => `${names('config')} takes a config.json or one of ${commonNames()}.`,
  });
}

function commonConfig(name: string): NamedConfig | undefined {
  const common = Object.keys(commonConfigs).find((key) => key.toLowerCase() === name.toLowerCase());
  return common === undefined ? undefined : { name: common, config: commonConfigs[common] ?? {} };
}

async function fileConfig(name: string): Promise<NamedConfig> {
  const fail = (got: string): LowrankError =>
    new LowrankError({
      code: 'cli.config',
      what: (names) => `${names('config')} ${name}`,
      expected: `a config.json, or one of ${commonNames()}`,
      got,
    });
  const json = await readFile(name, 'utf8').catch(() => Promise.reject(fail('no such file')));
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw fail('JSON that is no object');
  return { name, config: value as NamedConfig['config'] };
}

function commonNames(): string {
  return Object.keys(commonConfigs).join(', ');
}
