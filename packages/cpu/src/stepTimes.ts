import type { LaunchTime, ProfiledRun, Step } from '@lowrank/tensor/backend';
import { stepBytes } from '@lowrank/tensor/backend';
import type { Pool } from './pool.js';
import { recordWords } from './recorder.js';

/** A step of a plan, and its records: `from` up to `to`. */
export interface RecordedStep {
  readonly step: Step;
  readonly from: number;
  readonly to: number;
}

/** Runs the steps one after another, all threads together on each, and tells what each took. */
export async function timeSteps(pool: Pool, records: number, steps: readonly RecordedStep[]): Promise<ProfiledRun> {
  const launches: LaunchTime[] = [];
  const began = performance.now();
  for (const [at, { step, from, to }] of steps.entries()) {
    if (from === to) continue;
    const start = performance.now();
    await pool.run(records + 4 * recordWords * from, to - from);
    const milliseconds = performance.now() - start;
    launches.push({ step: at, kernel: nameOf(step), start: start - began, milliseconds, bytes: stepBytes(step) });
  }
  return { clock: 'host', launches };
}

/** `matmul 64x32 · 128x32 → 64x128` */
function nameOf({ op, inputs, outputs }: Step): string {
  const shapes = (operands: Step['inputs'], separator: string): string =>
    operands.map(({ shape, dtype }) => `${shape.join('x')}${dtype === 'f32' ? '' : ` ${dtype}`}`).join(separator);
  return `${op} ${shapes(
    inputs.filter(({ shape }) => shape.length > 0),
    ' · ',
  )} → ${shapes(outputs, ', ')}`;
}
