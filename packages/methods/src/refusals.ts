import { LowrankError } from '@lowrank/errors';
import type { MergedModel, MethodModel } from './method.js';

/**
 * Refuses a model that has a method or an adapter: an existing wrapper may know only its own layer, and would not
 * see another one in between. @throws LowrankError `methods.taken`
 */
export function refuseTaken(model: MethodModel, title: string): void {
  const found = [...model.namedModules()]
    .find(([path]) => path.endsWith('.base_layer'))?.[0]
    .replace(/\.base_layer$/, '');
  if (found !== undefined)
    throw new LowrankError({
      code: 'methods.taken',
      what: title,
      expected: 'a model without adapters and other methods',
      got: `a ${model.getModule(found).constructor.name} at ${found}`,
      remedy: 'Take it out first: remove() of what inject or attach returned, or removeAdapter(model).',
    });
}

/** Refuses to wrap the output projection, since the loss computes it itself. @throws LowrankError `methods.output` */
export function refuseOutput({ outputPath }: MethodModel, layers: ReadonlyMap<string, unknown>, title: string): void {
  if (outputPath !== undefined && layers.has(outputPath))
    throw new LowrankError({
      code: 'methods.output',
      what: `${title} at ${outputPath}`,
      expected: 'layers below the output projection',
      got: 'the output projection itself',
      remedy: 'Leave it out of the target modules.',
    });
}

/** The `merge` of methods that change no weight. @throws LowrankError `methods.merge` */
export function refuseMerge(title: string): () => Promise<MergedModel> {
  return () =>
    Promise.reject(
      new LowrankError({
        code: 'methods.merge',
        what: `merging ${title}`,
        expected: 'a method that changes weights, such as LoRA or BitFit',
        got: 'one that leaves them as they are',
        remedy: 'Keep it apart from the model: `lowrank eval`, `generate` and `predict` take both.',
      }),
    );
}
