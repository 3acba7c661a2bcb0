import { openFolder } from '@lowrank/models';
import { fineTune, loadModel } from 'lowrank';
import { withoutCodes } from './withoutCodes.js';

interface Steps {
  readonly device: 'cpu' | 'webgpu';
  readonly rows: readonly string[];
  readonly steps: number;
  readonly batchSize: number;
  /** Over the numbers that the codes stand for. */
  readonly dense?: boolean;
}

/** Losses and gradient norms, in turn, of LoRA on every linear layer over a GGUF file. */
export async function ggufSteps(path: string, { device, rows, dense = false, ...settings }: Steps): Promise<number[]> {
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
}
