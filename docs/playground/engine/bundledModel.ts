import configUrl from '../../../examples/demo/base/config.json?url';
import weightsUrl from '../../../examples/demo/base/model.safetensors?url';
import tokenizerUrl from '../../../examples/demo/base/tokenizer.json?url';
import tokenizerConfigUrl from '../../../examples/demo/base/tokenizer_config.json?url';

export const bundledModel = {
  name: 'Small stories',
  about: 'A Llama of 0.26 million parameters that has read stories. It comes with this page.',
  bytes: 1_057_727,
  /** llama.cpp's name for how its tokenizer splits text. */
  preTokenizer: 'gpt-2',
};

const addresses = {
  'config.json': configUrl,
  'model.safetensors': weightsUrl,
  'tokenizer.json': tokenizerUrl,
  'tokenizer_config.json': tokenizerConfigUrl,
};

/** The files of the model that is part of the site. */
export function bundledFiles(signal: AbortSignal): Promise<File[]> {
  return filesAt(addresses, signal);
}

/** Files of the site under names of their own. @throws Error for one that the site does not give */
export function filesAt(addresses: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<File[]> {
  return Promise.all(
    Object.entries(addresses).map(async ([name, address]) => {
      const response = await fetch(address, signal && { signal });
      if (!response.ok) throw new Error(`${name} could not be loaded: ${response.status} ${response.statusText}`);
      return new File([await response.blob()], name);
    }),
  );
}
