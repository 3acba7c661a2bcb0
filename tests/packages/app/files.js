/** The files of a model as a person picks them. */
export async function picked() {
  const names = [
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ];
  return Promise.all(names.map(async (name) => new File([await (await fetch(`/model/${name}`)).blob()], name)));
}
