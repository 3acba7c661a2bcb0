import { contenderNamed } from '@lowrank/methods';
import { CausalModel, generate } from '@lowrank/models';
import type { Backend } from '@lowrank/tensor';
import type { BackendSpec, DeviceBuffer, Executable, Plan } from '@lowrank/tensor/backend';
import { applyMethod } from '../methodRun.js';
import { asOpenModel } from '../openModel.js';
import { outlined } from './planRun.js';
import type { PlannedRun } from './planRun.js';

/** The plans of writing a text with what a run trains. */
export interface DecodingPlans {
  /** Reads the prompt. */
  readonly prefill: Plan;
  /** Reads one token and draws the next. */
  readonly decode: Plan;
}

/**
 * Plans writing a text of a run's greatest length, half of it prompt, without weights and without a device.
 *
 * @throws LowrankError what outlineModel, the adapters and the compiler throw
 */
export async function planDecoding(run: PlannedRun, { spec }: { readonly spec: BackendSpec }): Promise<DecodingPlans> {
  const { name, quantization, codes, dtype, maxLength } = run;
  const module = outlined(run, { dtype, name, quantization, codes });
  if (!(module instanceof CausalModel)) throw new TypeError('texts of a model that writes none');
  const method = contenderNamed(run.method).method;
  await applyMethod(asOpenModel(name, module), method, { ...run, task: undefined, baseModel: name, seed: 0 });
  const backend = new PlanRecorder(spec);
  const prompt = Array.from({ length: Math.max(1, Math.floor(maxLength / 2)) }, () => 0);
  await generate(module, { backend, prompts: [prompt] }, { maxNewTokens: Math.max(2, maxLength - prompt.length) });
  const [decode, prefill] = backend.plans.toSorted(
    (a, b) => a.steps.length - b.steps.length || a.inputs.length - b.inputs.length,
  );
  if (prefill === undefined || decode === undefined) throw new TypeError('a text without two plans');
  return { prefill, decode };
}

/** A device that holds nothing and computes zeros: it remembers the plans that it is given. */
class PlanRecorder implements Backend {
  readonly name = 'plan recorder';
  readonly description = 'computes nothing';
  readonly memory = { buffers: 0, bytes: 0, peakBytes: 0 };
  readonly plans: Plan[] = [];

  constructor(readonly spec: BackendSpec) {}

  allocate(bytes: number): DeviceBuffer {
    return { bytes, destroy: () => undefined };
  }

  write(): void {
    // There is nothing to write to.
  }

  read(_buffer: DeviceBuffer, _offset: number, bytes: number): Promise<ArrayBuffer> {
    return Promise.resolve(new ArrayBuffer(bytes));
  }

  prepare(plan: Plan): Promise<Executable> {
    this.plans.push(plan);
    const zeros = (index: number): Promise<ArrayBuffer> =>
      Promise.resolve(new ArrayBuffer(plan.outputs[index]?.bytes ?? 0));
    return Promise.resolve({
      run: ({ read }) => Promise.resolve({ outputs: read.map(zeros) }),
      dispose: () => undefined,
    });
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  dispose(): void {
    // There is nothing to free.
  }
}
