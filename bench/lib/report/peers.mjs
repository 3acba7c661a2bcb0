/** The libraries of peers, which are named with their backend: `jax-js wasm` and `jax-js webgpu` are of one column. */
export function peersOf(labels) {
  return [...new Set(labels.map((label) => label.split(' ')[0] ?? label))];
}
