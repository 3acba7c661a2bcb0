import { openFolder } from '@lowrank/models';
import { fineTune, loadModel } from 'lowrank';
import { withoutCodes } from './withoutCodes.js';

/** Losses and gradient norms of LoRA on every linear layer, over a file's codes and over the numbers they stand for. */
export async function stepsOverCodesAndNumbers(
  path: string,
  { device, ...options }: { device: 'cpu' | 'webgpu'; rows: string[]; steps: number; batchSize: number },
): Promise<{ readonly codes: number[]; readonly numbers: number[] }> {
  const { rows, ...settings } = options;
  const run = async (dense: boolean): Promise<number[]> => {
    const files = await openFolder(path);
    const model = await loadModel(dense ? withoutCodes(files) : files, { device });
    const seen: number[] = [];
    await fineTune(model, {
      ...settings,
      data: rows.map((text) => ({ text })),
      r: 8,
      targetModules: 'all-linear',
      learningRate: 1e-3,
      maxLength: 64,
      onStep: ({ loss, gradNorm }) => void seen.push(loss, gradNorm),
    });
    await model.dispose();
    return seen;
  };
  return { codes: await run(false), numbers: await run(true) };
}
