import type { Trainer } from 'lowrank/worker';

/** Starts the worker that has the model; nothing of the library is part of the page before. */
export async function startEngine(): Promise<Trainer> {
  const { startTrainer } = await import('lowrank/worker');
  return startTrainer();
}
