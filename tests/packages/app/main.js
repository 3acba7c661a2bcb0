import { fineTune, loadModel } from 'lowrank';

/** A page in a few lines: a model from a URL, rows, some steps, a text, an adapter. */
export async function main(source, { device = 'cpu', output, calls = { fineTune, loadModel } } = {}) {
  const model = await calls.loadModel(source, { device });
  const losses = [];
  const data = [1, 2, 3, 4].map((n) => ({ prompt: `name: ada ${n} |`, completion: ` ada has ${n} cats.` }));
  const onStep = ({ loss }) => losses.push(loss);
  const run = await calls.fineTune(model, { data, r: 4, steps: 4, seed: 1, output, onStep });
  const text = await model.generate('name: ada', { maxNewTokens: 4, temperature: 0 }).text();
  await run.save('adapter');
  await model.dispose();
  return { losses, text };
}
