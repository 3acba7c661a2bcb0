import { readMlxAdapter } from '@lowrank/lora';
import { openFolder, readJson, requireFile } from '@lowrank/models';
import type { ConvertResult } from './convert.js';
import type { OutputOptions } from '../settings/methodTables.js';
import { writeAdapter } from './writeAdapter.js';

/** Options of `importMlxFolder`. */
export interface ImportMlxOptions extends OutputOptions {
  /** A folder of mlx-lm: adapter_config.json and adapters.safetensors. */
  readonly adapter: string;
  /** The PEFT folder to write. */
  readonly output: string;
  /** The base model to be named in it; default: the one that mlx-lm was given, which is often a converted copy. */
  readonly model?: string | undefined;
}

/** Writes an adapter of mlx-lm as a PEFT folder. */
export async function importMlxFolder({
  adapter: path,
  output,
  model,
  overwrite,
}: ImportMlxOptions): Promise<ConvertResult> {
  const files = await openFolder(path);
  const config = await readJson(files, 'adapter_config.json');
  const adapter = await readMlxAdapter({
    config,
    weights: await requireFile(files, 'adapters.safetensors'),
    name: path,
    baseModel: model,
  });
  return {
    output,
    kind: 'adapter',
    tensors: 2 * adapter.layers.size,
    bytes: await writeAdapter(adapter, output, { inputs: [path], overwrite }),
  };
}
