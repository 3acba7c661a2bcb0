import { readFile } from 'node:fs/promises';
import { createCpuBackend } from '@lowrank/cpu';
import { readTokenizer } from '@lowrank/data';
import { readAdapter } from '@lowrank/lora';
import type { LoraAdapter } from '@lowrank/lora';
import { createGenerator, loadCausalModel, openFolder } from '@lowrank/models';
import { bankFor, openAdapterBank } from '@lowrank/patch';
import { bytesSource } from '@lowrank/safetensors';

const open = async (folder: string): Promise<LoraAdapter> =>
  readAdapter({
    config: JSON.parse(await readFile(`${folder}/adapter_config.json`, 'utf8')) as unknown,
    weights: bytesSource(await readFile(`${folder}/adapter_model.safetensors`)),
    name: folder,
  });

const backend = await createCpuBackend();
const model = await loadCausalModel(await openFolder('./llama'));
const tokenizer = await readTokenizer('./llama');
const [poet, clerk] = [await open('./poet'), await open('./clerk')];

// As many slots, and as large a rank, as both need; up to three prompts with adapters of their own.
const bank = openAdapterBank(model, { ...bankFor([poet, clerk]), rows: 3 });
await bank.load('poet', poet);
await bank.load('clerk', clerk);

const generator = createGenerator(model, { backend });
const prompts = ['name: ada', 'name: ada', 'name: ada'].map((text) => tokenizer.encode(text));
const write = async (): Promise<string[]> =>
  (await generator.generate(prompts, { maxNewTokens: 12 })).map(({ ids }) => tokenizer.decode(ids));

bank.useRows(['poet', 'clerk', '__base__']);
export const sideBySide = await write();

bank.use({ poet: 0.5, clerk: 0.5 }); // their weighted sum, for every row
export const mixed = await write();

export const base = await bank.withBase(write); // off in here, and on again behind

const next = await bank.prepare(poet); // checked and made ready …
bank.put('clerk', next); // … so that the swap itself only copies
bank.use('clerk');
export const swapped = await write();

await generator.dispose();
bank.dispose(); // the model is as it was
backend.dispose();
