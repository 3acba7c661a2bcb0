import { filesFrom } from '@lowrank/models';

/**
 * A model folder in memory, as a checkpoint of Hugging Face's: what a user would load.
 *
 * @param {object} config config.json
 * @param {readonly { name: string, shape: readonly number[], data: Float32Array | Uint16Array }[]} tensors 16-bit
 * numbers are bf16
 * @param {string} description
 */
export function checkpointOf(config, tensors, description) {
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, shape, data }) => [
      name,
      {
        dtype: data instanceof Uint16Array ? 'BF16' : 'F32',
        shape,
        data_offsets: [end, (end += data.byteLength)],
      },
    ]),
  );
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = new Uint8Array(new BigUint64Array([BigInt(text.byteLength)]).buffer);
  return filesFrom(
    [
      new File([JSON.stringify(config)], 'config.json'),
      new File([length, text, ...tensors.map(({ data }) => data)], 'model.safetensors'),
    ],
    description,
  );
}
