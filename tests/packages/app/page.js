import { main } from './main.js';

/** The files of a model as a person picks them. */
async function picked() {
  const names = [
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ];
  return Promise.all(names.map(async (name) => new File([await (await fetch(`/model/${name}`)).blob()], name)));
}

export const trained = picked()
  .then(main)
  .then(
    (result) => Object.assign(globalThis, { result }),
    (error) => Object.assign(globalThis, { result: { error: String(error?.stack ?? error) } }),
  );
