// The JSON Schema of a configuration file of `lowrank train`, from the declared settings.
import { importSource } from '../lib/importSource.mjs';

export async function runSchema() {
  const { runFileSchema } = await importSource('packages/lowrank/src/cli/runFileSchema.ts');
  return { path: 'packages/lowrank/run.schema.json', text: `${JSON.stringify(runFileSchema(), null, 2)}\n` };
}
