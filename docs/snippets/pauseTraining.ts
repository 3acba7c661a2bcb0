import type { Trainer } from 'lowrank/worker';

/** What the model writes in the middle of a training and after it. */
export async function pauseTraining(trainer: Trainer, source: string, data: string): Promise<string[]> {
  // #region pause
  const model = await trainer.loadModel(source, { device: 'cpu' });
  const training = trainer.fineTune(model, { data, r: 8, learningRate: 0.01, steps: 40 });
  const step = await training.pause(); // stands between two steps
  const halfway = await model.generate('name : ', { maxNewTokens: 16 }).text();
  training.resume();
  const run = await training;
  const after = await model.generate('name : ', { maxNewTokens: 16 }).text();
  console.log(`after step ${step}: ${halfway}; after ${run.steps}: ${after}`);
  // #endregion pause
  return [halfway, after];
}
