import type { ModelFiles } from '@lowrank/models';
import { readJson } from '@lowrank/models';

/** An object in a JSON file of a folder; undefined where there is no such file. @throws LowrankError `models.json` */
export async function optionalJson(
  files: ModelFiles,
  name: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  return (await files.file(name)) === undefined ? undefined : readJson(files, name);
}
