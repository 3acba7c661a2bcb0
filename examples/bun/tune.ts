/**
 * Fine-tunes a model with LoRA in Bun, and shows its answer before and after.
 *
 * bun run tune.ts MODEL ROWS ADAPTER [STEPS]
 */
import { fineTune, isLowrankError, loadModel } from 'lowrank';

const [source, rows, output, steps = '100'] = process.argv.slice(2);
if (source === undefined || rows === undefined || output === undefined) {
  console.error('Usage: bun run tune.ts MODEL ROWS ADAPTER [STEPS]');
  process.exit(2);
}

try {
  const model = await loadModel(source); // on the CPU: Bun has no WebGPU
  const prompt = 'name: ada | town: rome\n';
  const answer = () => model.generate(prompt, { maxNewTokens: 16, temperature: 0 }).text();
  console.log('before:', await answer());
  const run = await fineTune(model, {
    data: rows,
    steps: Number(steps),
    learningRate: 0.005,
    targetModules: 'all-linear',
    onStep: ({ step, loss }) => console.log(`step ${step}: loss ${loss.toFixed(4)}`),
  });
  await run.save(output);
  console.log('after:', await answer());
  await model.dispose();
} catch (error) {
  if (!isLowrankError(error)) throw error;
  console.error(error.message);
  process.exit(2);
}
