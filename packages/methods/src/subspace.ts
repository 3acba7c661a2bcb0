import { safetensorsBytes } from '@lowrank/safetensors';
import { headOf, restoreHead } from './appliedMethod.js';
import type { AppliedMethod, Method, MethodModel } from './method.js';
import { refuseMerge } from './refusals.js';
import type { Subspace } from './injectSubspace.js';
import { foldSubspace, injectSubspace, removeSubspace } from './injectSubspace.js';
import type { StoredSubspace } from './subspaceFiles.js';
import {
  extractSubspace,
  initialName,
  loadSubspace,
  readSubspace,
  serializeSubspace,
  subspaceType,
} from './subspaceFiles.js';
import { subspaceSettings } from './subspaceSettings.js';

const title = 'a random subspace';

/**
 * Every weight within a random subspace of d dimensions (Li et al. 2018; Aghajanyan et al. 2020): θ = θ₀ + P·z with P
 * random and fixed, and z trained. What is saved is z, and θ₀ of a task's head, which the base lacks; the seed makes P
 * again. PEFT has no such method.
 */
export const subspace: Method<readonly [typeof subspaceSettings], StoredSubspace> = {
  name: 'subspace',
  title,
  peftTypes: [subspaceType],
  settings: [subspaceSettings],
  saves: 'adapter',
  overCodes: false,
  resumes: false,

  async inject(model, { dimension = 0, projection, entries, structureAware, seed, baseModel } = {}) {
    const given = { projection, entries, structureAware, seed };
    const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    return applied(injectSubspace(model, { dimension, ...options }), { baseModel, model });
  },

  async attach(model, stored) {
    restoreHead(model, { config: {}, tensors: stored.head ?? new Map() });
    return applied(loadSubspace(model, stored), { baseModel: stored.baseModel, model });
  },

  read: readSubspace,
  write: serializeSubspace,
  optionsOf: ({ settings }) => ({ ...settings }),
  describe: ({ settings: { projection, dimension } }) => `random subspace (${projection}, d = ${dimension})`,
  merge: refuseMerge(title),
};

function applied(
  found: Subspace,
  of: { readonly baseModel: string | undefined; readonly model: MethodModel },
): AppliedMethod<StoredSubspace> {
  const entries = [
    ...found.parameters.map(({ name, parameter }) => ({ name, shape: parameter.tensor.shape })),
    ...[...headOf(of.model)].map(([name, { stored }]) => ({ name: initialName(name), shape: stored.shape })),
  ];
  return {
    parameters: found.parameters,
    fileBytes: (dtype = 'F32') =>
      safetensorsBytes(
        entries.map((entry) => ({ ...entry, dtype })),
        { format: 'pt' },
      ),
    extract: () => extractSubspace(found, of),
    remove: () => removeSubspace(found),
    fold: () => foldSubspace(found),
  };
}
