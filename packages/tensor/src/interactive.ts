import { optional, signature } from './arguments.js';
import { aTensor } from './tensorKinds.js';
import { LowrankError } from '@lowrank/errors';
import type { Backend } from './backend.js';
import { aBackend, compile } from './compile.js';
import type { HostArray } from './dtype.js';
import { hostArray } from './dtype.js';
import type { Tensor } from './graph.js';
import { describe } from './graph.js';
import type { DeviceMemory } from './memory.js';
import { topological } from './reference.js';
import { sizeOf } from './shape.js';

let defaultBackend: Backend | undefined;

const checkSetDefaultBackend = signature('setDefaultBackend', { backend: optional(aBackend) });
const checkReadTensor = signature('readTensor', { tensor: aTensor });

/**
 * The backend on which `readTensor` computes lazy tensors that are not bound to one by their data. For applications,
 * not for libraries.
 */
export function setDefaultBackend(backend: Backend | undefined): void {
  checkSetDefaultBackend(backend);
  defaultBackend = backend;
}

/**
 * The value of a tensor: read where it lies, or, if it is lazy, compiled and run on the backend that its data lives on
 * (else the default).
 */
export async function readTensor(tensor: Tensor): Promise<HostArray> {
  checkReadTensor(tensor);
  const { node, dtype, shape } = tensor;
  if (node.kind === 'source') return hostArray(dtype, await node.read(), 0, sizeOf(shape));
  const [view] = node.kind === 'op' && node.op.name === 'view' ? node.inputs : [];
  if (view?.node.kind === 'source' && node.kind === 'op') {
    const width = view.node.bytes / sizeOf(view.shape);
    const start = (node.op.alias?.(node.attrs) ?? 0) * width;
    return hostArray(dtype, await view.node.read(start, sizeOf(shape) * width), 0, sizeOf(shape));
  }
  const step = compile(backendOf(tensor), () => ({ value: tensor }));
  try {
    const { value } = await step.run();
    return await value;
  } finally {
    await step.dispose();
  }
}

function backendOf(tensor: Tensor): Backend {
  for (const node of topological([tensor]))
    if (node.kind === 'source' && node.memory !== undefined && isBackend(node.memory)) return node.memory;
  if (defaultBackend !== undefined) return defaultBackend;
  throw new LowrankError({
    code: 'tensor.backend',
    what: `reading ${describe(tensor)}`,
    expected: 'data on a backend, or a default one',
    got: 'neither',
    remedy: 'Call setDefaultBackend(await createCpuBackend()) first.',
  });
}

function isBackend(memory: DeviceMemory): memory is Backend {
  return 'prepare' in memory;
}
